"""Run the motor process: `python -m edge.motor.process --fd N --motors URI`. `edge.motor.client` starts it.

It alone owns the actuator, in a session of its own, and outlives the runtime long enough to stop the base.
It brakes to zero when its socket ends, on SIGTERM, and whenever the guard or the watch decides to.
Exit codes are those of edge.errors: 0 after a request to quit or SIGTERM, 4 if the runtime vanished.
"""

import argparse
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

from edge.errors import EdgeError, PluginError, UsageError
from edge.interfaces import KnowsSideways, Motors
from edge.motor.drivers.open import open_motors
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.loop import MotorLoop, send
from edge.motor.operator.panel import Panel, open_panel
from edge.motor.wire import Failure
from edge.plugins import ended

RATE_RANGE_HZ = (20.0, 200.0)
FIFO_PRIORITY = 20


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edge.motor.process", description="The motor process.")
    parser.add_argument("--fd", type=int, required=True, help="the socket to the runtime, inherited")
    parser.add_argument("--motors", required=True, help="address of the actuator, such as null://")
    parser.add_argument("--rate-hz", type=float, default=50.0, help="setpoints per second, in [20, 200]")
    parser.add_argument("--operator", action="append", default=[], help="address of what a person stops with")
    parser.add_argument("--limits", default="{}", help="motor limits as JSON, stricter than the defaults")
    return parser.parse_args(argv)


def _raise_priority() -> None:
    # Without this permission the loop runs at normal priority; its counts of missed ticks show the cost.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))


def _drive(loop: MotorLoop) -> None:

    def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
        loop.terminated = True

    signal.signal(signal.SIGTERM, on_sigterm)
    # All objects that exist now exist until the end, so no tick need wait for a collection.
    gc.collect()
    gc.freeze()
    gc.disable()
    loop.run()


def main(argv: list[str], opens: Callable[[str], Motors] | None = None) -> int:
    """Run until the base is stopped for good. Returns the exit code; a Failure on the socket tells why.

    `opens` opens the driver behind an address; None: the driver of its scheme.
    """
    # The terminal's signals are for the runtime: this process must still be there to stop the base.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    arguments = _arguments(argv)
    with socket.socket(fileno=arguments.fd) as control:
        try:
            _serve(control, arguments, opens or open_motors)
        except EdgeError as error:
            of_package = isinstance(error, PluginError)
            send(control, Failure(error.exit_code, error.message, error.hint, of_package))
            return error.exit_code
    return 0


def _serve(control: socket.socket, arguments: argparse.Namespace, opens: Callable[[str], Motors]) -> None:
    """Open the motors, drive them until the loop ends, then stop and close them. Raises EdgeError."""
    if not RATE_RANGE_HZ[0] <= arguments.rate_hz <= RATE_RANGE_HZ[1]:
        raise UsageError(f"motor rate {arguments.rate_hz} Hz is not in {RATE_RANGE_HZ}")
    limits = MotorLimits.from_json(arguments.limits)
    with open_panel(arguments.operator, limits) as panel:
        _serve_motors(control, arguments, limits, panel, opens(arguments.motors))


def _serve_motors(
    control: socket.socket, arguments: argparse.Namespace, limits: MotorLimits, panel: Panel, motors: Motors
) -> None:
    with ended(motors.close, "closing the motors"), ended(motors.stop, "stopping the motors"):
        _check_motors(motors, limits, arguments)
        _raise_priority()
        period_ns = round(1e9 / arguments.rate_hz)
        _drive(MotorLoop(control, motors, Guard(limits, period_ns=period_ns), period_ns, panel))


def _check_motors(motors: Motors, limits: MotorLimits, arguments: argparse.Namespace) -> None:
    """Check that these motors can do what the robot states. Raises UsageError if not."""
    if arguments.rate_hz > motors.max_rate_hz:
        raise UsageError(
            f"motors address {arguments.motors!r}: its line carries {motors.max_rate_hz:.0f} setpoints a "
            f"second, {arguments.rate_hz:g} are to be sent",
            "make the line faster (`baud`)",
        )
    if limits.sideways and isinstance(motors, KnowsSideways) and not motors.sideways:
        raise UsageError(
            f"motors address {arguments.motors!r}: this base can't go sideways, and the robot is "
            "stated to be holonomic",
            "state a base whose drive is differential or ackermann, in a robot file: `vla-edge robot new "
            "my-robot.yaml`; a MAVLink vehicle whose wheels and firmware do go sideways takes omni=yes in "
            "its address",
        )


if __name__ == "__main__":  # pragma: no cover - runs in a process of its own, which every drive starts
    sys.exit(main(sys.argv[1:]))
