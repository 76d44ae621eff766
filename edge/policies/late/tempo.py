"""How a policy drives, by how late its model answers: at full speed, more slowly, or stop-look-move."""

import math
from collections import deque
from dataclasses import dataclass

from edge.motor.limits import MotorLimits

# Time from a frame to the motors' next tick, beyond the model's own: camera, tick, and a busy machine.
ON_THE_WAY_S = 0.07
REMEMBERED = 30  # the slowest of so many answers tells whether the next may be late
RECENT, USUAL = 10, 0.9  # nine in ten of so many answers come within the time that the speed is chosen for
# Below this share of full speed, to stand, look, and move at full speed finds more.
LEAST_SHARE = 0.45


@dataclass(frozen=True, slots=True)
class Tempo:
    """The speed at which answers are followed."""

    share: float = 1.0  # part of the predicted speed, (0, 1]; rows last longer by as much
    by_way: bool = False  # the guard bounds the chunks by the base's way, and not by their age
    looks: bool = False  # stop-look-move: the base stands for each frame that the model sees
    turning: float = 1.0  # share of full turn rate at which a policy turns all round, (0, 1]


class Lateness:
    """How late the newest answers came, and the tempo that follows from that."""

    def __init__(self, limits: MotorLimits, period_s: float, chunk_s: float) -> None:
        """Begin without answers. `period_s` is the time between two, and `chunk_s` what one lasts."""
        self.tempo = Tempo()
        self._limits, self._period_s, self._chunk_s = limits, period_s, chunk_s
        self._late_s: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, late_s: float) -> None:
        """Take note of the time from a frame's capture to its answer, seconds."""
        self._late_s.append(late_s)
        if self._until_s(max(self._late_s)) <= self._limits.follow_age_s:
            self.tempo = Tempo()
            return
        recent = sorted(list(self._late_s)[-RECENT:])
        usual_s = recent[math.ceil(USUAL * len(recent)) - 1]
        until_s = self._until_s(usual_s)
        share = min(self._limits.share_by_way(until_s), self._chunk_s / until_s)
        if share >= LEAST_SHARE:
            self.tempo = Tempo(share, by_way=True, turning=share)
        else:
            cycle_s = usual_s + self._chunk_s + self._limits.braking_s(0.0, self._limits.angular_rad_s)
            turning = self._limits.blind_rad / cycle_s / self._limits.angular_rad_s
            self.tempo = Tempo(by_way=True, looks=True, turning=min(1.0, turning))

    def _until_s(self, late_s: float) -> float:
        """Return the age of an answer's frame at which the next answer is there."""
        return max(self._period_s, late_s) + late_s + ON_THE_WAY_S
