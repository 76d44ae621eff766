"""The files in which a machine describes itself, from its root or from a folder that pretends to be one."""

import glob
import os
import re
from pathlib import Path

_CHUNK_BYTES = 1 << 16
_MAX_BYTES = 16 << 20


class Tree:
    """Small text files below a root. What is not there, or can't be read now, is None; nothing raises."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    @property
    def live(self) -> bool:
        """True if this is the machine itself, so that its programs may be asked too."""
        return self.root.absolute() == Path("/")

    def path(self, name: str) -> Path:
        """Return where the absolute path `name` is."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """Return a file's text without the blanks and NULs around it; None if it can't be read."""
        try:
            content = _read(self.path(name))
        except (OSError, ValueError):
            return None
        return content.decode(errors="replace").strip("\0 \t\r\n")

    def number(self, name: str) -> float | None:
        """Return the file's number; None if it is not one."""
        text = self.text(name)
        return float(text) if text is not None and re.fullmatch(r"-?\d+(\.\d+)?", text) else None

    def there(self, name: str) -> bool:
        """Return True if there is such a file, folder or link."""
        return os.path.lexists(self.path(name))

    def names(self, pattern: str) -> list[str]:
        """Return the absolute names that match a pattern such as /sys/class/hwmon/*, in natural order."""
        # Unlike pathlib's, this one goes on when a folder, such as that of a process, has just gone.
        names = [f"/{name}" for name in glob.glob(pattern.lstrip("/"), root_dir=self.root)]  # noqa: PTH207
        return sorted(names, key=lambda name: [_number(part) for part in re.split(r"(\d+)", name)])

    def link(self, name: str) -> str:
        """Return the last part of what a link points to, such as a driver's name; empty without a link."""
        try:
            return self.path(name).readlink().name
        except OSError:
            return ""


def _read(path: Path) -> bytes:
    """Read a whole file. Sensors may answer "try again", which buffered reading turns into a TypeError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        parts: list[bytes] = []
        while (part := os.read(handle, _CHUNK_BYTES)) and sum(map(len, parts)) < _MAX_BYTES:
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def _number(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)
