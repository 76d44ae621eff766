"""What a camera costs and how old its images are: `python -m benchmarks.cameras cost|lag`.

Both read the RTSP server beside this file, whose images carry the time at which they were drawn. `cost`
compares a frame's way into the model's tensor with cv2.VideoCapture and LeRobot's OpenCVCamera, one after the
other on the same stream. The goal is half of either peer's loop and processor share; docs/cameras.md says
where it is missed. `lag` stalls the reader for two seconds in the middle and measures the images' age.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil

from benchmarks.cameras.serving import serving
from edge.bundle.manifest import ImageSpec
from edge.errors import HardwareMissing
from edge.model.images import image_to_tensor
from edge.records import Image

STALL_S = 2.0
WARM_UP_S = 1.5
SETTLE_S = 0.5  # after a stall the images must be fresh again by then
Read = Callable[[], "Image | None"]


def content_age_ms(image: Image) -> int:
    """Return how long ago an image of the server was drawn, milliseconds."""
    height, width = image.shape[:2]
    rows = [int((row + 0.5) * height / 8) for row in range(2)]
    columns = [int((column + 0.5) * width / 16) for column in range(16)]
    bits = "".join("1" if image[y, x].mean() > 127 else "0" for y in rows for x in columns)
    return (time.monotonic_ns() // 1_000_000 - int(bits, 2)) % 2**32


def measure_lag(url: str, seconds: float, stall_child: bool) -> dict[str, Any]:
    """Read for so long, with a stall of 2 s in the middle: of this reader, or of the camera's process."""
    from edge.cameras.rtsp import open_address
    from edge.clock import MonotonicClock
    from edge.errors import StaleFrame

    ages: list[tuple[float, int, float]] = []  # seconds since the start, age of the content, of the stamp
    with open_address(url, MonotonicClock()) as camera:
        start_s, resumed_s, seq = time.monotonic(), float("inf"), -1
        while (now_s := time.monotonic() - start_s) < seconds:
            if now_s > seconds / 2 and resumed_s == float("inf"):
                if stall_child and camera.pid is not None:
                    os.kill(camera.pid, signal.SIGSTOP)
                    time.sleep(STALL_S * 0.75)  # after 2 s the child is replaced
                    os.kill(camera.pid, signal.SIGCONT)
                else:
                    time.sleep(STALL_S)
                resumed_s = time.monotonic() - start_s
            try:
                frame = camera.latest(0.25)
            except StaleFrame:
                time.sleep(0.002)
                continue
            if frame.seq != seq:
                stamp_ms = (time.monotonic_ns() - frame.stamp_ns) / 1e6
                ages.append((time.monotonic() - start_s, content_age_ms(frame.image), stamp_ms))
                seq = frame.seq
            time.sleep(0.002)
    content = np.array([age for at, age, _ in ages if at < seconds / 2])
    late = [(at - resumed_s, age) for at, age, _ in ages if at >= resumed_s]
    settled = [age for after, age in late if after >= SETTLE_S] or [-1]
    return {
        "stalled": "the camera's process" if stall_child else "the reader",
        "frames": len(ages),
        "lag_ms": {"p50": int(np.median(content)), "p99": round(float(np.percentile(content, 99)), 1)},
        "first_after_stall_ms": {"after": round(late[0][0] * 1e3), "lag": late[0][1]} if late else None,
        "lag_after_settling_ms": {
            "p50": int(np.median(settled)),
            "p99": round(float(np.percentile(settled, 99)), 1),
        },
        "stamp_minus_content_ms": round(float(np.median([stamp - age for _, age, stamp in ages])), 1),
    }


def _opened(reader: str, url: str) -> Read:
    """Open a camera; returns what gives its next image in RGB, and None while there is none."""
    if reader == "vla-edge":
        from edge.cameras.rtsp import open_address
        from edge.clock import MonotonicClock
        from edge.errors import CameraAway
        from edge.runtime.watched.camera import ANNOUNCED_S

        camera, seqs = open_address(url, MonotonicClock()), [-1]

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

        return newest
    import cv2

    if reader == "cv2":
        capture = cv2.VideoCapture(url)

        def read() -> Image:
            read, image = capture.read()
            if not read:
                raise HardwareMissing(f"cv2.VideoCapture reads no frame of {url}", "try again")
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

        return read
    from lerobot.cameras.opencv import (  # pyright: ignore[reportMissingImports]
        OpenCVCamera,
        OpenCVCameraConfig,
    )

    lerobot = OpenCVCamera(OpenCVCameraConfig(index_or_path=url))
    lerobot.connect()
    return lambda: np.asarray(lerobot.async_read(timeout_ms=2000), np.uint8)


def read_tensors(reader: str, url: str, spec: ImageSpec, seconds: float) -> dict[str, Any]:
    """Read for so long and make tensors; returns what a frame cost the loop and all processes."""
    image_of = _opened(reader, url)
    own = psutil.Process()

    def spent_s() -> float:
        times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    while image_of() is None:
        pass
    started_s, thread_s, cpu_s, frames = time.monotonic(), time.thread_time(), spent_s(), 0
    while time.monotonic() - started_s < seconds:
        image = image_of()
        if image is not None:
            image_to_tensor(image, spec)
            frames += 1
    wall_s, thread_s, cpu_s = time.monotonic() - started_s, time.thread_time() - thread_s, spent_s() - cpu_s
    return {
        "reader": reader,
        "frames_per_s": round(frames / wall_s, 1),
        "loop_ms": round(thread_s / frames * 1e3, 2),
        "processor_share": round(cpu_s / wall_s, 4),
        "processor_ms": round(cpu_s / frames * 1e3, 2),
    }


def decode_alone(url: str, seconds: float) -> dict[str, Any]:
    """Receive and decode a stream for so long, and do nothing with it: what no reader goes below."""
    pipeline = f"rtspsrc location={url} latency=0 protocols=tcp ! application/x-rtp,media=video ! decodebin"
    command = ["gst-launch-1.0", "-q", *pipeline.split(), "!", "fakesink", "sync=false"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            time.sleep(WARM_UP_S)
            before, started_s = psutil.Process(child.pid).cpu_times(), time.monotonic()
            time.sleep(seconds)
            after, wall_s = psutil.Process(child.pid).cpu_times(), time.monotonic() - started_s
        finally:
            child.kill()
    share = (after.user + after.system - before.user - before.system) / wall_s
    return {"reader": "decoding alone", "processor_share": round(share, 4)}


def measure_cost(url: str, seconds: float, lerobot_python: str) -> Iterator[dict[str, Any]]:
    """Run each reader in a process of its own, one after the other, then the decoder alone."""
    from edge.bundle.bundle import load_bundle
    from edge.bundle.choice import AUTO

    spec = load_bundle(AUTO).manifest.image.model_dump_json()
    pythons = {"vla-edge": sys.executable, "cv2": sys.executable}
    if lerobot_python:
        pythons["lerobot"] = lerobot_python
    for reader, python in pythons.items():
        command = [python, "-m", "benchmarks.cameras", "read", "--reader", reader, "--url", url]
        command += ["--spec", spec, "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        last = done.stderr.strip().splitlines()[-1:]
        yield (
            json.loads(done.stdout.splitlines()[-1])
            if done.returncode == 0
            else {"reader": reader, "error": last}
        )
    yield decode_alone(url, seconds)


def main() -> None:
    """Print one JSON line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cost", "lag", "read"))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--codec", choices=("h264", "mjpeg"), default="h264")
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("--lerobot", default="", help="the Python of a virtual environment with LeRobot")
    parser.add_argument("--reader", default="", help="for `read`, which `cost` starts")
    parser.add_argument("--url", default="")
    parser.add_argument("--spec", default="")
    options = parser.parse_args()
    if options.what == "read":
        spec = ImageSpec.model_validate_json(options.spec)
        print(json.dumps(read_tensors(options.reader, options.url, spec, options.seconds)), flush=True)
        os._exit(0)  # threads of other libraries may be in the middle of a read
    with serving() as host:
        url = f"rtsp://{host}/{options.codec}"
        if options.what == "lag":
            for stall_child in (False, True):
                url_by = f"{url}?transport={options.transport}"
                print(json.dumps(measure_lag(url_by, options.seconds, stall_child)), flush=True)
        else:
            for figures in measure_cost(url, options.seconds, options.lerobot):
                print(json.dumps(figures), flush=True)
