"""What a robot's cameras and motors show without moving anything, against what its file says."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.address import without_password
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.errors import EdgeError, StaleFrame, UsageError, reason_of
from edge.files import write_whole
from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.perception.geometry import View
from edge.perception.lens import Lens, behind
from edge.records import CameraMount, Frame, Image, MotorStatus
from edge.runtime.robot import Robot

FIRST_FRAME_S = 10.0
MAX_AGE_S = 1.0
LISTEN_S = 1.5  # a base reports its battery once a second
RANGES_M = (0.5, 1.0, 2.0, 4.0)  # floor lines that are drawn, ahead of the base's centre
NEAREST_FLOOR_M = 2.0  # a camera that sees no nearer floor drives blindly over it
DARK, BRIGHT = 20.0, 235.0  # mean grey levels of a covered or blinded camera
_LINE, _HORIZON = (255, 220, 0), (255, 0, 0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    what: str  # camera front | motors | mount
    found: str
    wrong: str = ""  # what is wrong with it; empty if nothing is
    hint: str = ""
    exit_code: int = 0


def check_camera(
    name: str, uri: str, mount: CameraMount | None, folder: Path, lens: Lens | None = None
) -> list[Finding]:
    """Open a camera, save a picture of it with the floor drawn in, and say what it shows."""
    what = f"camera {name}"
    try:
        camera = behind(lens, open_camera(uri, MonotonicClock(), name))
        try:
            frame = _first_frame(camera.latest)
        finally:
            camera.close()
        height, width = frame.image.shape[:2]
        path = folder / f"{name}.png"
        drawn = frame.image if mount is None else draw_floor(frame.image, mount)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes())
    except EdgeError as error:
        broken = Finding(what, without_password(uri), error.message, error.hint, error.exit_code)
        return [broken, *([check_mount(name, None, 1.0)] if mount is None else [])]
    except OSError as error:
        raise UsageError(
            f"can't write {folder}: {reason_of(error)}", "name another folder: --out DIR"
        ) from error
    grey = float(frame.image.mean())
    dim = f"its picture is nearly {'black' if grey < DARK else 'white'}: mean grey level {grey:.0f}"
    wrong = dim if not DARK <= grey <= BRIGHT else ""
    seen = f"{width} x {height}" if lens is None else f"{width} x {height}, straightened by its measured lens"
    found = f"{seen}, picture in {path}: is it upright, is red red?"
    picture = Finding(what, found, wrong, "is its lens covered, or the room dark?" if wrong else "")
    return [picture, check_mount(name, mount, width / height)]


def check_mount(name: str, mount: CameraMount | None, aspect: float) -> Finding:
    """Say what follows from a mount, so that a person can hold it against the room."""
    what = f"mount {name}"
    if mount is None:
        return Finding(what, "not measured", "the robot does not drive without it", "docs/robot-files.md", 2)
    view = View(mount, aspect)
    wide_deg = 2 * math.degrees(view.half_fov_rad)
    nearest = view.floor_point(0.5, 1.0)
    if nearest is None or nearest[0] > NEAREST_FLOOR_M:
        sees = "no floor" if nearest is None else f"the floor only from {nearest[0]:.1f} m ahead on"
        wrong = f"by its mount it sees {sees} (limit {NEAREST_FLOOR_M:g} m)"
        return Finding(what, f"sees {wide_deg:.0f}° across", wrong, "check pitch_deg (down is positive)", 2)
    found = f"sees {wide_deg:.0f}° across, and the floor from {nearest[0]:.2f} m ahead of its centre on"
    return Finding(what, found)


def check_motors(robot: Robot) -> Finding:
    """Open the motors without arming them, and say what the base reports."""
    try:
        with MotorProcess.start(robot.motors_uri, MotorLimits.of(robot.base)) as motor:
            status, end_s = motor.status(), time.monotonic() + LISTEN_S
            while time.monotonic() < end_s:
                time.sleep(0.02)
                status = motor.status()
    except EdgeError as error:
        return Finding("motors", robot.motors_uri, error.message, error.hint, error.exit_code)
    return Finding("motors", f"{robot.motors_uri} is open and {status.state.value}; {_reports(status)}")


def draw_floor(image: Image, mount: CameraMount) -> Image:
    """Return the image with the horizon and lines on the floor at RANGES_M, as the mount has them."""
    height, width = image.shape[:2]
    view = View(mount, width / height)
    drawn = np.array(image, np.uint8, order="C")
    thick = max(1, height // 240)
    for range_m in (*RANGES_M, math.inf):
        row = row_of(view, range_m)
        if row is None or not 0 <= row <= 1:
            continue
        y, colour = round(row * (height - 1)), _HORIZON if math.isinf(range_m) else _LINE
        cv2.line(drawn, (0, y), (width - 1, y), colour, thick)
        label = "horizon" if math.isinf(range_m) else f"{range_m:g} m"
        at = (4, max(y - 3, 10))
        cv2.putText(drawn, label, at, cv2.FONT_HERSHEY_SIMPLEX, height / 500, colour, thick)
    return drawn


def row_of(view: View, range_m: float) -> float | None:
    """Return the row, as a fraction from the top, of the floor straight ahead at a range from the base.

    Infinity is the horizon. Returns None if that is beside or behind the camera.
    """
    ahead_m = range_m - view.mount.forward_m
    if ahead_m <= 0:
        return None
    below_rad = math.atan2(view.mount.height_m, ahead_m) - view.mount.pitch_rad
    if abs(below_rad) >= math.pi / 2:
        return None
    return 0.5 + math.tan(below_rad) / (2 * view.tan_v)


def _first_frame(latest: Callable[[float], Frame]) -> Frame:
    deadline_s = time.monotonic() + FIRST_FRAME_S
    while True:
        try:
            return latest(MAX_AGE_S)
        except StaleFrame:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _reports(status: MotorStatus) -> str:
    battery = status.battery_fraction
    charge = "no battery reported" if battery is None else f"battery {battery:.0%}"
    if status.odometry is None:
        return (
            f"{charge}; no odometry: it is not noticed when the base does not follow, and a grounding bundle "
            "does not drive it"
        )
    here = status.odometry
    return f"{charge}; odometry at {here.x_m:.2f}, {here.y_m:.2f} m, {math.degrees(here.yaw_rad):.0f}°"
