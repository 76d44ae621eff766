"""A drive on a virtual clock: loop, policy and guard are real, the base does at once what it is told."""

import math
from dataclasses import dataclass, field

import numpy as np

from edge.clock import VirtualClock
from edge.interfaces import Inference, Policy
from edge.motor.guard import Guard
from edge.records import Frame, Goal, Observation, Odometry, Velocity
from edge.runtime.loop import Loop

MS = 1_000_000
TICK_NS, FRAME_NS, CAMERA_NS = 20 * MS, 40 * MS, 20 * MS
IMAGE = np.zeros((24, 32, 3), np.uint8)


class LateWorker:
    """Answers `late_ns` after a frame was submitted."""

    def __init__(self, policy: Policy, clock: VirtualClock, late_ms: list[int]) -> None:
        self.policy, self.clock, self.late_ms = policy, clock, late_ms
        self.submitted: list[Observation] = []
        self._ready: tuple[int, Inference] | None = None

    @property
    def busy(self) -> bool:
        return self._ready is not None

    def submit(self, observation: Observation) -> None:
        late_ms = self.late_ms[min(len(self.submitted), len(self.late_ms) - 1)]
        self.submitted.append(observation)
        self._ready = self.clock.now_ns() + late_ms * MS, self.policy.infer(observation)

    def poll(self) -> Inference | None:
        if self._ready is None or self.clock.now_ns() < self._ready[0]:
            return None
        inference, self._ready = self._ready[1], None
        return inference


@dataclass
class Driven:
    """What a drive left behind: one entry for each tick of the guard."""

    guard: Guard
    worker: LateWorker
    stamps_ns: list[int] = field(default_factory=list)
    setpoints: list[Velocity] = field(default_factory=list)

    def between(self, since_ns: int, until_ns: int) -> list[Velocity]:
        """Return the setpoints between two times."""
        both = zip(self.stamps_ns, self.setpoints, strict=True)
        return [velocity for stamp_ns, velocity in both if since_ns <= stamp_ns < until_ns]

    def ways(self, since_ns: int = 0, until_ns: int = 10**18) -> tuple[float, float]:
        """Return the metres and the radians between two times."""
        chosen = self.between(since_ns, until_ns)
        metres = sum(math.hypot(v.linear_x_m_s, v.linear_y_m_s) for v in chosen)
        return metres * TICK_NS / 1e9, sum(abs(v.angular_z_rad_s) for v in chosen) * TICK_NS / 1e9


def drive(
    policy: Policy, goal: Goal, guard: Guard, late_ms: list[int], seconds: float, odometry: bool = True
) -> Driven:
    """Drive for so many seconds. Answers take `late_ms` one after the other, the last of them for good."""
    clock = VirtualClock()
    worker = LateWorker(policy, clock, late_ms)
    loop, driven, pending = Loop(policy, worker, goal), Driven(guard, worker), None
    guard.step(0)
    guard.arm(0)
    x_m = y_m = yaw_rad = 0.0
    velocity = Velocity()
    for now_ns in range(0, round(seconds * 1e9), TICK_NS):
        if pending is not None and now_ns >= pending.stamp_ns + CAMERA_NS:
            moved = Odometry(now_ns, x_m, y_m, math.remainder(yaw_rad, math.tau), velocity)
            step = loop.on_frame({"front": pending}, moved if odometry else None)
            pending = None
            if step.chunk is not None:
                guard.follow(step.chunk, now_ns)
        if now_ns % FRAME_NS == 0:
            pending = Frame(IMAGE, now_ns, now_ns // FRAME_NS)
        velocity = guard.step(now_ns)
        driven.stamps_ns.append(now_ns)
        driven.setpoints.append(velocity)
        yaw_rad += velocity.angular_z_rad_s * TICK_NS / 1e9
        x_m += velocity.linear_x_m_s * math.cos(yaw_rad) * TICK_NS / 1e9
        y_m += velocity.linear_x_m_s * math.sin(yaw_rad) * TICK_NS / 1e9
        clock.advance(TICK_NS)
    return driven
