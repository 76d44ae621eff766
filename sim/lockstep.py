"""Episodes on a virtual clock, as fast as the machine can: the runtime's policy, loop and guard in a room.

Only the clock, the wire and the worker differ from real time: the model's answer is computed at once and
handed over after `latency_s` of simulated time.
"""

import math
from dataclasses import dataclass

from edge.clock import VirtualClock
from edge.interfaces import Inference, Policy
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.pulses import Pulses
from edge.records import ZERO, Frame, Goal, Observation
from edge.runtime.loop import Loop
from sim.bases import Hanging
from sim.render import Renderer
from sim.targets import matching
from sim.world import TIMESTEP_NS, World, has_arrived

GUARD_PERIOD_NS = 20_000_000
CAMERA_LATENCY_NS = 20_000_000  # from exposure to the frame's arrival
UPRIGHT = Hanging()
STOP_S = 0.6  # after the policy's decision, to come to rest


class LatencyWorker:
    """Answers after a fixed simulated time."""

    def __init__(self, policy: Policy, clock: VirtualClock, latency_s: float) -> None:
        self._policy, self._clock = policy, clock
        self._latency_ns = round(latency_s * 1e9)
        self._ready: tuple[int, Inference] | None = None
        self.answers = 0

    @property
    def busy(self) -> bool:
        return self._ready is not None

    def submit(self, observation: Observation) -> None:
        self._ready = (self._clock.now_ns() + self._latency_ns, self._policy.infer(observation))
        self.answers += 1

    def poll(self) -> Inference | None:
        if self._ready is None or self._clock.now_ns() < self._ready[0]:
            return None
        inference, self._ready = self._ready[1], None
        return inference


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """How one episode ended."""

    claimed: bool  # the policy claimed that it has arrived
    success: bool  # and it was true: see sim.world.has_arrived
    bumps: int
    seconds: float
    path_m: float
    state: str
    turned_rad: float  # turn of the robot in all
    answers: int


def play(
    world: World, renderer: Renderer, policy: Policy, goal: Goal, latency_s: float, max_s: float = 60.0,
    hanging: Hanging = UPRIGHT,
) -> EpisodeResult:  # fmt: skip
    """Drive one episode until the policy arrives or `max_s` are over.

    `renderer` must have the world loaded. Any object that the goal's target names counts. `hanging` is how
    the camera hangs and what is made of its image.
    """
    policy.reset(goal)
    clock = VirtualClock()
    worker = LatencyWorker(policy, clock, latency_s)
    loop = Loop(policy, worker, goal)
    guard = Guard(MotorLimits.of(world.base), period_ns=GUARD_PERIOD_NS)
    pulses = Pulses(guard.limits)
    guard.arm(0)
    period_ns = round(1e9 / renderer.spec.rate_hz)
    pending: Frame | None = None
    next_frame_ns = next_guard_ns = seq = 0
    turned, end_ns = 0.0, round(max_s * 1e9)
    while clock.now_ns() < end_ns and not policy.status.reached:
        now_ns = clock.now_ns()
        if pending is not None and now_ns >= pending.stamp_ns + CAMERA_LATENCY_NS:
            step = loop.on_frame({pending.camera: pending}, world.odometry(now_ns))
            pending = None
            if step.chunk is not None:
                guard.follow(step.chunk, now_ns)
        if now_ns >= next_frame_ns:
            pending = Frame(hanging.seen(world.image(renderer)), now_ns, seq)
            seq, next_frame_ns = seq + 1, next_frame_ns + period_ns
        if now_ns >= next_guard_ns:
            world.command(pulses.step(guard.step(now_ns), now_ns))
            next_guard_ns += GUARD_PERIOD_NS
        yaw = world.pose.yaw_rad
        world.step()
        turned += abs(math.remainder(world.pose.yaw_rad - yaw, 2 * math.pi))
        clock.advance(TIMESTEP_NS)
    claimed, seconds = policy.status.reached, clock.now_ns() / 1e9
    world.command(ZERO)
    for _ in range(round(STOP_S * 1e9 / TIMESTEP_NS)):
        world.step()
    success = claimed and any(has_arrived(world.pose, o) for o in matching(world.scene, goal.target))
    return EpisodeResult(
        claimed, success, world.bumps, seconds, world.path_m, policy.status.state, turned, worker.answers
    )
