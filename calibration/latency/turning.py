"""Turn a base on the spot, there and back, and record what its camera and its odometry show."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from calibration.latency.flow import YawFlow
from calibration.latency.turns import TurnRecord, moving_frames
from edge.base_spec import BaseSpec
from edge.errors import MotorFault, StaleFrame, UsageError
from edge.interfaces import Camera
from edge.motor.client import MotorProcess
from edge.records import ActionChunk, CameraMount, Frame, MotorState, Odometry

TURN_RAD_S = 0.8
LEG_S = 1.1  # there, and as long back
ROUNDS = 6
STAND_S = 1.2  # before the first and after the last: the longest delay that is looked for, and braking
FIRST_FRAME_S = 10.0
MAX_AGE_S = 1.0  # a camera whose stamps are right may be as late as that to be measured
ARM_LIMIT_S = 3.0
POLL_S = 0.002
STEEPEST_RAD = 0.8  # pitch; a steeper camera sees little but the floor before it
_ROW_S, _ROWS = 0.1, 4
_OTHERWISE = "measure by a light instead: --by blinking"


def check_turns(base: BaseSpec, mount: CameraMount) -> None:
    """Raise UsageError for a base that can't turn on the spot, and a camera that would not see it."""
    if not base.turns_in_place:
        raise UsageError(f"a base that is {base.drive.value} can't turn on the spot", _OTHERWISE)
    if abs(mount.pitch_rad) > STEEPEST_RAD:
        raise UsageError("the camera looks too steeply up or down to see turns", _OTHERWISE)


@dataclass
class TurnRecorder:
    """Takes in frames and odometry as they come."""

    camera: Camera
    motor: MotorProcess
    flow: YawFlow
    odometry: list[Odometry] = field(default_factory=list[Odometry])
    turns: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    pairs_s: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _before: Frame | None = None

    def poll(self) -> Frame | None:
        """Return a new frame; None if there is none. Raises what camera and motor process raise."""
        status = self.motor.status()
        newest = status.odometry
        if newest is not None and (not self.odometry or newest.stamp_ns > self.odometry[-1].stamp_ns):
            self.odometry.append(newest)
        frame = self.camera.latest(MAX_AGE_S)
        if self._before is not None and frame.seq == self._before.seq:
            return None
        self._take(frame)
        return frame

    def _take(self, frame: Frame) -> None:
        turn_rad = self.flow.take(frame.image)
        before, self._before = self._before, frame
        if before is None or frame.stamp_ns <= before.stamp_ns:
            return
        from_s, to_s = before.stamp_ns / 1e9, frame.stamp_ns / 1e9
        self.pairs_s.append((from_s, to_s))
        if turn_rad is not None:
            self.turns.append((from_s, to_s, turn_rad))


def record_turns(recorder: TurnRecorder, base: BaseSpec, progress: Callable[[int, int], None]) -> TurnRecord:
    """Arm, turn there and back for ROUNDS, and stand again.

    Raises UsageError without odometry, MotorFault if the base does not arm or is stopped, StaleFrame if no
    frames come.
    """
    _await_frames(recorder)
    if not recorder.odometry:
        raise UsageError("the base reports no odometry to hold the picture against", _OTHERWISE)
    _arm(recorder)
    rate_rad_s = min(TURN_RAD_S, base.cruise_rad_s)
    _drive(recorder, 0.0, STAND_S)
    rounds_s: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        progress(number, ROUNDS)
        begun_s = time.monotonic()
        for direction in (1, -1):
            _drive(recorder, direction * rate_rad_s, LEG_S)
        rounds_s.append((begun_s, time.monotonic()))
    _drive(recorder, 0.0, STAND_S)
    recorder.motor.stop("the delay of a camera is measured")
    frames = moving_frames(recorder.odometry, recorder.pairs_s)
    seen = moving_frames(recorder.odometry, [each[:2] for each in recorder.turns])
    return TurnRecord(np.reshape(recorder.turns, (-1, 3)), frames, seen, recorder.odometry, rounds_s)


def _await_frames(recorder: TurnRecorder) -> None:
    """Wait for five frames, and for odometry."""
    end_s, frames = time.monotonic() + FIRST_FRAME_S, 0
    while frames < 5 or not recorder.odometry:
        try:
            frames += recorder.poll() is not None
        except StaleFrame:
            if time.monotonic() > end_s:
                raise
        if frames >= 5 and time.monotonic() > end_s:
            return
        time.sleep(POLL_S)


def _arm(recorder: TurnRecorder) -> None:
    recorder.motor.arm()
    end_s = time.monotonic() + ARM_LIMIT_S
    while (status := recorder.motor.status()).state is not MotorState.HOLDING:
        if time.monotonic() > end_s:
            why = status.reason or f"not armed within {ARM_LIMIT_S:g} s"
            raise MotorFault(f"the base did not arm: {why}", "is its emergency stop released?")
        recorder.poll()
        time.sleep(POLL_S)


def _drive(recorder: TurnRecorder, rate_rad_s: float, seconds: float) -> None:
    """Turn at a rate, one chunk for each frame. Raises MotorFault if the motor process stops the base."""
    rows = np.tile(np.array((0.0, 0.0, rate_rad_s), np.float32), (_ROWS, 1))
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        frame, status = recorder.poll(), recorder.motor.status()
        if status.state in (MotorState.RAMPING, MotorState.LATCHED, MotorState.TOUCHED):
            raise MotorFault(f"the motor process stopped: {status.reason}", "mend that, then measure again")
        if frame is None:
            time.sleep(POLL_S)
            continue
        # Bounded by way, since the delay that is to be measured may be longer than any age that is followed.
        waits = round((time.monotonic_ns() - frame.stamp_ns) / 1e9 / _ROW_S)
        values = np.concatenate([np.repeat(rows[:1], max(0, waits), axis=0), rows])
        until_ns = frame.stamp_ns + round(len(values) * _ROW_S * 1e9)
        number = len(recorder.pairs_s)
        recorder.motor.send(ActionChunk(values, _ROW_S, frame.stamp_ns, until_ns, 1.0, number, by_way=True))
