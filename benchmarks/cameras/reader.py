"""One reader of a camera in a process of its own: `python -m benchmarks.cameras.reader READER URL SPEC`.

Each line of the input is seconds to read for, from an opened camera to the model's tensors; each line of the
output says what a frame cost. READER is "vla-edge", "cv2", "lerobot", whose Python must have it, or
"decoding": GStreamer's decoder into nothing.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import psutil

from benchmarks.peers.process import answers
from edge.bundle.manifest import ImageSpec
from edge.errors import HardwareMissing
from edge.model.images import image_to_tensor
from edge.records import Image

WARM_UP_S = 1.5
RATE_HZ = 30  # what the server sends
Read = Callable[[], "Image | None"]
PACKAGES = {
    "vla-edge": (),
    "cv2": ("opencv-python-headless",),
    "lerobot": ("lerobot", "opencv-python-headless"),
}


@contextlib.contextmanager
def own_camera(url: str) -> Iterator[Read]:
    """Open this runtime's camera."""
    from edge.cameras.rtsp import open_address
    from edge.clock import MonotonicClock
    from edge.errors import CameraAway
    from edge.runtime.watched.camera import ANNOUNCED_S

    seqs = [-1]
    with open_address(url, MonotonicClock()) as camera:

        def newest() -> Image | None:
            camera.wait(ANNOUNCED_S)  # as a drive does
            try:
                frame = camera.latest(10.0)
            except CameraAway:  # for a moment, on a busy machine
                return None
            if frame.seq == seqs[0]:
                return None
            seqs[0] = frame.seq
            return frame.image

        yield newest


@contextlib.contextmanager
def cv2_capture(url: str) -> Iterator[Read]:
    """Open cv2.VideoCapture."""
    import cv2

    capture = cv2.VideoCapture(url)

    def read() -> Image:
        read, image = capture.read()
        if not read:
            raise HardwareMissing(f"cv2.VideoCapture reads no frame of {url}", "try again")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    try:
        yield read
    finally:
        capture.release()


@contextlib.contextmanager
def lerobot_camera(url: str) -> Iterator[Read]:
    """Open LeRobot's OpenCVCamera."""
    from lerobot.cameras.opencv import (  # pyright: ignore[reportMissingImports]
        OpenCVCamera,
        OpenCVCameraConfig,
    )

    camera = OpenCVCamera(OpenCVCameraConfig(index_or_path=url))
    camera.connect()
    try:
        yield lambda: np.asarray(camera.async_read(timeout_ms=2000), np.uint8)
    finally:
        camera.disconnect()


READERS = {"vla-edge": own_camera, "cv2": cv2_capture, "lerobot": lerobot_camera}


def read_tensors(reader: str, url: str, spec: ImageSpec, seconds: float) -> dict[str, Any]:
    """Read for so long and make tensors; returns what a frame cost the loop and all processes."""
    with READERS[reader](url) as image_of:
        own = psutil.Process()

        def spent_s() -> float:
            times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
            return sum(each.user + each.system for each in times)

        warm_s = time.monotonic() + WARM_UP_S
        while image_of() is None or time.monotonic() < warm_s:
            pass
        started_s, thread_s, cpu_s, frames = time.monotonic(), time.thread_time(), spent_s(), 0
        while time.monotonic() - started_s < seconds:
            image = image_of()
            if image is not None:
                image_to_tensor(image, spec)
                frames += 1
        wall_s, cpu_s = time.monotonic() - started_s, spent_s() - cpu_s
        thread_s = time.thread_time() - thread_s
    return {
        "cpu_ms": cpu_s / frames * 1e3,
        "loop_ms": thread_s / frames * 1e3,
        "frames_per_s": frames / wall_s,
    }


def decode_alone(url: str, seconds: float) -> dict[str, Any]:
    """Receive and decode a stream for so long, and do nothing with it: what no reader goes below."""
    pipeline = f"rtspsrc location={url} latency=0 protocols=tcp ! application/x-rtp,media=video ! decodebin"
    command = ["gst-launch-1.0", "-q", *pipeline.split(), "!", "fakesink", "sync=false"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            time.sleep(WARM_UP_S)
            before = psutil.Process(child.pid).cpu_times()
            time.sleep(seconds)
            after = psutil.Process(child.pid).cpu_times()
        finally:
            child.kill()
    spent_s = after.user + after.system - before.user - before.system
    if spent_s == 0:
        raise HardwareMissing(f"GStreamer decodes no frame of {url}", "try again")
    return {"cpu_ms": spent_s * 1e3 / (seconds * RATE_HZ)}


def main(argv: list[str]) -> None:
    """Answer until the input ends."""
    reader, url, spec_text = argv
    with answers() as out:
        spec = ImageSpec.model_validate_json(spec_text)
        if reader == "lerobot":
            import lerobot.cameras.opencv  # noqa: F401 # pyright: ignore[reportMissingImports, reportUnusedImport]
        versions = {name: version(name) for name in PACKAGES.get(reader, ())}
        print(json.dumps(versions), file=out, flush=True)
        for line in sys.stdin:
            seconds = float(line)
            decoding = reader == "decoding"
            found = decode_alone(url, seconds) if decoding else read_tensors(reader, url, spec, seconds)
            print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
