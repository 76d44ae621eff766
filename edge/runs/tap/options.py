"""What the process behind a tap shall keep of a run."""

from dataclasses import dataclass
from enum import Enum


class Images(Enum):
    """Which images of a drive a recording holds."""

    LOSSLESS = "lossless"  # every image that the policy saw, to the last bit
    JPEG = "jpeg"  # every one, compressed
    FEW = "few"  # at most 10 a second of each camera, small: for the last seconds of a run


QUEUED_EVENTS = 1024  # six seconds of a drive: so long its process may need to start on a busy machine
QUEUED_IMAGES = 16  # among them, at most: nothing else holds pixels
# Images come and go: memory that is given back to the system after each has to be cleared for the next.
KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
FEW_PERIOD_NS = 100_000_000
RGB, JPEG = "rgb8", "jpeg"  # encodings of an image's bytes


@dataclass(frozen=True, slots=True)
class TapOptions:
    """Paths are absolute; an empty one is not written."""

    folder: str  # the run's: it gets decisions.jsonl, and last30s.mcap if the run ends badly
    recording: str = ""  # the MCAP file of the whole run
    images: Images = Images.LOSSLESS  # in it, and in one that a person begins
    ring: bool = True  # keep the last seconds
    video: str = ""  # the MP4 file
    page_fd: int = -1  # the socket of the live page
    foxglove_port: int = 0  # where Foxglove's app finds the drive; 0: nowhere
    rerun: str = ""  # the URL of Rerun's viewer, or the path of a file for it
    later: str = ""  # the MCAP file of a recording that a person begins; -2, -3 … where it is taken
    root: str = "/"  # where the machine's own files are

    @property
    def all_images(self) -> bool:
        """True if every image is wanted from the start."""
        return bool(self.recording)
