"""Files and folders that appear whole or not at all; and JSON of others, read within bounds.

What is written goes to a temporary path in the same folder and takes its place by one rename. A full disk, an
exception and a SIGKILL leave what was there before; only a SIGKILL leaves the temporary path behind.
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn


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


def free_path(path: Path) -> Path:
    """Return the path with -2, -3 … behind its name if it is taken; absolute."""
    path, number = path.absolute(), 1
    tried = path
    while tried.exists():
        number += 1
        tried = path.with_stem(f"{path.stem}-{number}")
    return tried


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def foreign_json(content: bytes | str) -> Any:
    """Return the value of JSON that somebody else wrote.

    Raises ValueError for what is not JSON, a key that comes twice in one object, a number that is not finite,
    and brackets that are nested too deep to be read.
    """
    try:
        return _DECODER.decode(content.decode() if isinstance(content, bytes) else content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} comes twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is not finite")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number)
