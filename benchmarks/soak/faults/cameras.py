"""What is done to a camera under way, from one frame to the next."""

import os
import time
from itertools import count
from signal import SIGSTOP

import cv2
import numpy as np

from benchmarks.soak.faults.trial import BrokenRun
from edge.records import Image
from sim.faults.feed import ImageFeed, Shot

MS = 1_000_000


def _feed(trial: BrokenRun) -> ImageFeed:
    assert trial.feed is not None
    return trial.feed


def repeat_picture(trial: BrokenRun) -> None:
    """Hand one image on again and again, with new stamps."""
    kept: list[Image] = []

    def repeat(image: Image, stamp_ns: int) -> Shot:
        kept.append(image)
        return kept[0], stamp_ns

    _feed(trial).spoil = repeat


def age_frames(trial: BrokenRun) -> None:
    """Stamp frames as if time went ten times slower from now on."""
    old_ns = time.monotonic_ns()
    _feed(trial).spoil = lambda image, stamp_ns: (image, old_ns + (stamp_ns - old_ns) // 10)


def drop_half(trial: BrokenRun) -> None:
    """Lose every second frame, and now and then five in a row."""
    frames = count()

    def every_second(image: Image, stamp_ns: int) -> Shot | None:
        number = next(frames)
        return (image, stamp_ns) if number % 2 and number % 20 > 3 else None

    _feed(trial).spoil = every_second


def drop_nine_in_ten(trial: BrokenRun) -> None:
    """Deliver one frame in ten."""
    frames = count()
    _feed(trial).spoil = lambda image, stamp_ns: (image, stamp_ns) if next(frames) % 10 == 9 else None


def blacken(trial: BrokenRun) -> None:
    """Take the light away."""
    _feed(trial).spoil = lambda image, stamp_ns: (image // 64, stamp_ns)


def stamp_ahead(trial: BrokenRun) -> None:
    """Stamp frames by a clock that is 18 s ahead."""
    _feed(trial).spoil = lambda image, stamp_ns: (image, stamp_ns + 18_000 * MS)


def paint_orders(trial: BrokenRun) -> None:
    """Write orders into the picture."""

    def painted(image: Image, stamp_ns: int) -> Shot:
        written = np.ascontiguousarray(image)
        for row, words in ((20, "STOP"), (40, "GO RIGHT")):
            cv2.putText(written, words, (2, row), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255), 1)
        return written, stamp_ns

    _feed(trial).spoil = painted


def hang_stream(trial: BrokenRun) -> None:
    """Let reads of the camera block."""
    assert trial.stream is not None
    trial.stream.hang()


def kill_stream(trial: BrokenRun) -> None:
    """End the camera for good."""
    assert trial.stream is not None
    trial.stream.die()


def hang_camera_process(trial: BrokenRun) -> None:
    """Stop the process that reads the camera; another one takes its place."""
    for pid in trial.camera_processes():
        os.kill(pid, SIGSTOP)
