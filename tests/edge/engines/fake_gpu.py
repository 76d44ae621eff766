"""A GPU and a TensorRT for tests: plans are ONNX files, run by ONNX Runtime, in memory with addresses.

Work waits in the stream until somebody waits for it, so that reading too early reads old values.
"""

import ctypes
import sys
from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.engines import cuda
from edge.engines.onnx import OnnxEngine
from edge.interfaces import TensorSpec

DataType = IntEnum("DataType", "FLOAT HALF INT64 INT32 INT8 UINT8 BOOL BF16")
_NAMES = {"float32": "FLOAT", "float16": "HALF", "int64": "INT64", "int32": "INT32", "bool": "BOOL"}


class Status(IntEnum):
    cudaSuccess = 0
    cudaErrorIllegalAddress = 700
    CUDA_ERROR_NO_DEVICE = 100
    cudaErrorStreamCaptureInvalidated = 901


class FakeGpu:
    """cuda-python's `driver` and `runtime` and the module `tensorrt` in one."""

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}  # device and pinned memory, by address
        self.pinned: set[int] = set()
        self.taken = 0  # how often memory was
        self.copies: list[tuple[int, int, int]] = []  # to, from, bytes
        self.stream: list[Callable[[], object]] = []
        self.captured: list[Callable[[], object]] | None = None
        self.launches = 0
        self.can_capture = True
        self.next_status = Status.cudaSuccess  # what the next wait returns
        self.init: Status | Exception = Status.cudaSuccess
        self.name = b"Orin"
        self.loaded = 0  # plans
        self.__version__ = "10.3.0"
        self.DataType = DataType
        self.TensorLocation = SimpleNamespace(DEVICE=0, HOST=1)
        self.TensorIOMode = SimpleNamespace(INPUT=1, OUTPUT=2)
        self.Logger = _Logger
        self.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=self._load)
        self.cudaStreamNonBlocking = 1
        self.cudaMemcpyKind = SimpleNamespace(cudaMemcpyDefault=4)
        self.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
        self.CUdevice_attribute = SimpleNamespace(
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=8,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=7,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT=16,
        )

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(cuda, "_cuda_python", lambda module: self)
        patch.setitem(sys.modules, "tensorrt", self)
        self.forget()

    @staticmethod
    def forget() -> None:
        cuda.driver.cache_clear()
        cuda.cuda.cache_clear()

    # driver

    def cuInit(self, flags: int) -> tuple[Status]:
        if isinstance(self.init, Exception):
            raise self.init
        return (self.init,)

    def cuDeviceGet(self, ordinal: int) -> tuple[Status, int]:
        return Status.cudaSuccess, ordinal

    def cuDeviceGetAttribute(self, kind: int, device: int) -> tuple[Status, int]:
        return Status.cudaSuccess, kind

    def cuDeviceGetName(self, length: int, device: int) -> tuple[Status, bytes]:
        return Status.cudaSuccess, self.name.ljust(length, b"\0")

    # runtime

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Status, int]:
        return Status.cudaSuccess, 42

    def cudaMalloc(self, size: int) -> tuple[Status, int]:
        block = (ctypes.c_uint8 * size)(*([255] * size if size < 4096 else []))
        address = ctypes.addressof(block)
        self.memory[address] = block
        self.taken += 1
        return Status.cudaSuccess, address

    def cudaMallocHost(self, size: int) -> tuple[Status, int]:
        status, address = self.cudaMalloc(size)
        self.pinned.add(address)
        return status, address

    def cudaFree(self, address: int) -> tuple[Status]:
        del self.memory[address]
        return (Status.cudaSuccess,)

    cudaFreeHost = cudaFree

    def cudaMemsetAsync(self, to: int, value: int, size: int, stream: int) -> tuple[Status]:
        self._put(lambda: ctypes.memset(to, value, size))
        return (Status.cudaSuccess,)

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[Status]:
        assert {to, source} <= self.memory.keys(), "memory that the GPU does not know"
        self.copies.append((to, source, size))
        self._put(lambda: ctypes.memmove(to, source, size))
        return (Status.cudaSuccess,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Status]:
        status, self.next_status = self.next_status, Status.cudaSuccess
        if status == Status.cudaSuccess:
            for work in self.stream:
                work()
        self.stream.clear()
        return (status,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[Status]:
        self.captured = []
        return (Status.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Status, Any]:
        graph, self.captured = self.captured, None
        if not self.can_capture:
            return Status.cudaErrorStreamCaptureInvalidated, None
        return Status.cudaSuccess, graph

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Status, Any]:
        return Status.cudaSuccess, graph

    def cudaGraphDestroy(self, graph: Any) -> tuple[Status]:
        return (Status.cudaSuccess,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def cudaGetLastError(self) -> tuple[Status]:
        return (Status.cudaSuccess,)

    def cudaGraphLaunch(self, graph: list[Callable[[], object]], stream: int) -> tuple[Status]:
        self.launches += 1
        self.stream += graph
        return (Status.cudaSuccess,)

    def _put(self, work: Callable[[], object]) -> None:
        (self.stream if self.captured is None else self.captured).append(work)

    # TensorRT

    def _load(self, plan: bytes) -> "_Engine | None":
        self.loaded += 1
        return None if plan == b"broken" else _Engine(self, plan)


class _Logger:
    ERROR = 1

    def __init__(self, severity: int) -> None:
        self.severity = severity


class _Engine:
    def __init__(self, gpu: FakeGpu, plan: bytes) -> None:
        self.gpu, self.onnx = gpu, OnnxEngine(plan)
        self.specs = {spec.name: spec for spec in self.onnx.outputs + self.onnx.inputs}  # another order
        self.num_io_tensors = len(self.specs)
        self.addresses: dict[str, int] = {}

    def get_tensor_name(self, index: int) -> str:
        return list(self.specs)[index]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[_NAMES[self.specs[name].dtype.name]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.specs[name].shape

    def get_tensor_location(self, name: str) -> int:
        return 0

    def get_tensor_mode(self, name: str) -> int:
        return 1 if any(spec.name == name for spec in self.onnx.inputs) else 2

    def create_execution_context(self) -> "_Engine":
        return self

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if self.gpu.captured is not None and not self.gpu.can_capture:
            return False
        self.gpu._put(self._compute)
        return True

    def _compute(self) -> None:
        # Not OnnxEngine.run, which looks for NaN itself.
        inputs = {spec.name: self._view(spec).copy() for spec in self.onnx.inputs}
        outputs = self.onnx._session.run(None, inputs)
        for spec, value in zip(self.onnx.outputs, outputs, strict=True):
            self._view(spec)[...] = value

    def _view(self, spec: TensorSpec) -> np.ndarray:
        block = self.gpu.memory[self.addresses[spec.name]]
        return np.ndarray(spec.shape, spec.dtype, buffer=block)
