"""A camera without a sensor: `python -m benchmarks.drives.camera` shows pictures through shared memory.

It stamps each frame with the moment at which it is due, as a sensor stamps the exposure, and ends when its
standard input does.
"""

import argparse
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from edge.cameras.shm import FrameRing
from edge.child import child_environment

RATE_HZ = 30.0
EACH_S = 1.0  # a picture is shown for so long


def start_camera(ring: str, pictures: Path, rate_hz: float) -> "subprocess.Popen[bytes]":
    """Start the camera; it has frames once `Popen.stdout` has given a line."""
    command = [sys.executable, "-m", "benchmarks.drives.camera", "--ring", ring]
    command += ["--pictures", str(pictures), "--rate-hz", str(rate_hz)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=child_environment(),
    )


def main() -> int:
    """Show the pictures until standard input ends."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.drives.camera", description="The camera.")
    p.add_argument("--ring", required=True)
    p.add_argument("--pictures", type=Path, required=True)
    p.add_argument("--rate-hz", type=float, required=True)
    a = p.parse_args()
    pictures = np.load(a.pictures, mmap_mode="r")
    period_ns, each = round(1e9 / a.rate_hz), max(1, round(EACH_S * a.rate_hz))
    with FrameRing.create(a.ring, *pictures.shape[2:4]) as ring:
        print("ready", flush=True)
        due_ns, number = time.monotonic_ns(), 0
        while not select.select([sys.stdin], [], [], max(0, due_ns - time.monotonic_ns()) / 1e9)[0]:
            picture = pictures[number // each % len(pictures), number % pictures.shape[1]]
            ring.write(picture, due_ns)
            late = max(0, time.monotonic_ns() - due_ns) // period_ns  # frames that are left out
            due_ns, number = due_ns + (1 + late) * period_ns, number + 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
