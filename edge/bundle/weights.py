"""The weights file of a large bundle: tensors that its graphs share, kept outside of their ONNX files.

Engines must get what was verified, and a file on disk may change after that. So it is read once, into a
private folder in memory, where ONNX Runtime maps it: graphs share its pages, and there is no second copy.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import IO

import psutil

from edge.errors import HardwareMissing

ROLE = "weights"  # its role in a manifest's files
_MEMORY = Path("/dev/shm")
_PREFIX = "vla-edge-weights-"
_BLOCK_BYTES = 4 << 20


class Weights:
    """A weights file that only this process writes.

    Close or drop it once the engines are built: the pages that they have mapped stay theirs.
    """

    def __init__(self, file: Path, sha256: str, own: Path | None = None) -> None:
        """Take `file` as it is; `own`, the folder that it is alone in, is removed with this object."""
        self.file, self.sha256 = file, sha256
        self._bytes = file.stat().st_size
        self._remove = weakref.finalize(self, _remove, _locked(file), own) if own is not None else None

    @classmethod
    def of(cls, file: Path) -> "Weights":
        """Take a file where nobody else writes, such as in an export's work folder, and hash it."""
        digest = hashlib.sha256()
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK_BYTES):
                digest.update(block)
        return cls(file, digest.hexdigest())

    @classmethod
    def copied(cls, source: IO[bytes], name: str, size_bytes: int) -> "Weights":
        """Return a private copy of a file's first `size_bytes`, with one byte more if it is longer.

        Raises HardwareMissing if there is room neither in memory nor in the folder for temporary files.
        """
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_roomy_folder(name, size_bytes)))
        digest, left = hashlib.sha256(), size_bytes + 1
        file = own / name
        # Until this copy has its lock, no other process may look for copies that were left behind.
        with _alone(own.parent):
            copy = file.open("xb")
            fcntl.flock(copy, fcntl.LOCK_SH | fcntl.LOCK_NB)
        try:
            with copy:
                while left and (block := source.read(min(_BLOCK_BYTES, left))):
                    digest.update(block)
                    copy.write(block)
                    left -= len(block)
                copy.flush()
                return cls(file, digest.hexdigest(), own)
        except BaseException as error:
            shutil.rmtree(own, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise HardwareMissing(
                f"{name} can't be copied to {own}: {error.strerror}",
                "close other programs, or set TMPDIR to a folder on a larger disk",
            ) from error

    def __len__(self) -> int:
        return self._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weights) and other.sha256 == self.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def close(self) -> None:
        """Remove the private copy."""
        if self._remove is not None:
            self._remove()


def _remove(lock: IO[bytes], folder: Path) -> None:
    lock.close()
    shutil.rmtree(folder, ignore_errors=True)


def _locked(file: Path) -> IO[bytes]:
    """Lock a file until the process ends: the next one sees by it which copies were left behind."""
    opened = file.open("rb")
    fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return opened


def _roomy_folder(name: str, size_bytes: int) -> Path:
    """Return a folder with room for the file: in memory, else on disk."""
    folders = [folder for folder in (_MEMORY, Path(tempfile.gettempdir())) if folder.is_dir()]
    for folder in folders:
        _remove_left_behind(folder)
        free_bytes = shutil.disk_usage(folder).free
        if folder == _MEMORY:
            free_bytes = min(free_bytes, psutil.virtual_memory().available)
        if size_bytes < free_bytes:
            return folder
    raise HardwareMissing(
        f"{name} takes {size_bytes / 1e9:.2f} GB, more than is free in {' or '.join(map(str, folders))}",
        "close other programs, or set TMPDIR to a folder on a larger disk",
    )


def _remove_left_behind(folder: Path) -> None:
    """Remove the copies of processes that were killed."""
    with contextlib.suppress(OSError), _alone(folder):  # a folder that can't be written has no copies
        for left in folder.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # it is another user's, in use, or gone
                if left.lstat().st_uid == os.getuid() and left.is_dir() and not left.is_symlink():
                    for file in left.glob("*.bin"):
                        _check_unused(file)
                    shutil.rmtree(left, ignore_errors=True)


def _check_unused(file: Path) -> None:
    """Check that no process holds a copy. Raises OSError if one does, or it is not a plain file."""
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(f"{file} is not a plain file")
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Hold a lock that one process of this user has at a time."""
    lock = os.open(folder / f".{_PREFIX}lock-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
