"""ONNX Runtime as an engine. Buffers are allocated once and serve every call."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from edge.engines.outside import check_outside
from edge.errors import BundleRefused, EngineFault, reason_of
from edge.interfaces import Tensor, TensorSpec

_ort: Any = onnxruntime  # it has no types
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
MAX_TENSOR_BYTES = 1 << 30  # an input or output; a cache of 7 B parameters and 4096 tokens has two such
_NOWHERE = "/dev/null/nowhere"
# Its kernel takes 60 us where the sum and the norm that it replaces take 14 (108 rows of 128, AVX-512).
_SLOWER = ["SkipLayerNormFusion"]
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


class OnnxEngine:
    """One graph with static shapes on the CPU.

    Outputs live in two sets of buffers that take turns: what a call returns stays valid through the next
    call and is overwritten by the one after. So the KV cache that one call returns can go into the next.
    """

    def __init__(
        self, model: bytes, threads: int = 1, weights: Path | None = None, prepack: bool = True
    ) -> None:
        """Load `model`, the bytes of an ONNX file; `threads` caps its worker threads.

        `weights` is the file that its external data is in, which nobody else writes; the file's name may go
        once this returns. Without `prepack`, weights stay mapped from the file, in place of a faster copy.
        Raises BundleRefused if ONNX Runtime cannot read the model, a shape is not static, or it refers to
        another file than `weights`.
        """
        options = session_options(model, weights, threads)
        if not prepack:
            options.add_session_config_entry("session.disable_prepacking", "1")
        self._session: Any = open_session(
            model, options, ["CPUExecutionProvider"], disabled_optimizers=_SLOWER
        )
        self.inputs, self.outputs = session_specs(self._session)
        self._turns = [_OutputBuffers(self._session, self.outputs) for _ in range(2)]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name.

        Raises ValueError if inputs differ from the specs, EngineFault if the engine fails or an output holds
        NaN or infinity.
        """
        turn = self._turns[0]
        self._turns.reverse()
        held: list[Tensor] = []  # ONNX Runtime reads this memory; it must outlive the call
        for spec in self.inputs:
            value = np.ascontiguousarray(inputs[spec.name])
            if value.dtype != spec.dtype or value.shape != spec.shape:
                raise ValueError(
                    f"{spec.name}: want {spec.shape} {spec.dtype}, got {value.shape} {value.dtype}"
                )
            held.append(value)
            turn.binding.bind_input(spec.name, "cpu", 0, spec.dtype, spec.shape, value.ctypes.data)
        try:
            self._session.run_with_iobinding(turn.binding)
        except Exception as error:  # has no other common base either
            raise EngineFault(f"ONNX Runtime failed: {reason_of(error)}") from error
        for name, value in turn.arrays.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise EngineFault(f"the model computed NaN or infinity in '{name}'")
        return dict(turn.arrays)

    def close(self) -> None:
        """Free the session; the engine cannot run after that."""
        self._session, self._turns = None, []


def session_options(model: bytes, weights: Path | None, threads: int) -> Any:
    """Return options of ONNX Runtime for a graph whose external data is in `weights`, and nowhere else.

    Raises BundleRefused if it refers to another file.
    """
    check_outside(model, weights)
    options = _ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between calls would take a core from the control loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    # Without a folder, ONNX Runtime would read external data from the working folder, unverified.
    folder = _NOWHERE if weights is None else weights.parent.absolute()
    options.add_session_config_entry(_WEIGHTS_FOLDER, str(folder))
    return options


def open_session(model: bytes, options: Any, providers: Sequence[Any], **more: Any) -> Any:
    """Return a session of ONNX Runtime. Raises BundleRefused if it can't load the graph."""
    try:
        return _ort.InferenceSession(model, options, providers=providers, **more)
    except Exception as error:  # ONNX Runtime's exceptions have no other common base
        raise BundleRefused(
            f"ONNX Runtime cannot load the graph: {reason_of(error)}",
            "export or download the bundle again",
        ) from error


def session_specs(session: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return inputs and outputs of a session. Raises BundleRefused if one is not static, or too large."""
    return tuple(map(_spec, session.get_inputs())), tuple(map(_spec, session.get_outputs()))


def _spec(value: Any) -> TensorSpec:
    shape = cast("list[int | str | None]", value.shape)
    if value.type not in _DTYPES or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise BundleRefused(f"'{value.name}' is {value.type} {shape}; only static tensors are supported")
    spec = TensorSpec(value.name, np.dtype(_DTYPES[value.type]), cast("tuple[int, ...]", tuple(shape)))
    if (size := math.prod(spec.shape) * spec.dtype.itemsize) > MAX_TENSOR_BYTES:
        raise BundleRefused(
            f"'{value.name}' {shape} takes {size:.3g} bytes (limit {MAX_TENSOR_BYTES})", "export it again"
        )
    return spec


class _OutputBuffers:
    """One set of output buffers, with a binding that writes into them."""

    def __init__(self, session: Any, specs: tuple[TensorSpec, ...]) -> None:
        self.binding: Any = session.io_binding()
        self.arrays: dict[str, Tensor] = {spec.name: np.empty(spec.shape, spec.dtype) for spec in specs}
        for spec in specs:
            address = self.arrays[spec.name].ctypes.data
            self.binding.bind_output(spec.name, "cpu", 0, spec.dtype, spec.shape, address)
