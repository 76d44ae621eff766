"""ONNX Runtime on an NVIDIA GPU: for PCs, and for a Jetson before it has built its plans.

The graph runs on the stream of `edge.engines.cuda`, between buffers with fixed addresses, captured in a CUDA
graph (https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html).
"""

import warnings
from pathlib import Path
from typing import Any

import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from edge.engines.cuda import cuda
from edge.engines.device import DeviceEngine
from edge.engines.onnx import open_session, session_options, session_specs
from edge.errors import BundleRefused, EngineFault, HardwareMissing, reason_of

_ort: Any = onnxruntime  # it has no types
_PROVIDER = "CUDAExecutionProvider"
_INSTALL = (
    "on a PC: pip uninstall onnxruntime, then pip install onnxruntime-gpu cuda-python; on a Jetson, NVIDIA's "
    "own wheels: https://pypi.jetson-ai-lab.io. Without --engine cuda, the CPU computes"
)


class OnnxCudaEngine(DeviceEngine):
    """One graph with static shapes on the GPU.

    A graph that can't be captured, because some of it runs on the CPU, runs without, with a warning;
    `captured` is False then.
    """

    def __init__(
        self, model: bytes, weights: Path | None = None, resident: frozenset[str] = frozenset()
    ) -> None:
        """Load `model`, the bytes of an ONNX file, and run it once; `weights` holds its external data.

        Raises HardwareMissing without driver, GPU or an ONNX Runtime for it, BundleRefused if the graph does
        not load or a tensor is not static, EngineFault if the GPU fails.
        """
        device = cuda()
        if _PROVIDER not in _ort.get_available_providers():
            raise HardwareMissing("this ONNX Runtime computes on the CPU alone", _INSTALL)
        if hasattr(_ort, "preload_dlls"):
            _ort.preload_dlls()  # finds the CUDA libraries that pip installed
        session, self.captured = _open(model, weights, device.stream)
        self._session: Any = session
        super().__init__(device, *session_specs(session), resident)
        self._binding: Any = session.io_binding()
        for specs, bind in (
            (self.inputs, self._binding.bind_input),
            (self.outputs, self._binding.bind_output),
        ):
            for spec in specs:
                bind(spec.name, "cuda", 0, spec.dtype, spec.shape, self._addresses[spec.name])
        self._cuda.synchronize()  # the buffers are zero then
        self._launch()  # ONNX Runtime sets itself up in the first run, and captures it

    def close(self) -> None:
        """Free the session and its memory; the engine cannot run after that."""
        self._session = self._binding = None
        super().close()

    def _launch(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # ONNX Runtime's exceptions have no other common base
            raise EngineFault(
                f"ONNX Runtime failed: {reason_of(error)}", "start the program again"
            ) from error


def _open(model: bytes, weights: Path | None, stream: int) -> tuple[Any, bool]:
    """Return a session on the stream, and whether its graph is captured."""
    provider = {
        "user_compute_stream": str(stream),
        "use_tf32": "0",  # its products have a mantissa of 10 bits, in a graph that says fp32
        "cudnn_conv_algo_search": "HEURISTIC",  # the same algorithm each time; a search picks by the clock
    }
    captured = provider | {"enable_cuda_graph": "1"}
    try:
        session = _session(model, weights, captured)
    except BundleRefused:
        session = _session(model, weights, provider)  # raises again what has nothing to do with capture
        warnings.warn("this graph can't be captured in a CUDA graph and runs without", stacklevel=4)
        captured = provider
    if session.get_providers()[0] != _PROVIDER:  # ONNX Runtime goes on with the CPU and only logs it
        raise HardwareMissing("ONNX Runtime does not get its CUDA provider to run", _INSTALL)
    return session, captured is not provider


def _session(model: bytes, weights: Path | None, provider: dict[str, str]) -> Any:
    options = session_options(model, weights, threads=1)
    return open_session(model, options, [(_PROVIDER, provider), "CPUExecutionProvider"])
