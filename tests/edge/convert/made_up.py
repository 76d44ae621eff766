"""Recordings of drives that never were, written by the recorder's own file."""

from pathlib import Path

import numpy as np

from edge.interfaces import PolicyStatus
from edge.records import DriveEnd, MotorState, MotorStatus, Odometry, Outcome, Velocity
from edge.runs.recording.images import as_jpeg
from edge.runs.recording.mcap_file import McapFile
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import wall_minus_monotonic_ns
from edge.runs.tap.plain import to_line

START_NS = 10**12
IMAGE_NS, REPORT_NS = 33_000_000, 20_000_000
BY_POLICY, BY_PERSON = Velocity(0.3, 0.0, 0.1), Velocity(-0.2, 0.0, -0.5)
REACHED = DriveEnd(Outcome.REACHED, "arrived: cup", 0, seconds=3.0)


def picture(seq: int, size: tuple[int, int] = (36, 48)) -> np.ndarray:
    """Greys that tell which image it is, brighter to the right."""
    return np.broadcast_to((np.arange(size[1]) % 40 + seq % 200)[None, :, None], (*size, 3)).astype(np.uint8)


def record(
    path: Path,
    seconds: float = 3.0,
    by_hand_s: tuple[float, float] = (0.0, 0.0),
    cameras: tuple[str, ...] = ("front",),
    size: tuple[int, int] = (36, 48),
    **more: object,
) -> Path:
    """Record a drive ahead, with a person driving for a while; `more`: jpeg, odometry, armed, end."""
    header = {
        "format": 1, "goal": {"kind": "find_object", "target": "cup"}, "run": str(path.parent / "run"),
        "vla_edge": "0", "wall_minus_monotonic_ns": wall_minus_monotonic_ns(),
    }  # fmt: skip
    file = McapFile(path)
    file.write(TapEvent("header", 1, START_NS, to_line(header)))
    file.write(TapEvent("start", 2, START_NS, to_line({"stamp_ns": START_NS})))
    images = [(START_NS + at * IMAGE_NS, True, at) for at in range(round(seconds * 1e9 / IMAGE_NS))]
    reports = [(START_NS + at * REPORT_NS, False, at) for at in range(round(seconds * 1e9 / REPORT_NS))]
    for seq, (stamp_ns, is_image, at) in enumerate(sorted(images + reports), start=3):
        if is_image:
            for camera in cameras:
                _image(file, seq, (camera, stamp_ns, at), size, bool(more.get("jpeg")))
            _tick(file, seq, (cameras, stamp_ns, at), size)
        else:
            hand = by_hand_s[0] <= (stamp_ns - START_NS) / 1e9 < by_hand_s[1]
            file.write(TapEvent("motor", seq, stamp_ns, to_line(_status(stamp_ns, hand, more))))
    end = more.get("end", REACHED)
    if end is not None:
        file.write(
            TapEvent("outcome", 10**6, START_NS + round(seconds * 1e9), to_line({"end": end, "lost": 0}))
        )
    file.close()
    return path


def tear(path: Path, share: float) -> Path:
    """Cut a file off, as a loss of power does."""
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    return path


def _status(stamp_ns: int, hand: bool, more: dict[str, object]) -> MotorStatus:
    x_m = (stamp_ns - START_NS) / 1e9
    odometry = Odometry(stamp_ns, x_m, 0.0, 0.0, BY_POLICY) if more.get("odometry", True) else None
    state = MotorState.FOLLOWING if more.get("armed", True) else MotorState.DISARMED
    return MotorStatus(stamp_ns, state, BY_PERSON if hand else BY_POLICY, odometry=odometry, by_hand=hand)


def _image(file: McapFile, seq: int, named: tuple[str, int, int], size: tuple[int, int], jpeg: bool) -> None:
    camera, stamp_ns, at = named
    facts = {"camera": camera, "seq": at, "stamp_ns": stamp_ns, "source": ""}
    facts |= {"width": size[1], "height": size[0], "encoding": "rgb8"}
    event = TapEvent("image", seq, stamp_ns, to_line(facts), picture(at, size).tobytes())
    file.write(as_jpeg(event) if jpeg else event)


def _tick(file: McapFile, seq: int, named: tuple[tuple[str, ...], int, int], size: tuple[int, int]) -> None:
    cameras, stamp_ns, at = named
    about = {"seq": at, "stamp_ns": stamp_ns, "source": "", "width": size[1], "height": size[0]}
    frames = {name: {"camera": name, **about, "image_ns": stamp_ns} for name in cameras}
    tick = {
        "camera": cameras[0], "frames": frames, "odometry": None, "inference": None, "decided": None,
        "doubt": "", "policy": PolicyStatus("approach"), "queue_depth": 0,
    }  # fmt: skip
    file.write(TapEvent("tick", seq, stamp_ns, to_line(tick)))
