"""How old a camera's images are: `python -m benchmarks.cameras`.

It reads the RTSP server beside this file, whose images carry the time at which they were drawn, stalls the
reader for two seconds in the middle, then the camera's process, and measures the images' age. What a camera
costs is in `vla-edge bench compare`.
"""

import argparse
import json
import os
import signal
import time
from typing import Any

import numpy as np

from benchmarks.cameras.serving import CODECS, serving
from edge.records import Image

STALL_S = 2.0
SETTLE_S = 0.5  # after a stall the images must be fresh again by then


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


def main() -> None:
    """Print one JSON line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--codec", choices=CODECS, default=CODECS[0])
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp")
    options = parser.parse_args()
    with serving() as host:
        url = f"rtsp://{host}/{options.codec}?transport={options.transport}"
        for stall_child in (False, True):
            print(json.dumps(measure_lag(url, options.seconds, stall_child)), flush=True)
