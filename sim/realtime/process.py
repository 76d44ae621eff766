"""The simulated robot in real time: `python -m sim.realtime.process --control FD ...`.

One thread paces the physics to CLOCK_MONOTONIC and runs the base's firmware at the end of a pseudo-terminal;
a second one renders what the camera sees. The socket `--control` carries one JSON line when all is up, and
one with the truth about the run when `finish` comes in. Any other line befalls the base: `wheels dead`, or
what `sim.realtime.mishaps` knows. Its end means that the runtime is gone: then the room stays until the motor
process has stopped the base and closed the port.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from edge.cameras.shm import FrameRing
from edge.clock import MonotonicClock
from edge.errors import EdgeError
from edge.records import ZERO, Odometry, Velocity
from sim.bases import parse_base, parse_response
from sim.realtime.camera import CameraThread, Optics
from sim.realtime.camera_faults import FAULTS, LAG_S, FaultyCamera
from sim.realtime.firmware import Firmware
from sim.realtime.mishaps import Mishaps
from sim.realtime.room_time import RoomTime
from sim.realtime.terminal import open_pty
from sim.render import CameraSpec
from sim.targets import make_scene, truth
from sim.world import WHEELS, World

AFTER_RUNTIME_NS = 3_000_000_000  # for the motor process to stop the base once the runtime is gone


class RealTimeBase:
    """The room's physics and the firmware, stepped along the clock."""

    def __init__(self, world: World, board: int, log: Path) -> None:
        self.world = world
        self.velocity = ZERO  # newest setpoint that the firmware applied
        self.mishaps = Mishaps()
        self._clock = MonotonicClock()
        self.time = RoomTime(world, self._clock)
        odometry = None if world.wheels == "dead" else self._odometry
        self.firmware = Firmware(
            board,
            self._apply,
            odometry,
            log,
            self._clock,
            lambda: self.mishaps.battery_fraction,
            bumper=lambda: world.bumper,
        )

    def step(self) -> int:
        """Wait for the next time step and take it; return its CLOCK_MONOTONIC ns."""
        due_ns, now_ns = self.time.wait()
        self.world.step()
        if not self.mishaps.muted:
            self.firmware.poll(now_ns)
        return due_ns

    def befall(self, line: str) -> None:
        """Let happen what a line says. Raises ValueError if nobody knows it."""
        command, _, value = line.partition(" ")
        if command == "wheels" and value in WHEELS:
            self.world.wheels = value
        elif not self.mishaps.obey(line, self.firmware):
            raise ValueError(f"nothing like {line!r} can happen")

    def close(self) -> None:
        self.firmware.close()

    def _apply(self, velocity: Velocity, armed: bool) -> None:
        self.velocity = velocity if armed else ZERO
        self.world.command(self.velocity)

    def _odometry(self) -> Odometry:
        return self.world.odometry(self.time.shown_ns)


class Simulation:
    """The loop around base and camera."""

    def __init__(self, base: RealTimeBase, camera: CameraThread, control: socket.socket, target: str) -> None:
        self._base = base
        self._camera = camera
        self._control = control
        self._target = target

    def run(self, board: int, cable: int) -> None:
        """Run until the runtime has let go and the base stands."""
        self._base.time.start()
        while self._runtime_is_there():
            self._camera.expose_if_due(self._base.step())
        # From now on the port reports when it is closed at the other end.
        os.close(cable)
        end_ns = time.monotonic_ns() + AFTER_RUNTIME_NS
        let_go = False
        while time.monotonic_ns() < end_ns and not (let_go and self._base.velocity == ZERO):
            let_go = _hung_up(board)  # before the step, which reads what was sent last
            self._base.step()

    def _runtime_is_there(self) -> bool:
        try:
            request = self._control.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for line in request.decode().splitlines():
            if line == "finish":
                _send(self._control, self._truth())
            else:
                self._base.befall(line)
        return bool(request)

    def _truth(self) -> dict[str, Any]:
        camera = {"frames": self._camera.frames, "frames_skipped": self._camera.skipped}
        base = self._base
        lost = {"lost_ms": base.time.lost_ns // 1_000_000, "setpoints_unlogged": base.firmware.log.lost}
        return {**truth(base.world, self._target), **camera, **lost}


def _hung_up(board: int) -> bool:
    poll = select.poll()
    poll.register(board, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    # A runtime that is gone can't receive it; the end of the socket is noticed where it is read.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _arguments(argv: list[str]) -> argparse.Namespace:
    spec, optics = CameraSpec(), Optics()
    parser = argparse.ArgumentParser(
        prog="python -m sim.realtime.process", description="The simulated robot."
    )
    parser.add_argument("--control", type=int, required=True, help="the socket to the runtime, inherited")
    parser.add_argument("--shm", required=True, help="name of the shared memory for the frames")
    parser.add_argument("--log", type=Path, required=True, help="where the firmware writes its setpoints")
    parser.add_argument("--target", default="", help="what is in the room")
    parser.add_argument("--absent", action="store_true", help="the target is surely not in the room")
    parser.add_argument("--seed", type=int, default=1, help="seed of the room")
    parser.add_argument("--base", default="", help="settings of the base, as key=value&key=value")
    parser.add_argument("--response", default="", help="what its wheels make of setpoints, written alike")
    parser.add_argument(
        "--wheels", default=WHEELS[0], choices=WHEELS, help="what they do when they are told to"
    )
    parser.add_argument("--bumper", default="yes", choices=("yes", "no"), help="whether it has one")
    parser.add_argument("--gyro", default="no", choices=("yes", "no"), help="its odometry turns by a gyro")
    parser.add_argument("--signs", default="no", choices=("yes", "no"), help="whether words are on the walls")
    parser.add_argument("--width", type=int, default=spec.width, help="width of the camera's image")
    parser.add_argument("--height", type=int, default=spec.height)
    parser.add_argument("--rate-hz", type=float, default=spec.rate_hz)
    parser.add_argument(
        "--fov-rad", type=float, default=spec.vertical_fov_rad, help="field of view from top to bottom"
    )
    parser.add_argument("--distortion", type=float, default=spec.distortion, help="k1 of its lens")
    parser.add_argument(
        "--latency-ms", type=float, default=optics.latency_ms, help="time from exposure to image, at least"
    )
    parser.add_argument(
        "--camera-delay-ms", type=float, default=optics.delay_ms, help="time from exposure to the stamp"
    )
    parser.add_argument("--noise", type=float, default=optics.noise, help="standard deviation in grey levels")
    parser.add_argument("--blur-px", type=float, default=optics.blur_px, help="sigma in pixels")
    parser.add_argument("--upside-down", action="store_true", help="the camera hangs upside down")
    parser.add_argument("--fault", default="none", choices=FAULTS, help="what is wrong with the camera")
    parser.add_argument("--fault-s", type=float, default=0.0, help="from so long after its first image on")
    parser.add_argument("--lag-ms", type=float, default=1e3 * LAG_S, help="age of a late image")
    return parser.parse_args(argv)


def _simulate(options: argparse.Namespace, control: socket.socket) -> None:
    base_spec, response = parse_base(options.base), parse_response(options.response)
    room = (options.target, options.absent, base_spec.radius_m, options.signs == "yes")
    scene = make_scene(options.seed, *room)
    world = World(scene, base=base_spec, response=response)
    world.wheels, world.has_bumper = options.wheels, options.bumper == "yes"
    world.gyro = options.gyro == "yes"
    spec = CameraSpec(
        options.width, options.height, options.fov_rad, rate_hz=options.rate_hz, distortion=options.distortion
    )
    optics = Optics(
        options.noise, options.blur_px, options.upside_down, options.latency_ms, options.camera_delay_ms
    )
    fault = FaultyCamera(options.fault, options.fault_s, options.lag_ms / 1e3)
    board, cable, port = open_pty()
    with contextlib.ExitStack() as stack:
        ring = stack.enter_context(FrameRing.create(options.shm, spec.height, spec.width))
        camera = stack.enter_context(CameraThread(world, spec, optics, ring, fault))
        base = stack.enter_context(contextlib.closing(RealTimeBase(world, board, options.log)))
        _send(control, {"port": port, "renderer": camera.backend})
        Simulation(base, camera, control, options.target).run(board, cable)


def main(argv: list[str]) -> int:
    """Run until the runtime has let go; return the exit code, and send what failed over the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = _arguments(argv)
    control = socket.socket(fileno=options.control)
    try:
        _simulate(options, control)
    except EdgeError as error:
        _send(control, {"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
