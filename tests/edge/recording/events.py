"""Events of a drive that never was, for what keeps them."""

from pathlib import Path

import numpy as np

from edge.interfaces import Inference, PolicyStatus
from edge.records import (
    ActionChunk,
    Box,
    Detection,
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Observation,
    Odometry,
    Outcome,
    Velocity,
)
from edge.runs.tap.events import TapEvent
from edge.runs.tap.options import Images, TapOptions
from edge.runs.tap.plain import to_line
from edge.runs.tap.tap import QUEUED_IMAGES, Tap
from tests.waiting import until

PERIOD_NS = 33_000_000
GOAL = Goal("find_object", "cup")
BOX = Detection(Box(0.25, 0.25, 0.5, 0.5), "cup", 0.96)
HEADER = {
    "format": 1, "goal": {"kind": "find_object", "target": "cup"}, "prompt": "detect cup",
    "images": "lossless", "vla_edge": "0", "bundle": {"name": "b", "sha256": "0"},
}  # fmt: skip
END = DriveEnd(Outcome.TIMEOUT, "not reached within 1 s", 3, seconds=1.0)


def frame(seq: int, size: tuple[int, int] = (48, 64)) -> Frame:
    rng = np.random.default_rng(seq)
    return Frame(rng.integers(0, 256, (*size, 3), np.uint8), 10**12 + seq * PERIOD_NS, seq)


def chunk(seq: int) -> ActionChunk:
    values = np.full((5, 3), 0.1 * (seq % 7), np.float32)
    stamp_ns = 10**12 + seq * PERIOD_NS
    return ActionChunk(values, 0.1, stamp_ns, stamp_ns + 500_000_000, 0.9, seq)


def status(seq: int) -> MotorStatus:
    stamp_ns = 10**12 + seq * PERIOD_NS + 1
    odometry = Odometry(stamp_ns, 0.1, 0.2, 0.3, Velocity())
    return MotorStatus(stamp_ns, MotorState.FOLLOWING, Velocity(0.1), decision=seq, odometry=odometry)


def drive(tap: Tap, frames: int, end: DriveEnd = END, size: tuple[int, int] = (48, 64)) -> None:
    """Tell a tap of a whole drive, an answer at every third frame."""
    tap.on_header(HEADER)
    tap.on_start(10**12)
    for seq in range(frames):
        until(lambda: tap.waiting < QUEUED_IMAGES)  # a camera's frames don't come all at once
        tell(tap, seq, frame(seq, size))
    tap.on_end(end)


def tell(tap: Tap, seq: int, seen: Frame) -> None:
    """Tell a tap of one frame."""
    observation = Observation({"front": seen}, GOAL, status(seq).odometry)
    inference = Inference(seen, "<loc0256>cup", 0.96, {"vision": 3.0}) if seq % 3 == 0 else None
    tap.on_status(status(seq))
    tap.on_step(observation, inference, chunk(seq), "")
    tap.on_frame(observation, PolicyStatus("approach", detection=BOX))
    if inference is not None:
        tap.on_inference(inference)
    tap.on_chunk(chunk(seq))


def start(folder: Path, recording: bool = True, images: Images = Images.LOSSLESS, **more: object) -> Tap:
    """Start a tap that keeps a run in a folder."""
    file = str(folder / "run.mcap") if recording else ""
    options = TapOptions(str(folder), file, images, **more)  # type: ignore[arg-type]
    return Tap(options, lambda inference: {"detections": [BOX], "reason": ""})


def kept(frames: int, size: tuple[int, int] = (48, 64), first: int = 0) -> list[TapEvent]:
    """The events of such a drive as its tap's process gets them."""
    out = [TapEvent("header", 1, 10**12, to_line({**HEADER, "wall_minus_monotonic_ns": 0}))]
    for seq in range(first, first + frames):
        seen = frame(seq, size)
        named = {"camera": "front", "seq": seq, "stamp_ns": seen.stamp_ns, "source": ""}
        shape = {"width": size[1], "height": size[0], "encoding": "rgb8"}
        out.append(
            TapEvent("image", len(out), seen.stamp_ns, to_line({**named, **shape}), seen.image.tobytes())
        )
        tick = {
            "camera": "",
            "frames": {"front": {**named, "width": size[1], "height": size[0], "image_ns": seen.stamp_ns}},
            "odometry": None,
            "inference": None,
            "decided": chunk(seq),
            "doubt": "",
            "policy": PolicyStatus("approach", detection=BOX),
            "queue_depth": 0,
        }
        out.append(TapEvent("tick", len(out), seen.stamp_ns, to_line(tick)))
        out.append(TapEvent("motor", len(out), seen.stamp_ns, to_line(status(seq))))
    return out
