"""A runtime reduced to its safety: `python -m tests.edge.motor.motor_runtime URI` drives at 30 frames/s.

With a second argument, the limits of its base as JSON.

Prints the motor process's id once it is armed. Ends by being killed.
"""

import signal
import sys
import time

import numpy as np

from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.records import ActionChunk, MotorState

ROW = (0.5, 0.0, 0.5)


def fresh_chunk(decision: int, row: tuple[float, float, float] = ROW) -> ActionChunk:
    """Half a second of one velocity, from a frame captured now."""
    now_ns = time.monotonic_ns()
    values = np.tile(np.array(row, np.float32), (5, 1))
    return ActionChunk(values, 0.1, now_ns, now_ns + 500_000_000, 0.9, decision)


def arm(motor: MotorProcess) -> None:
    motor.arm()
    deadline_s = time.monotonic() + 10
    while motor.status().state is not MotorState.HOLDING:
        assert time.monotonic() < deadline_s, motor.status()
        time.sleep(0.01)


def main() -> None:
    # Tests that were started with nohup, or in the background, would hand down that these are ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    motor = MotorProcess.start(sys.argv[1], MotorLimits.from_json("".join(sys.argv[2:]) or "{}"))
    arm(motor)
    print(motor.pid, flush=True)
    decision = 0
    while True:
        motor.send(fresh_chunk(decision))
        decision += 1
        time.sleep(1 / 30)


if __name__ == "__main__":
    main()
