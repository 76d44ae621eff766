"""What a fault of the soak is, and which ends of a run there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.soak.faults.trial import BrokenRun

WENT_ON = "went on"
KILLED = "killed"
REFUSED = "refused"
BUG = "bug"

# Exit codes of the ends that have one of their own; every other cause has 4.
EXIT_CODES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        WENT_ON: (0, 3),
        KILLED: (-9,),
        REFUSED: (2, 5, 6),
        BUG: (1,),
        "hardware_missing": (5,),
        "interrupted": (130,),
        "end_of_frames": (0, 3),
    }
)
# What a run may say where the machine was too slow for it: a stop by one of these is explained, not a fault.
MACHINE_CAUSES = (
    "stale_frame",
    "stale_chunk",
    "motor_fault",
    "camera_slow",
    "model_silent",
    "stale_odometry",
)
MACHINE_WORDS = ("this machine was too slow", "what else uses this machine", "is the machine overloaded")


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the 68 faults, and what a run may make of it.

    `ends` are causes of summary.json, or WENT_ON, KILLED, REFUSED, BUG. `zero_ms` is the time from the fault
    until the base stands for good, `hold_ms` until it first stands; None: the fault has no such bound.
    """

    number: int  # 0: none is injected; -1: a long run
    title: str
    ends: tuple[str, ...]
    inject: "Callable[[BrokenRun], int | None] | None" = None  # returns when, if not at once; None: by itself
    zero_ms: float | None = None
    hold_ms: float | None = None
    rig: str = "sim"  # sim; relay: camera and line lead through the soak; stream: the camera by GStreamer
    breaks: str = ""  # how the policy breaks by itself (sim.faults.breaking)
    says: tuple[str, ...] = ()  # texts that the model says instead of its own
    camera: str = ""  # the scheme of a camera that breaks by itself
    wired: str = ""  # "pty" or "udp": a line that can be cut and damaged
    needs: tuple[str, ...] = ()  # pad, machine, clock, disk
    follows: bool = False  # something, for as long as it lasts
    off_centre: bool = False  # the gamepad's stick, at the start
    board_stops: bool = False  # the board goes to zero at once
    board_dies: bool = False  # nothing tells what the base does
    arguments: tuple[str, ...] = ()


def end_of(code: int, summary: Mapping[str, Any] | None) -> str:
    """Return the one word for how a run ended, by its exit code and its summary, if it left one."""
    if code < 0:
        return KILLED
    if summary is None:
        return REFUSED if code in EXIT_CODES[REFUSED] else f"exit code {code} without a summary"
    if summary["cause"]:
        return summary["cause"]
    if summary["outcome"] == "fault":
        return BUG if code == 1 else f"fault without a cause, exit code {code}"
    return WENT_ON


def right_code(end: str, code: int) -> bool:
    """Return True if a run that ended so has the exit code that belongs to it."""
    return code in EXIT_CODES.get(end, (4,))


def named_machine(end: str, said: str) -> bool:
    """Return True if a run ended because this machine was too slow, and says so."""
    return end in MACHINE_CAUSES and any(words in said for words in MACHINE_WORDS)
