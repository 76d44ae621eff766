"""Where views of a board come from: pictures, a video, or a live camera that a person is guided at."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from calibration.camera.views import FEWEST_VIEWS, MOST_VIEWS, ViewCollector
from edge.cameras.open import EndOfFrames
from edge.cameras.recordings.pictures import find_pictures, read_picture
from edge.cameras.recordings.video import Video
from edge.commands.output import ProgressLine, counted
from edge.errors import StaleFrame, UsageError, write_hint
from edge.files import write_whole
from edge.interfaces import AwaitsAnswers, Camera
from edge.records import Frame, Image

VIDEO_HZ = 5.0  # so many images of a video are looked at for each second of it
LIVE_PAUSE_S = 0.15
MAX_AGE_S = 0.5
SILENT_LIMIT_S = 10.0


def collect_recorded(path: Path, collector: ViewCollector) -> None:
    """Offer the pictures of a folder, one picture, or the frames of a video.

    Raises HardwareMissing if it can't be read.
    """
    pictures = find_pictures(path)
    images = ((each.name, read_picture(each)) for each in pictures) if pictures else _of_video(path)
    with ProgressLine() as progress:
        for name, image in images:
            collector.offer(name, image)
            kept = counted(len(collector.views), "view")
            progress.show("pictures looked at", collector.offered, max(len(pictures), 1), kept)
            if len(collector.views) >= MOST_VIEWS:
                return


def _of_video(path: Path) -> Iterator[tuple[str, Image]]:
    with Video(path) as video:
        every = max(1, round(video.rate_hz / VIDEO_HZ))
        for index, timed in enumerate(video.images()):
            if index % every == 0:
                yield f"{timed.at_s:.1f} s", timed.image


def collect_live(camera: Camera, collector: ViewCollector, limit_s: float, folder: Path) -> None:
    """Offer a camera's frames and say what is missing, until nothing is or the time is over.

    The kept views are saved in `folder`. Raises StaleFrame if no frame comes, UsageError if it is full.
    """
    begun_s = time.monotonic()
    with ProgressLine() as progress:
        for frame in _fresh(camera, begun_s + limit_s):
            why = collector.offer(f"view-{len(collector.views):02}", frame.image)
            needs = collector.missing()
            if not why:
                _keep(folder / f"{collector.views[-1].name}.png", frame.image)
            wants = f"show {needs[0]}" if needs else "done"
            done = min(len(collector.views), FEWEST_VIEWS)
            progress.show("views", done, FEWEST_VIEWS, f"{wants} ({why or 'kept'})")
            if not needs or len(collector.views) >= MOST_VIEWS:
                return


def _fresh(camera: Camera, until_s: float) -> Iterator[Frame]:
    """Yield a camera's frames, each once, until a time or the end of a recording."""
    seq, seen_s = -1, time.monotonic()
    while time.monotonic() < until_s:
        try:
            frame = camera.latest(MAX_AGE_S)
        except EndOfFrames:
            return
        except StaleFrame:
            if time.monotonic() - seen_s > SILENT_LIMIT_S:
                raise
            time.sleep(0.02)
            continue
        if frame.seq == seq:
            time.sleep(0.01)
            continue
        seq, seen_s = frame.seq, time.monotonic()
        yield frame
        if isinstance(camera, AwaitsAnswers):
            camera.answered()
        else:
            time.sleep(LIVE_PAUSE_S)


def _keep(path: Path, image: Image) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}", write_hint(error)) from error
