"""Records a whole run into one MCAP file."""

import subprocess
from pathlib import Path

import edge
from edge.runs.recording.images import as_jpeg
from edge.runs.recording.mcap_file import McapFile
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import wall_minus_monotonic_ns
from edge.runs.tap.options import Images
from edge.runs.tap.plain import to_line


class Recorder:
    """A consumer that writes every event into a file."""

    def __init__(self, path: Path, images: Images) -> None:
        self.name = str(path)
        self._path, self._images = path, images
        self._file: McapFile | None = None
        self.bytes = 0  # in the file; what is packed and not yet written comes later

    def take(self, event: TapEvent) -> None:
        """Write an event."""
        if self._file is None:
            self._file = McapFile(self._path, packed=self._images is not Images.LOSSLESS)
        jpeg = event.topic == "image" and self._images is Images.JPEG
        self._file.write(as_jpeg(event) if jpeg else event)
        self.bytes = self._file.bytes

    def finish(self, whole: bool) -> list[str]:
        """Write the index. Returns a note if the file has gone meanwhile."""
        if self._file is None:
            return []
        self._file.close()
        self.bytes = self._file.bytes
        if not self._path.exists():
            return [f"{self._path} is gone: was its card pulled?"]
        return []


def completed_header(event: TapEvent) -> TapEvent:
    """Return the header with what takes too long for a runtime to find out, and the clock of the file."""
    facts = {**event.data, "commit": _commit(), "wall_minus_monotonic_ns": wall_minus_monotonic_ns()}
    return TapEvent(event.topic, event.seq, event.stamp_ns, to_line(facts))


def _commit() -> str | None:
    """Return the commit that this program was checked out at; None outside of a checkout."""
    root = Path(edge.__file__ or ".").absolute().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
