"""Files and folders that appear whole or not at all.

What is written goes to a temporary path in the same folder and takes its place by one rename. A full disk, an
exception and a SIGKILL leave what was there before; only a SIGKILL leaves the temporary path behind.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, sync: bool = False, temporary: Path | None = None) -> Generator[Path]:
    """Yield a temporary path; what the block has written there becomes `path` once the block has ended.

    `sync` waits until it is on the disk, for what must outlive a loss of power. `temporary` replaces the
    hidden name that is chosen otherwise; it must be on the same file system. Raises OSError.
    """
    draft = temporary or path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        if sync:
            _sync(draft)
        draft.replace(path)
        if sync:
            _sync(path.absolute().parent)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, *, sync: bool = False) -> None:
    """Write a file, text as UTF-8, so that `path` is at all times what it was or all of `content`."""
    with whole_file(path, sync=sync) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Generator[Path]:
    """Yield an empty folder beside `folder` that takes its place once the block has ended.

    `folder` is at all times absent, what it was, or whole. Without `replace` it must be absent or empty.
    Raises OSError.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    new, old = work / "new", work / "old"
    try:
        new.mkdir()
        yield new
        if replace and folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)  # the second rename has failed
        shutil.rmtree(work)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
