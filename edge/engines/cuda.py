"""CUDA through cuda-python: one device, one stream, memory that is allocated once.

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

from edge.board.identity import NONE, UNKNOWN, read_l4t
from edge.board.tree import Tree
from edge.bundle.manifest import Target
from edge.errors import EngineFault, HardwareMissing, install_hint, reason_of
from edge.interfaces import Tensor, TensorSpec

_ROOT = Path("/")  # where a machine's own files begin


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a TensorRT plan is tied to."""

    device: str  # for people: "NVIDIA Jetson AGX Orin Developer Kit, sm_87"
    sm: str  # compute capability, "87"
    multiprocessors: int  # an Orin NX and an AGX Orin differ in them alone
    jetpack: str  # Linux for Tegra, "L4T 36.4.3"; "unknown" if a Jetson does not tell, "none" elsewhere

    def target(self, tensorrt: str) -> Target:
        """Return what a manifest says of plans that this version of TensorRT has built here."""
        return Target(
            engine="tensorrt",
            device=self.device,
            sm=self.sm,
            multiprocessors=self.multiprocessors,
            tensorrt=tensorrt,
            jetpack=self.jetpack,
        )


@cache
def driver() -> Any:
    """Return cuda-python's driver API, initialised. Call this before TensorRT, which can crash without it.

    Raises HardwareMissing if there is no cuda-python, no driver or no GPU.
    """
    api = _cuda_python("driver")
    try:
        status, *_ = api.cuInit(0)
    except RuntimeError as error:  # cuda-python finds no libcuda
        raise HardwareMissing(
            f"there is no NVIDIA driver: {reason_of(error)}",
            "bundles without plans need none, or --engine cpu",
        ) from error
    if int(status) != 0:
        raise HardwareMissing(
            f"the NVIDIA driver does not start: {status.name}", "`nvidia-smi` says what it sees"
        )
    return api


def this_machine() -> Machine:
    """Return this machine, by its first GPU. Raises HardwareMissing if it has none."""
    api = driver()
    kind = api.CUdevice_attribute
    device = _value(api.cuDeviceGet(0))
    major, minor, count = (
        int(_value(api.cuDeviceGetAttribute(attribute, device)))
        for attribute in (
            kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            kind.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        )
    )
    # Drivers pad the name with NULs and then blanks, so what follows the first NUL is not part of it.
    gpu = bytes(_value(api.cuDeviceGetName(100, device))).partition(b"\0")[0].decode().strip()
    tree = Tree(_ROOT)
    board, l4t = tree.text("/proc/device-tree/model") or gpu, read_l4t(tree)
    jetpack = l4t if l4t in (NONE, UNKNOWN) else f"L4T {l4t}"
    return Machine(f"{board}, sm_{major}{minor}", f"{major}{minor}", count, jetpack)


class Cuda:
    """The GPU's memory and one stream of work on it. One caller at a time."""

    def __init__(self) -> None:
        """Open a stream. Raises HardwareMissing if there is no GPU, EngineFault if the GPU fails."""
        driver()
        self._api = _cuda_python("runtime")
        self._fault = ""
        stream = self.call("StreamCreateWithFlags", self._api.cudaStreamNonBlocking)
        self._stream: Any = stream
        self.stream = int(stream)  # the handle that TensorRT takes

    def call(self, name: str, *arguments: object) -> Any:
        """Call a function of the CUDA runtime, named without prefix; return its value besides the status.

        Raises EngineFault if it fails, or if any call failed before.
        """
        if self._fault:
            raise EngineFault(f"the GPU failed before: {self._fault}", "start the program again")
        status, *values = getattr(self._api, f"cuda{name}")(*arguments)
        if int(status) != 0:
            self._fault = f"{status.name} in cuda{name}"
            raise EngineFault(f"the GPU failed: {self._fault}", "start the program again")
        return values[0] if values else None

    def allocate(self, size_bytes: int) -> int:
        """Allocate zeroed memory of the GPU and return its address."""
        address = int(self.call("Malloc", max(size_bytes, 1)))
        self.call("MemsetAsync", address, 0, size_bytes, self._stream)
        return address

    def free(self, address: int) -> None:
        """Free memory of `allocate`. After a fault nothing: then the driver frees it with the process."""
        if not self._fault:
            self.call("Free", address)

    def allocate_pinned(self, spec: TensorSpec) -> Tensor:
        """Allocate an array in pinned host memory, which the GPU reads and writes by itself."""
        size = int(np.prod(spec.shape)) * spec.dtype.itemsize
        address = int(self.call("MallocHost", max(size, 1)))
        memory: Any = (ctypes.c_uint8 * size).from_address(address)
        return np.ndarray(spec.shape, spec.dtype, buffer=memory)

    def free_pinned(self, array: Tensor) -> None:
        """Free an array of `allocate_pinned`."""
        if not self._fault:
            self.call("FreeHost", array.ctypes.data)

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Enqueue a copy between addresses of `allocate` and `allocate_pinned`."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDefault
        self.call("MemcpyAsync", to, source, size_bytes, kind, self._stream)

    def synchronize(self) -> None:
        """Wait until the stream is empty."""
        self.call("StreamSynchronize", self._stream)

    def capture(self, work: Callable[[], bool]) -> Any:
        """Return a graph of what `work` enqueues, for `launch_graph`, without running it.

        None if `work` returns False or does what can't be captured; the stream can be used on then.
        """
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("StreamBeginCapture", self._stream, mode)
        worked = work()
        status, graph = self._api.cudaStreamEndCapture(self._stream)
        if not worked or int(status) != 0:
            self._api.cudaGetLastError()  # clears the error, or the next caller would get it
            return None
        launchable = self.call("GraphInstantiate", graph, 0)
        self.call("GraphDestroy", graph)
        return launchable

    def launch_graph(self, graph: Any) -> None:
        """Enqueue a captured graph."""
        self.call("GraphLaunch", graph, self._stream)

    def destroy_graph(self, graph: Any) -> None:
        """Free a captured graph."""
        if not self._fault:
            self.call("GraphExecDestroy", graph)


@cache
def cuda() -> Cuda:
    """Return the Cuda of this process."""
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
            install_hint("jetson"),
        ) from error
