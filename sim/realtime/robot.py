"""The simulated robot as a run sees it: starts `sim.realtime.process` and talks to it."""

import contextlib
import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from edge.base_spec import BaseSpec
from edge.cameras.shm import FrameRing
from edge.child import KeptChild, child_environment
from edge.errors import BundleRefused, EdgeError, HardwareMissing, SafetyStop, UsageError
from edge.records import CameraMount
from edge.runs.room import RoomMap
from edge.runtime.robot import RobotOptions
from sim.bases import (
    BASE_SETTINGS,
    HANGING_SETTINGS,
    RESPONSE_SETTINGS,
    base_of,
    hanging_of,
    response_of,
    yes_no,
)
from sim.realtime.camera_faults import check_fault
from sim.realtime.lens import DISTORTION
from sim.render import CameraSpec
from sim.scene import Scene
from sim.targets import make_scene, room_map
from sim.world import WHEELS

START_LIMIT_S = 60.0  # the first start on a machine compiles shaders
ANSWER_LIMIT_S = 4.0
CAMERA_SETTINGS = {  # in `--robot "sim?..."`, beside sim.bases.BASE_SETTINGS: lowest and highest value
    "width": (32, 640),
    "height": (24, 480),
    "rate_hz": (5, 120),
    "fov_rad": (0.3, 2.0),
    "distortion": DISTORTION,
    "latency_ms": (0, 200),
    "camera_delay_ms": (0, 500),
    "noise": (0.5, 64),  # without any, a picture would repeat as that of a frozen camera
    "blur_px": (0, 10),
    "fault_s": (0, 3600),
    "lag_ms": (0, 5000),
}
_WORDS = ("fault", "wheels", "bumper", "gyro", "signs")
_ERRORS = {error.exit_code: error for error in (UsageError, SafetyStop, HardwareMissing, BundleRefused)}


class SimRobot:
    """A running simulation."""

    def __init__(
        self,
        child: subprocess.Popen[bytes] | KeptChild,
        control: socket.socket,
        shm: str,
        log: Path,
        mount: CameraMount,
        base: BaseSpec,
        flip: str,
    ) -> None:
        self.camera_uris = {"front": f"shm://{shm}?flip={flip}"}
        self.motors_uri = ""
        self.about = ""
        self.recorded = False
        self.room: RoomMap | None = None
        self.mounts = {"front": mount}
        self.base = base
        self.pids = {"sim": child.pid}
        self._child = child
        self._control = control
        self._shm = shm
        self._log = log
        self._received = b""
        self._hangs = False
        self._report: dict[str, str] = {}

    def await_start(self, scene: Scene, target: str) -> None:
        """Wait until physics, renderer and port are up. Raises what the process raised."""
        report = self._answer(START_LIMIT_S)
        if "error" in report:
            error = _ERRORS.get(report["exit_code"], EdgeError)
            raise error(report["error"], report["hint"])
        self.go_on(report, scene, target)

    def go_on(self, report: Mapping[str, str], scene: Scene, target: str) -> None:
        """Take what the process has reported about itself: port and renderer."""
        self._report = dict(report)
        self.motors_uri = f"mavlink://{report['port']}?bumper=1{'&omni=yes' * self.base.sideways}"
        self.about = f"simulated room {scene.seed}, rendered by {report['renderer']}"
        self.room = room_map(scene, target)

    def hand_over(self) -> dict[str, Any]:
        """Leave the process running across an exec; return what `RobotOptions.kept` then needs."""
        os.set_inheritable(self._control.fileno(), True)
        return {
            "pid": self._child.pid,
            "fd": self._control.fileno(),
            "shm": self._shm,
            "report": self._report,
        }

    def check(self) -> None:
        """Raise HardwareMissing if the process has ended."""
        if self._child.poll() is not None:
            raise self._gone()

    def befall(self, what: str) -> None:
        """Let a mishap happen to the base, such as `emergency 1` (`sim.realtime.process` knows which)."""
        self._control.sendall(f"{what}\n".encode())

    def finish(self) -> dict[str, Any]:
        """Return the truth about the run, from the process; empty if that is gone."""
        try:
            self._control.sendall(b"finish\n")
            return self._answer(ANSWER_LIMIT_S)
        except (OSError, HardwareMissing):
            self._hangs = True
            return {}

    def close(self) -> None:
        """Let go; it ends once the motor process has closed the port, after 3 s at the latest."""
        self._control.close()
        try:
            self._child.wait(0.0 if self._hangs else ANSWER_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        FrameRing.unlink(self._shm)

    def _answer(self, limit_s: float) -> dict[str, Any]:
        """Return the next line from the process."""
        self._control.settimeout(limit_s)
        while b"\n" not in self._received:
            try:
                data = self._control.recv(65536)
            except TimeoutError as error:
                raise HardwareMissing(
                    f"the simulated robot did not answer within {limit_s:.0f} s", f"see {self._log}"
                ) from error
            if not data:
                raise self._gone()
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return json.loads(line)

    def _gone(self) -> HardwareMissing:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(1.0)
        code = self._child.returncode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return HardwareMissing(f"the simulated robot is gone: {how}", f"see {self._log}")


def open_robot(options: RobotOptions) -> SimRobot:
    """Start the simulation and wait until it is up.

    Raises UsageError for a target that no simulated room can have and for settings that it does not have,
    HardwareMissing if nothing renders.
    """
    target = "" if options.goal.kind == "instruct" else options.goal.target  # an instruction names no thing
    base_settings = _of(options.settings, BASE_SETTINGS)
    base = base_of(base_settings)
    response_settings = _of(options.settings, RESPONSE_SETTINGS)
    response_of(response_settings)
    hanging = hanging_of(_of(options.settings, HANGING_SETTINGS))
    fault, wheels = check_fault(options.settings.get("fault", "none")), _wheels(options.settings)
    bumper = yes_no("bumper", options.settings.get("bumper", "yes"))
    gyro = yes_no("gyro", options.settings.get("gyro", "no"))
    others = (*BASE_SETTINGS, *RESPONSE_SETTINGS, *HANGING_SETTINGS, *_WORDS)
    settings = _camera_settings(_of(options.settings, options.settings.keys() - set(others)))
    signs = yes_no("signs", options.settings.get("signs", "no"))
    scene = make_scene(options.seed, target, options.absent, base.radius_m, signs == "yes")
    if options.kept:
        robot = _kept_robot(options, _mount(settings), base, hanging.flip)
        robot.go_on(options.kept["report"], scene, target)
        return robot
    here, there = socket.socketpair()
    shm = f"vla-edge-{os.getpid()}-{os.urandom(4).hex()}"
    log = options.folder / "sim.log"
    command = [sys.executable, "-m", "sim.realtime.process", "--control", str(there.fileno()), "--shm", shm]
    command += ["--log", str(options.folder / "firmware.jsonl"), "--seed", str(options.seed)]
    command += [f"--target={target}", *(["--absent"] if options.absent else [])]
    command += [f"--{name.replace('_', '-')}={value:g}" for name, value in settings.items()]
    command += [
        f"--base={urlencode(base_settings)}",
        f"--response={urlencode(response_settings)}",
        f"--fault={fault}",
        f"--wheels={wheels}",
        f"--bumper={bumper}",
        f"--gyro={gyro}",
        f"--signs={signs}",
    ]
    command += ["--upside-down"] if hanging.upside_down else []
    # Its end of the socket must live nowhere else, or neither side would notice the other one's death.
    with there, log.open("wb") as output:
        child = subprocess.Popen(
            command,
            pass_fds=[there.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_environment(),
        )
    robot = SimRobot(child, here, shm, log, _mount(settings), base, hanging.flip)
    try:
        robot.await_start(scene, target)
    except BaseException:
        robot.close()
        raise
    return robot


def _kept_robot(options: RobotOptions, mount: CameraMount, base: BaseSpec, flip: str) -> SimRobot:
    """Return the robot whose process this program's forerunner had started."""
    kept = options.kept
    os.set_inheritable(kept["fd"], False)
    child, control = KeptChild(kept["pid"]), socket.socket(fileno=kept["fd"])
    return SimRobot(child, control, kept["shm"], options.folder / "sim.log", mount, base, flip)


def _of(settings: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in settings.items() if name in names}


def _wheels(settings: Mapping[str, str]) -> str:
    """Return what the wheels do. Raises UsageError for what they can't."""
    wheels = settings.get("wheels", WHEELS[0])
    if wheels not in WHEELS:
        raise UsageError(f"the simulated wheels can't {wheels[:40]!r}", f"known: {', '.join(WHEELS)}")
    return wheels


def _camera_settings(settings: Mapping[str, str]) -> dict[str, float]:
    """Return the settings as numbers within their ranges. Raises UsageError if one is not."""
    values: dict[str, float] = {}
    for name, text in settings.items():
        if name not in CAMERA_SETTINGS:
            others = (*BASE_SETTINGS, *RESPONSE_SETTINGS, *HANGING_SETTINGS, *_WORDS)
            known = ", ".join((*CAMERA_SETTINGS, *others))
            raise UsageError(f"the simulated robot has no setting {name[:40]!r}", f"it has {known}")
        low, high = CAMERA_SETTINGS[name]
        try:
            values[name] = float(text)
        except ValueError:
            values[name] = math.nan
        if not low <= values[name] <= high:
            raise UsageError(
                f"the simulated robot's {name} {text[:40]!r} is not a number from {low:g} to {high:g}",
                f'such as --robot "sim?{name}={high:g}"',
            )
    return values


def _mount(settings: Mapping[str, float]) -> CameraMount:
    spec = CameraSpec()
    fov_rad = settings.get("fov_rad", spec.vertical_fov_rad)
    return CameraMount(fov_rad, spec.height_m, spec.pitch_rad, spec.forward_m)
