"""What engines share whose tensors live in a GPU's memory. They allocate when they open, never in a call."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from edge.engines.cuda import Cuda
from edge.errors import EngineFault
from edge.interfaces import Closing, Tensor, TensorSpec


class OnDevice:
    """An output that stayed in the GPU's memory.

    Another engine takes it as an input without a copy to the host; `np.asarray` copies it there. Valid until
    its engine runs again; that run may still take it as an input.
    """

    def __init__(self, engine: "DeviceEngine", spec: TensorSpec, address: int, run: int) -> None:
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


class DeviceEngine(Closing):
    """One graph with static shapes on the GPU, between buffers that keep their addresses.

    Outputs live in two sets of host buffers that take turns, as those of ONNX Runtime on the CPU: what a call
    returns stays valid through the next call. Outputs named in `resident` stay on the GPU as `OnDevice` and
    are not checked: NaN in them shows in the outputs that are computed from them.
    """

    def __init__(
        self,
        cuda: Cuda,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        resident: frozenset[str],
    ) -> None:
        """Allocate all buffers. Raises EngineFault if the GPU fails, or has no memory for them."""
        self.inputs, self.outputs = inputs, outputs
        self.runs = 0
        self._cuda, self._resident = cuda, resident
        self._addresses = {spec.name: cuda.allocate(_bytes(spec)) for spec in inputs + outputs}
        self._host_inputs = {spec.name: cuda.allocate_pinned(spec) for spec in inputs}
        read = [spec for spec in outputs if spec.name not in resident]
        self._host_outputs = [{spec.name: cuda.allocate_pinned(spec) for spec in read} for _ in range(2)]

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
        for address in self._addresses.values():
            self._cuda.free(address)
        for buffers in (self._host_inputs, *self._host_outputs):
            for array in buffers.values():
                self._cuda.free_pinned(array)
        self._addresses, self._host_inputs, self._host_outputs = {}, {}, []

    @abstractmethod
    def _launch(self) -> None:
        """Enqueue the graph on the stream. Raises EngineFault if it does not start."""

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


def _bytes(spec: TensorSpec) -> int:
    return int(np.prod(spec.shape)) * spec.dtype.itemsize
