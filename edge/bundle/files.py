"""The files of a bundle, read whole and without following links, written whole or not at all."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TypeAlias

from edge.bundle.weights import Weights
from edge.errors import BundleRefused, UsageError, write_hint
from edge.files import whole_folder

Content: TypeAlias = bytes | Weights
MANIFEST = "manifest.json"
REEXPORT = "export or download the bundle again"
_COPY_BYTES = 4 << 20


def check_replaceable(folder: Path) -> None:
    """Check that a folder can be written and is absent, empty, or a bundle: other content would be lost.

    Raises UsageError if not.
    """
    folder = folder.absolute()
    found = list(folder.iterdir()) if folder.is_dir() else []
    unknown = [path.name for path in found if path.is_dir() or path.is_symlink()]
    whole = not found or (MANIFEST in {path.name for path in found} and not unknown)
    if (folder.exists() or folder.is_symlink()) and not (folder.is_dir() and whole):
        raise UsageError(f"{folder} is there and is not a bundle: it would be lost", "give another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent).cleanup()
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}", "give another --out") from error


def write_files(folder: Path, files: Mapping[str, Content]) -> None:
    """Write files by their names so that `folder` is at all times absent, what it was, or whole.

    Raises UsageError if they can't be written, or the folder holds something other than a bundle; its content
    stays then.
    """
    check_replaceable(folder)
    try:
        with whole_folder(folder, replace=True) as new:
            for name, content in files.items():
                write_file(new / name, content)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}", write_hint(error)) from error


def sha256_of(content: Content) -> str:
    """Return the SHA-256 of bytes, or that of weights when they were read."""
    return content.sha256 if isinstance(content, Weights) else hashlib.sha256(content).hexdigest()


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises BundleRefused if it is another kind or above the limit."""
    with _open_file(path) as file:
        content = file.read(limit_bytes + 1)
    _check_size(path, len(content), limit_bytes)
    return content


def read_weights(path: Path, limit_bytes: int) -> Weights:
    """Return a private copy, as `read_file` does. Raises HardwareMissing if there is no room for it."""
    with _open_file(path) as file:
        weights = Weights.copied(file, path.name, limit_bytes)
    _check_size(path, len(weights), limit_bytes)
    return weights


def _open_file(path: Path) -> IO[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BundleRefused(f"cannot read {path}: {error.strerror}", REEXPORT) from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise BundleRefused(f"{path} is not a regular file", REEXPORT)
    return file


def _check_size(path: Path, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise BundleRefused(f"{path} is larger than {limit_bytes} bytes", REEXPORT)


def write_file(path: Path, content: Content) -> None:
    """Write a file and wait until it is on the disk. Raises OSError if it can't be written."""
    with path.open("wb") as file:
        if isinstance(content, Weights):
            with content.file.open("rb") as source:
                shutil.copyfileobj(source, file, _COPY_BYTES)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
