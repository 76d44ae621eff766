"""A TensorRT plan as an engine. It allocates all memory when it opens, and none in a call.

It uses only names of `trt` that TensorRT 10.3 to 11 share; a test checks them against all versions.
"""

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import numpy as np

from edge.engines.cuda import Cuda, cuda
from edge.errors import BundleRefused, EngineFault, HardwareMissing, reason_of
from edge.interfaces import Tensor, TensorSpec

_REBUILD = "`vla-edge build FOLDER_OF_THE_BUNDLE` builds its plans again"


def load_tensorrt(edition: str = "tensorrt") -> Any:
    """Return TensorRT's Python module. Raises HardwareMissing if it is not installed."""
    try:
        return import_module(edition)
    except ImportError as error:
        raise HardwareMissing(
            f"the Python module {edition} does not load: {reason_of(error)}",
            "on a Jetson it comes with JetPack: apt install python3-libnvinfer, in a virtual environment "
            "made with --system-site-packages",
        ) from error


class OnDevice:
    """An output that stayed in the GPU's memory.

    Another engine takes it as an input without a copy to the host; `np.asarray` copies it there. Valid until
    its engine runs again; that run may still take it as an input.
    """

    def __init__(self, engine: "TensorRTEngine", spec: TensorSpec, address: int, run: int) -> None:
        self.dtype, self.shape = spec.dtype, spec.shape
        self._engine, self._address, self._run = engine, address, run

    @property
    def address(self) -> int:
        """Its address in the GPU's memory. Raises ValueError if a later run has overwritten it."""
        if self._engine.runs != self._run:
            raise ValueError("the engine has run since: what it left on the GPU was overwritten")
        return self._address

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Tensor:
        """Return a copy on the host, whatever `copy` asks for."""
        return self._engine.read_back(self).astype(dtype or self.dtype, copy=False)


class TensorRTEngine:
    """One plan with static shapes on the GPU, captured in a CUDA graph.

    A plan that can't be captured runs without, with a warning; `captured` is False then. Outputs live in two
    sets of host buffers that take turns, as those of ONNX Runtime: what a call returns stays valid through
    the next call. Outputs named in `resident` stay on the GPU as `OnDevice` and are not checked: NaN in them
    shows in the outputs that are computed from them.
    """

    def __init__(
        self, plan: bytes, resident: frozenset[str] = frozenset(), edition: str = "tensorrt"
    ) -> None:
        """Load a whole plan. Its source must be trusted: loading runs code in it.

        Raises HardwareMissing without driver, GPU or TensorRT, BundleRefused if TensorRT does not load it or
        a tensor is not static, EngineFault if the GPU fails.
        """
        self._cuda: Cuda = cuda()  # comes first: without a driver, TensorRT can crash the process
        trt = load_tensorrt(edition)
        self._logger: Any = trt.Logger(trt.Logger.ERROR)
        self._runtime: Any = trt.Runtime(self._logger)
        engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise BundleRefused("TensorRT does not load the plan (its reason is above)", _REBUILD)
        self._engine = engine
        self.inputs, self.outputs = _specs(trt, engine)
        self._context: Any = engine.create_execution_context()
        if self._context is None:
            raise HardwareMissing("the GPU has no memory left for the engine", "close what else uses it")
        self._addresses = {
            spec.name: self._cuda.allocate(_bytes(spec)) for spec in self.inputs + self.outputs
        }
        self._resident = resident
        self._host_inputs = {spec.name: self._cuda.allocate_pinned(spec) for spec in self.inputs}
        read = [spec for spec in self.outputs if spec.name not in resident]
        self._host_outputs = [
            {spec.name: self._cuda.allocate_pinned(spec) for spec in read} for _ in range(2)
        ]
        self.runs = 0
        for name, address in self._addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise BundleRefused(f"TensorRT does not take '{name}'", _REBUILD)
        self._graph: Any = None
        self._launch()  # TensorRT sets itself up in the first run, which must not be captured
        self._cuda.synchronize()
        self._graph = self._cuda.capture(self._enqueue)
        self.captured = self._graph is not None
        if not self.captured:
            warnings.warn("this engine can't be captured in a CUDA graph and runs without", stacklevel=2)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name.

        Raises ValueError if inputs differ from the specs, EngineFault if the GPU fails or an output holds NaN
        or infinity.
        """
        for spec in self.inputs:
            self._put(spec, inputs[spec.name])
        self.runs += 1
        self._launch()
        outputs = self._host_outputs[0]
        self._host_outputs.reverse()
        for name, value in outputs.items():
            self._cuda.copy(value.ctypes.data, self._addresses[name], value.nbytes)
        self._cuda.synchronize()
        for name, value in outputs.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise EngineFault(f"the model computed NaN or infinity in '{name}'")
        stayed = {
            spec.name: cast("Tensor", OnDevice(self, spec, self._addresses[spec.name], self.runs))
            for spec in self.outputs
            if spec.name in self._resident
        }
        return outputs | stayed

    def read_back(self, value: OnDevice) -> Tensor:
        """Return a copy on the host. Slow: it allocates pinned memory for the transfer."""
        spec = TensorSpec("", value.dtype, value.shape)
        pinned = self._cuda.allocate_pinned(spec)
        self._cuda.copy(pinned.ctypes.data, value.address, pinned.nbytes)
        self._cuda.synchronize()
        array: Tensor = np.array(pinned)
        self._cuda.free_pinned(pinned)
        return array

    def close(self) -> None:
        """Free the engine's memory; it cannot run after that."""
        if self._graph is not None:
            self._cuda.destroy_graph(self._graph)
        self._graph = None
        self._context = self._engine = self._runtime = None
        for address in self._addresses.values():
            self._cuda.free(address)
        for buffers in (self._host_inputs, *self._host_outputs):
            for array in buffers.values():
                self._cuda.free_pinned(array)
        self._addresses, self._host_inputs, self._host_outputs = {}, {}, []

    def _put(self, spec: TensorSpec, value: Tensor | OnDevice) -> None:
        if value.dtype != spec.dtype or value.shape != spec.shape:
            raise ValueError(f"{spec.name}: want {spec.shape} {spec.dtype}, got {value.shape} {value.dtype}")
        if isinstance(value, OnDevice):
            source = value.address
        else:
            pinned = self._host_inputs[spec.name]
            np.copyto(pinned, value)
            source = pinned.ctypes.data
        self._cuda.copy(self._addresses[spec.name], source, _bytes(spec))

    def _launch(self) -> None:
        if self._graph is not None:
            self._cuda.launch_graph(self._graph)
        elif not self._enqueue():
            raise EngineFault("TensorRT did not start the engine (its reason is above)")

    def _enqueue(self) -> bool:
        return bool(self._context.execute_async_v3(self._cuda.stream))


def _specs(trt: Any, engine: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    dtypes: dict[Any, Any] = {
        trt.DataType.FLOAT: np.float32,
        trt.DataType.HALF: np.float16,
        trt.DataType.INT64: np.int64,
        trt.DataType.INT32: np.int32,
        trt.DataType.INT8: np.int8,
        trt.DataType.UINT8: np.uint8,
        trt.DataType.BOOL: np.bool_,
    }
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    for index in range(engine.num_io_tensors):
        name = str(engine.get_tensor_name(index))
        dtype, shape = engine.get_tensor_dtype(name), tuple(map(int, engine.get_tensor_shape(name)))
        on_device = engine.get_tensor_location(name) == trt.TensorLocation.DEVICE
        if dtype not in dtypes or min(shape, default=1) < 1 or not on_device:
            raise BundleRefused(
                f"'{name}' is {dtype} {shape}; only static tensors on the GPU are supported", _REBUILD
            )
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        (inputs if is_input else outputs).append(TensorSpec(name, np.dtype(dtypes[dtype]), shape))
    return tuple(inputs), tuple(outputs)


def _bytes(spec: TensorSpec) -> int:
    return int(np.prod(spec.shape)) * spec.dtype.itemsize
