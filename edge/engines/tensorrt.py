"""A TensorRT plan as an engine. It allocates all memory when it opens, and none in a call.

It uses only names of `trt` that TensorRT 10.3 to 11 share; a test checks them against all versions.
"""

import warnings
from importlib import import_module
from typing import Any

import numpy as np

from edge.engines.cuda import cuda
from edge.engines.device import DeviceEngine
from edge.errors import BundleRefused, EngineFault, HardwareMissing, reason_of
from edge.interfaces import TensorSpec

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


class TensorRTEngine(DeviceEngine):
    """One plan with static shapes on the GPU, captured in a CUDA graph.

    A plan that can't be captured runs without, with a warning; `captured` is False then.
    """

    def __init__(
        self, plan: bytes, resident: frozenset[str] = frozenset(), edition: str = "tensorrt"
    ) -> None:
        """Load a whole plan. Its source must be trusted: loading runs code in it.

        Raises HardwareMissing without driver, GPU or TensorRT, BundleRefused if TensorRT does not load it or
        a tensor is not static, EngineFault if the GPU fails.
        """
        device = cuda()  # comes first: without a driver, TensorRT can crash the process
        trt = load_tensorrt(edition)
        self._logger: Any = trt.Logger(trt.Logger.ERROR)
        self._runtime: Any = trt.Runtime(self._logger)
        engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise BundleRefused("TensorRT does not load the plan (its reason is above)", _REBUILD)
        self._engine = engine
        specs = _specs(trt, engine)
        self._context: Any = engine.create_execution_context()
        if self._context is None:
            raise HardwareMissing("the GPU has no memory left for the engine", "close what else uses it")
        super().__init__(device, *specs, resident)
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

    def close(self) -> None:
        """Free the engine's memory; it cannot run after that."""
        if self._graph is not None:
            self._cuda.destroy_graph(self._graph)
        self._graph = None
        self._context = self._engine = self._runtime = None
        super().close()

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
