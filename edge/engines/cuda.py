"""CUDA through cuda-python: one device, one stream, memory that is taken once.

After a CUDA error nothing that the process computes can be trusted: every error raises EngineFault, and so
does every call after it. The process has to end.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import EngineFault, HardwareMissing
from edge.interfaces import Tensor, TensorSpec

_MODEL = Path("/proc/device-tree/model")  # of boards such as Jetsons
_L4T = Path("/etc/nv_tegra_release")  # "# R36 (release), REVISION: 4.3, GCID: ..."


@dataclass(frozen=True, slots=True)
class Machine:
    """What a TensorRT plan is tied to, besides TensorRT's version."""

    device: str  # "NVIDIA Jetson AGX Orin Developer Kit, sm_87"
    sm: str  # compute capability, "87"
    jetpack: str  # its Linux for Tegra, "L4T 36.4.3"; "none" on other machines


@cache
def driver() -> Any:
    """cuda-python's driver API, initialised. TensorRT can crash without a driver: call this before it.

    Raises HardwareMissing where there is no cuda-python, no driver or no GPU.
    """
    api = _cuda_python("driver")
    try:
        status, *_ = api.cuInit(0)
    except RuntimeError as error:  # cuda-python finds no libcuda
        raise HardwareMissing(
            f"there is no NVIDIA driver: {error}", "bundles without plans need none"
        ) from error
    if int(status) != 0:
        raise HardwareMissing(
            f"the NVIDIA driver does not start: {status.name}", "`nvidia-smi` says what it sees"
        )
    return api


def this_machine() -> Machine:
    """Return the first GPU of this machine. Raises HardwareMissing where there is none."""
    api = driver()
    kind = api.CUdevice_attribute
    device = _value(api.cuDeviceGet(0))
    major = _value(api.cuDeviceGetAttribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
    minor = _value(api.cuDeviceGetAttribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
    # Drivers pad the name with NULs and then blanks, so what follows the first NUL is not part of it.
    gpu = bytes(_value(api.cuDeviceGetName(100, device))).partition(b"\0")[0].decode().strip()
    board = _MODEL.read_text().rstrip("\0") if _MODEL.is_file() else gpu
    return Machine(f"{board}, sm_{major}{minor}", f"{major}{minor}", _l4t())


def _l4t() -> str:
    if not _L4T.is_file():
        return "none"
    words = _L4T.read_text().replace(",", " ").split()
    return f"L4T {words[1].removeprefix('R')}.{words[words.index('REVISION:') + 1]}"


class Cuda:
    """The GPU's memory and one stream of work on it. One caller at a time."""

    def __init__(self) -> None:
        """Raises HardwareMissing where there is no GPU, EngineFault where it takes no work."""
        driver()
        self._api = _cuda_python("runtime")
        self._fault = ""
        stream = self.call("StreamCreateWithFlags", self._api.cudaStreamNonBlocking)
        self._stream: Any = stream
        self.stream = int(stream)  # the handle that TensorRT takes

    def call(self, name: str, *arguments: object) -> Any:
        """Return a function of the CUDA runtime without its prefix; what it gives besides the status."""
        if self._fault:
            raise EngineFault(f"the GPU failed before: {self._fault}", "start the program again")
        status, *values = getattr(self._api, f"cuda{name}")(*arguments)
        if int(status) != 0:
            self._fault = f"{status.name} in cuda{name}"
            raise EngineFault(f"the GPU failed: {self._fault}", "start the program again")
        return values[0] if values else None

    def take(self, size_bytes: int) -> int:
        """Zeroed memory of the GPU; its address."""
        address = int(self.call("Malloc", max(size_bytes, 1)))
        self.call("MemsetAsync", address, 0, size_bytes, self._stream)
        return address

    def give_back(self, address: int) -> None:
        """Frees what `take` gave; nothing after a fault, when the driver frees it with the process."""
        if not self._fault:
            self.call("Free", address)

    def take_pinned(self, spec: TensorSpec) -> Tensor:
        """Return an array in memory of the host that the GPU reads and writes by itself."""
        size = int(np.prod(spec.shape)) * spec.dtype.itemsize
        address = int(self.call("MallocHost", max(size, 1)))
        memory: Any = (ctypes.c_uint8 * size).from_address(address)
        return np.ndarray(spec.shape, spec.dtype, buffer=memory)

    def give_back_pinned(self, array: Tensor) -> None:
        """Frees what `take_pinned` gave."""
        if not self._fault:
            self.call("FreeHost", array.ctypes.data)

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Put a copy into the stream. Addresses are those of `take` and `take_pinned`."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDefault
        self.call("MemcpyAsync", to, source, size_bytes, kind, self._stream)

    def wait(self) -> None:
        """Until the stream is empty."""
        self.call("StreamSynchronize", self._stream)

    def capture(self, work: Callable[[], bool]) -> Any:
        """Return a graph of what `work` puts into the stream, for `launch`; nothing runs. None where `work`
        gives False or does what can't be captured, which harms nothing."""
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("StreamBeginCapture", self._stream, mode)
        worked = work()
        status, graph = self._api.cudaStreamEndCapture(self._stream)
        if not worked or int(status) != 0:
            self._api.cudaGetLastError()  # it would be told to the next caller
            return None
        launchable = self.call("GraphInstantiate", graph, 0)
        self.call("GraphDestroy", graph)
        return launchable

    def launch(self, graph: Any) -> None:
        """Put a captured graph into the stream."""
        self.call("GraphLaunch", graph, self._stream)

    def drop(self, graph: Any) -> None:
        """Frees a captured graph."""
        if not self._fault:
            self.call("GraphExecDestroy", graph)


@cache
def cuda() -> Cuda:
    """Return the one of this process."""
    return Cuda()


def _value(answer: tuple[Any, ...]) -> Any:
    status, value = answer
    if int(status) != 0:
        raise HardwareMissing(f"there is no NVIDIA GPU: {status.name}", "`nvidia-smi` says what it sees")
    return value


def _cuda_python(module: str) -> Any:
    try:
        return import_module(f"cuda.bindings.{module}")
    except ModuleNotFoundError as error:
        raise HardwareMissing(
            "plans need the Python package cuda-python, which is not installed",
            "pip install 'vla-edge[jetson]'",
        ) from error
