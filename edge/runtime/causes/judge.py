"""What made a drive late, by what was measured: pure, so that every rule can be tried alone.

A stop for lateness says only that a frame or an answer was older than its limit. Whatever took more than half
of that limit is named: the machine first, since a machine that halts makes all others late.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.cameras.frame_measures import LEAST_RATE_HZ
from edge.records import StopCause
from edge.runtime.causes.look import CameraLook
from edge.runtime.ending import DriveStop

SHARE = 0.5  # share of the limit: who took more is named
_SLOW_HZ = LEAST_RATE_HZ * 0.95  # as the rate of a camera is judged while it drives


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured from the capture of the frame that is too old until the stop. Times in ns."""

    message: str  # what the stop says
    cause: StopCause
    hint: str
    limit_ns: int
    age_ns: int  # how old that was: the time that is judged
    halted_ns: int = 0  # this process did not run
    motor_halted_ns: int = 0  # the motor process did not
    halts: int = 0  # in the last 10 s
    waited_ns: int = 0  # for a processor
    camera: str = ""  # the one whose newest frame was old; empty if every frame was fresh
    look: CameraLook | None = None  # at that camera
    model_ns: int = 0  # time of the answer that was driven by, or waited for; 0: none was
    usual_model_ns: int = 0
    policy_ns: int = 0  # time of the policy, over one frame


def of_machine(found: Evidence) -> DriveStop | None:
    """Return the stop with the machine named; None if that was not what was late."""
    return _first(_MACHINE, found)


def of_others(found: Evidence) -> DriveStop | None:
    """Return the stop with a camera, the policy or the model named; None if none of them was late."""
    return _first(_OTHERS, found)


def _first(rules: Iterable[Callable[[Evidence], DriveStop | None]], found: Evidence) -> DriveStop | None:
    return next(filter(None, (rule(found) for rule in rules)), None)


def _half_ms(found: Evidence) -> str:
    return f"{SHARE * found.limit_ns / 1e6:.0f} ms"


def _much(found: Evidence, taken_ns: int) -> bool:
    return taken_ns > SHARE * found.limit_ns


def _machine_halted(found: Evidence) -> DriveStop | None:
    if not _much(found, min(found.halted_ns, found.motor_halted_ns)):
        return None
    often = "once" if found.halts <= 1 else f"{found.halts} times"
    return DriveStop(
        StopCause.MACHINE_SLOW,
        f"this machine halted for {found.halted_ns / 1e6:.0f} ms (limit {_half_ms(found)}), {often} in the "
        f"last 10 s: {found.message}",
        "not the model and not the camera: close what else uses this machine; `vla-edge doctor` shows its "
        "heat, memory and power mode",
    )


def _machine_overloaded(found: Evidence) -> DriveStop | None:
    if not _much(found, found.waited_ns) or found.waited_ns < SHARE * found.age_ns:
        return None
    return DriveStop(
        StopCause.MACHINE_SLOW,
        f"this machine is overloaded: the run waited {found.waited_ns / 1e6:.0f} ms for a processor (limit "
        f"{_half_ms(found)}): {found.message}",
        "close what else uses this machine, `top` shows it; or give the model fewer `--threads`",
    )


def _runtime_halted(found: Evidence) -> DriveStop | None:
    if not _much(found, found.halted_ns):
        return None
    return DriveStop(
        found.cause,
        f"{found.message}; this process halted for {found.halted_ns / 1e6:.0f} ms (limit {_half_ms(found)}), "
        "and the motor process did not",
        "native code of the model or a camera kept the interpreter's lock, or the process was swapped out: "
        "`vla-edge doctor` shows the memory",
    )


def _stamps_old(found: Evidence) -> DriveStop | None:
    look = found.look
    if look is None or look.rate_hz < _SLOW_HZ or not _much(found, look.age_ns):
        return None
    return DriveStop(
        StopCause.CAMERA_CLOCK,
        f"camera {found.camera!r} gives {look.rate_hz:.0f} frames a second, and their stamps are "
        f"{look.age_ns / 1e6:.0f} ms old as they come (limit {_half_ms(found)}): {found.message}",
        "its driver must stamp frames with CLOCK_MONOTONIC at the exposure, and keep none waiting, see "
        "docs/adding-a-camera-or-driver.md",
    )


def _camera_slow(found: Evidence) -> DriveStop | None:
    look = found.look
    if look is None or not 0 < look.rate_hz < _SLOW_HZ:
        return None
    return DriveStop(
        StopCause.CAMERA_SLOW,
        f"camera {found.camera!r} gives {look.rate_hz:.1f} frames a second (at least {LEAST_RATE_HZ:g} are "
        f"needed): {found.message}",
        look.faster
        or "take MJPG instead of YUYV, a smaller size, more light, or a USB port of its own; "
        "`v4l2-ctl --list-formats-ext` lists the camera's formats with their rates",
    )


def _camera_paused(found: Evidence) -> DriveStop | None:
    """Name a camera that gave no frame for a while, and no more since or again as it should."""
    if found.look is None or found.age_ns <= found.limit_ns:
        return None
    since = f"now it gives {found.look.rate_hz:.0f} a second" if found.look.rate_hz else "none has come since"
    return DriveStop(
        StopCause.STALE_FRAME,
        f"camera {found.camera!r} gave no frame for {found.age_ns / 1e6:.0f} ms (limit "
        f"{found.limit_ns / 1e6:.0f} ms), {since}: {found.message}",
        found.hint or "check its cable and its power; `vla-edge doctor` shows which cameras answer",
    )


def _model_slow(found: Evidence) -> DriveStop | None:
    if not _much(found, found.model_ns):
        return None
    usual = f", usually {found.usual_model_ns / 1e6:.0f} ms" if found.usual_model_ns else ""
    return DriveStop(
        StopCause.MODEL_SILENT,
        f"the model's answer takes {found.model_ns / 1e6:.0f} ms (limit {_half_ms(found)}{usual}): "
        f"{found.message}",
        found.hint,
    )


def _policy_slow(found: Evidence) -> DriveStop | None:
    if not _much(found, found.policy_ns):
        return None
    return DriveStop(
        StopCause.MODEL_SILENT,
        f"the policy took {found.policy_ns / 1e6:.0f} ms over one frame (limit {_half_ms(found)}): "
        f"{found.message}",
        found.hint,
    )


_MACHINE = (_machine_halted, _machine_overloaded, _runtime_halted)
_OTHERS = (
    _stamps_old,
    _camera_slow,
    _policy_slow,  # meanwhile nobody looked at the camera
    _camera_paused,
    _model_slow,
)
