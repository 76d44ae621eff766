"""The camera `shm://NAME`: frames between processes through shared memory.

There is one writer and one reader, no lock, and never a torn image.

Each slot carries a counter that is odd while the slot is written (a seqlock). The header names the newest
complete slot, so a writer that dies in the middle of an image leaves the one before it readable.
"""

import ctypes
import mmap
import os
import platform
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from edge.address import Address
from edge.cameras.slot import require_fresh
from edge.cameras.view import ImageView, take_view
from edge.clock import Clock
from edge.errors import HardwareMissing, StaleFrame, UsageError
from edge.files import whole_file
from edge.interfaces import Closing
from edge.records import Frame, Image

SHARED_MEMORY = Path("/dev/shm")
MAGIC = 0x31474E4952414C56  # "VLARING1"
CACHE_LINE_BYTES = 64  # header and slots start on one
MAX_READ_TRIES = 1000
_TOO_SLOW = (
    "this machine was too slow for what makes the frames, such as the simulator: close what else uses it"
)

_FUTEX = {"x86_64": 202, "aarch64": 98}  # the number of the system call
_WAIT, _WAKE, _ALL = 0, 1, 2**31 - 1
_system_call = ctypes.CDLL(None).syscall  # Python's ints become C's, the low 32 bits of them
_Limit = ctypes.c_long * 2  # seconds and nanoseconds

_fence_lock = threading.Lock()
_kept: dict[str, int] = {}  # descriptors of rings by name


def _fence() -> None:
    """Order memory accesses around this call, which Arm does not do by itself.

    An access before a release stays before it, one after an acquire stays after it, so no access moves past
    two empty critical sections.
    """
    with _fence_lock:
        pass
    with _fence_lock:
        pass


class _Slot:
    """One image in shared memory with the words that guard it."""

    def __init__(self, memory: mmap.mmap, offset: int, height: int, width: int) -> None:
        # The words are native and aligned, so each is read and written in one access.
        self.words = np.ndarray((3,), np.uint64, memory, offset)  # counter, seq, stamp_ns
        self.pixels = np.ndarray((height, width, 3), np.uint8, memory, offset + CACHE_LINE_BYTES)


class FrameRing(Closing):
    """A ring of images in shared memory: the writer calls `create`, the reader `attach`."""

    def __init__(self, memory: mmap.mmap, height: int, width: int, slots: int, owned: Path | None) -> None:
        self.height, self.width = height, width
        self.descriptor = -1  # its memory, if that is kept
        self._owned = owned
        self._header = np.ndarray((5,), np.uint64, memory)  # magic, height, width, slots, images written
        # The kernel lets processes wait for a word: here the low half of what was written.
        word = ctypes.byref(ctypes.c_uint32.from_buffer(memory, 4 * 8))
        self._futex = partial(_system_call, _FUTEX[platform.machine()], word)
        size = _slot_bytes(height, width)
        self._slots = [_Slot(memory, CACHE_LINE_BYTES + i * size, height, width) for i in range(slots)]

    @classmethod
    def create(cls, name: str, height: int, width: int, slots: int = 4) -> "FrameRing":
        """Make the ring `name`, in place of one that a dead process may have left.

        Raises UsageError for a malformed name, HardwareMissing if there is not enough shared memory.
        """
        path = _path(name)
        size = CACHE_LINE_BYTES + slots * _slot_bytes(height, width)
        # It is complete before it has its name: a reader never meets half a header.
        with whole_file(path) as draft:
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
                ring = cls(mmap.mmap(descriptor, size), height, width, slots, owned=path)
            except OSError as error:
                raise HardwareMissing(f"camera: {size} bytes of shared memory: {error.strerror}") from error
            finally:
                os.close(descriptor)
            ring._header[:] = (MAGIC, height, width, slots, 0)
        return ring

    @classmethod
    def attach(cls, name: str, keep: bool = False) -> "FrameRing":
        """Open the ring `name` and remove its name: the memory is freed when both sides are gone.

        With `keep` its descriptor stays open until it is closed, since the name opens it no more.
        Raises UsageError for a malformed name, HardwareMissing if there is no such ring, or not a whole one.
        """
        path = _path(name)
        try:
            descriptor = _kept.pop(name, -1)
            descriptor = os.open(path, os.O_RDWR) if descriptor < 0 else descriptor
        except OSError as error:
            message = f"camera: no frames under the name {name!r}: {error.strerror}"
            raise HardwareMissing(message, hint="is the process that writes them up?") from error
        try:
            header = os.pread(descriptor, 4 * 8, 0).ljust(4 * 8, b"\0")
            magic, height, width, slots = (int(word) for word in np.frombuffer(header, np.uint64))
            if magic != MAGIC:
                raise HardwareMissing(
                    f"camera: {path} holds no frames", hint="another program uses that name"
                )
            there = os.fstat(descriptor).st_size
            size = CACHE_LINE_BYTES + slots * _slot_bytes(height, width)
            if 0 in (height, width, slots) or size != there:
                raise HardwareMissing(
                    f"camera: {path} has {there} bytes, not {size} for {slots} frames of {width} x {height}",
                    hint="its writer makes it anew",
                )
            memory = mmap.mmap(descriptor, size)
            path.unlink(missing_ok=True)
            ring = cls(memory, height, width, slots, owned=None)
            ring.descriptor = os.dup(descriptor) if keep else -1
            return ring
        finally:
            os.close(descriptor)

    @staticmethod
    def unlink(name: str) -> None:
        """Remove the ring's name, in case its writer died before a reader attached."""
        _path(name).unlink(missing_ok=True)

    def write(self, image: Image, stamp_ns: int) -> int:
        """Publish one image (H, W, 3) RGB and return its seq. Never waits for the reader.

        Raises ValueError if the image does not fit the ring.
        """
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise ValueError(f"{image.dtype}{image.shape} does not fit {self.height} x {self.width} RGB")
        seq = self.written
        slot = self._slots[seq % len(self._slots)]
        slot.words[0] += np.uint64(1)
        _fence()
        slot.words[1:] = (seq, stamp_ns)
        slot.pixels[...] = image
        _fence()
        slot.words[0] += np.uint64(1)
        _fence()
        self._header[4] = seq + 1
        self._futex(_WAKE, _ALL, None, None, 0)
        return seq

    def newest(self) -> tuple[Image, int, int] | None:
        """Return a copy of the newest complete image, its stamp_ns and its seq; None before the first.

        Raises StaleFrame if the writer overtakes every read.
        """
        for _ in range(MAX_READ_TRIES):
            written = self.written
            if written == 0:
                return None
            slot = self._slots[(written - 1) % len(self._slots)]
            before = int(slot.words[0])
            _fence()
            seq, stamp_ns = int(slot.words[1]), int(slot.words[2])
            image = np.array(slot.pixels)
            _fence()
            if before % 2 == 0 and before == int(slot.words[0]):
                return image, stamp_ns, seq
        raise StaleFrame(f"camera: {MAX_READ_TRIES} reads were overtaken", hint="add slots to the ring")

    @property
    def written(self) -> int:
        """Return how many images were published so far; cheap to poll."""
        return int(self._header[4])

    def wait(self, written: int, timeout_s: float) -> None:
        """Wait until another number of images than `written` was published, at most for so long.

        A signal ends the wait as well.
        """
        limit = _Limit(int(timeout_s), round(timeout_s % 1 * 1e9))
        self._futex(_WAIT, written & 0xFFFFFFFF, limit, None, 0)

    @property
    def newest_stamp_ns(self) -> int:
        """Return the stamp of the newest image without copying it; 0 before the first."""
        written = self.written
        return int(self._slots[(written - 1) % len(self._slots)].words[2]) if written else 0

    def close(self) -> None:
        """Remove the name if this side made the ring; the memory goes with the last object that uses it."""
        if self._owned is not None:
            self._owned.unlink(missing_ok=True)
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@runtime_checkable
class HandsOver(Protocol):
    """A camera whose memory can go on while the program that reads it is replaced."""

    def hand_over(self) -> dict[str, int]:
        """Leave it open across an exec; return what `keep_rings` then needs."""
        ...


class ShmCamera(Closing):
    """A camera whose frames another process writes into a FrameRing."""

    def __init__(
        self,
        ring_name: str,
        clock: Clock,
        name: str = "front",
        view: ImageView | None = None,
        hint: str = _TOO_SLOW,
    ) -> None:
        """Open the ring. `hint` says what to do when its frames are too old. Raises what `attach` raises."""
        self.name = name
        self._hint = hint
        self._clock = clock
        self._view = view or ImageView()
        self._ring_name = ring_name
        self._ring = FrameRing.attach(ring_name, keep=True)
        self._frame: Frame | None = None

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame. Raises StaleFrame if it is older than `max_age_s`, or if there is none."""
        if self._frame is None or self._ring.written != self._frame.seq + 1:
            newest = self._ring.newest()
            if newest is None:
                raise StaleFrame(f"camera {self.name!r}: no frame yet", hint="wait for its first frame")
            image, stamp_ns, seq = newest
            self._frame = Frame(self._view.apply(image), stamp_ns, seq, self.name)
        return require_fresh(self._frame, self._clock.now_ns(), max_age_s, self._hint)

    def wait(self, timeout_s: float) -> None:
        """Wait until there is another frame than the newest that was read, at most for so long."""
        self._ring.wait(0 if self._frame is None else self._frame.seq + 1, timeout_s)

    def hand_over(self) -> dict[str, int]:
        """Leave the ring, which has no name any more, open across an exec: for `keep_rings` after it."""
        descriptor = os.dup(self._ring.descriptor)
        os.set_inheritable(descriptor, True)
        return {self._ring_name: descriptor}

    def close(self) -> None:
        """Let go of the ring."""
        self._ring.close()


def keep_rings(descriptors: Mapping[str, int]) -> None:
    """Take rings by name and descriptor that this program's forerunner had attached: each attaches once."""
    for descriptor in descriptors.values():
        os.set_inheritable(descriptor, False)
    _kept.update(descriptors)


def open_address(address: str, clock: Clock, name: str = "front") -> ShmCamera:
    """Open `shm://NAME`, with the options of `take_view`, such as `shm://NAME?flip=180`.

    Raises UsageError for a malformed address, HardwareMissing if there is no such ring.
    """
    parts = Address(address, "camera", "such as shm://cam0?flip=180")
    view = take_view(parts)
    parts.finish()
    return ShmCamera(parts.place, clock, name, view)


def _path(name: str) -> Path:
    if not name or "/" in name or "\0" in name or name.startswith("."):
        raise UsageError(
            f"camera address 'shm://{name[:200]}': this can't name shared memory",
            "a plain word can: shm://cam0",
        )
    return SHARED_MEMORY / name


def _slot_bytes(height: int, width: int) -> int:
    """Return the size of one slot in whole cache lines: the words, then the pixels."""
    pixel_lines = -(-height * width * 3 // CACHE_LINE_BYTES)
    return (1 + pixel_lines) * CACHE_LINE_BYTES
