"""Episodes on a virtual clock, as fast as the machine can: the runtime's policy, loop and guard in a room.

Only the clock, the wire and the worker differ from real time: the model's answer is computed at once and
handed over after `latency_s` of simulated time.
"""

import math
from collections import deque
from dataclasses import dataclass
from urllib.parse import parse_qsl

import numpy as np

from edge.cameras.slot import require_fresh
from edge.clock import VirtualClock
from edge.errors import SafetyStop, UsageError
from edge.interfaces import Closing, Feedback, Inference, Policy
from edge.motor.contact import ContactWatch
from edge.motor.guard import ARMED, Guard
from edge.motor.limits import MotorLimits
from edge.motor.pulses import Correction, InEffect, Pulses
from edge.perception.lens import Lens, Straightener
from edge.records import ZERO, CameraMount, Frame, Goal, MotorStatus, Observation, Odometry, StopCause
from edge.robots.robot_file import seen_through
from edge.runtime.cameras import CameraSet
from edge.runtime.drive import MAX_FRAME_AGE_S
from edge.runtime.ending import DriveStop, ending_of
from edge.runtime.loop import Contacts, Loop, Sent
from sim.bases import Hanging, hanging_of, number_of
from sim.realtime.camera_faults import LAG_S, FaultyCamera, check_fault
from sim.realtime.lens import DISTORTION
from sim.render import CameraSpec, Renderer, degrade
from sim.targets import matching
from sim.world import TIMESTEP_NS, World, has_arrived

GUARD_PERIOD_NS = 20_000_000
CAMERA_LATENCY_NS = 20_000_000  # from exposure to the frame's arrival
STOP_S = 0.6  # after the policy's decision, to come to rest
UPRIGHT = Hanging()
LAG_MS = (0.0, 5000.0)
DELAY_MS = (0.0, 500.0)
FAULT_S = (0.0, 3600.0)


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """How the camera hangs, what is made of its image, and what is wrong with it from `fault_s` on.

    One that is not `judged` may show anything, as a recording may.
    """

    hanging: Hanging = UPRIGHT
    fault: str = "none"  # one of sim.realtime.camera_faults.FAULTS
    fault_s: float = 0.0
    lag_s: float = LAG_S  # age of the images of a camera that is late
    judged: bool = True
    distortion: float = 0.0  # the lens's, as the renderer has it; see sim.realtime.lens
    lens: Lens | None = None  # measured: its images are straightened
    delay_s: float = 0.0  # from the exposure to the stamp
    known_delay_s: float = 0.0  # the same, as it was measured: it is taken off the stamps


UNJUDGED = CameraSettings(judged=False)
JUDGED = CameraSettings()


def parse_camera(query: str) -> CameraSettings:
    """Return a camera of settings that are written as key=value&key=value; empty: one that hangs upright.

    Raises UsageError for a setting that it does not have, and a value out of its range.
    """
    try:
        settings = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError as error:
        hint = "such as upside_down=yes&flip=180"
        raise UsageError(f"camera: {query[:80]!r} is not key=value&key=value", hint) from error
    fault = check_fault(settings.pop("fault", "none"))
    fault_s = _number("fault_s", settings.pop("fault_s", "0"), *FAULT_S)
    lag_s = _number("lag_ms", settings.pop("lag_ms", f"{1e3 * LAG_S:g}"), *LAG_MS) / 1e3
    distortion = _number("distortion", settings.pop("distortion", "0"), *DISTORTION)
    delay_s = _number("camera_delay_ms", settings.pop("camera_delay_ms", "0"), *DELAY_MS) / 1e3
    hanging = hanging_of(settings)
    return CameraSettings(hanging, fault, fault_s, lag_s, distortion=distortion, delay_s=delay_s)


def _number(name: str, text: str, low: float, high: float) -> float:
    return number_of(f"the simulated camera's {name}", text, low, high, f"such as {name}={high:g}")


def seen_mount(spec: CameraSpec, camera: CameraSettings) -> CameraMount:
    """Return where the camera sits, and what its images show: more or less than its spec, if straightened."""
    return spec.mount if camera.lens is None else seen_through(camera.lens, spec.mount)


class LockstepCamera(Closing):
    """The camera of a world on a virtual clock: an image is there CAMERA_LATENCY_NS after its stamp."""

    name = "front"

    def __init__(
        self, world: World, renderer: Renderer, clock: VirtualClock, settings: CameraSettings
    ) -> None:
        self.plays_recording = not settings.judged
        self._world, self._renderer, self._clock = world, renderer, clock
        self._hanging = settings.hanging
        self._straight = None if settings.lens is None else Straightener(settings.lens)
        self._fault = FaultyCamera(settings.fault, settings.fault_s, settings.lag_s)
        self._rng = np.random.default_rng(world.scene.seed)  # for noise that only a faulty camera adds
        self._period_ns = round(1e9 / renderer.spec.rate_hz)
        self._next_ns = self._seq = 0
        self._delay_ns = round(settings.delay_s * 1e9)
        self._coming: deque[Frame] = deque()  # exposed, and not there yet
        self._frame: Frame | None = None

    @property
    def started(self) -> bool:
        """True once a frame has arrived."""
        return self._frame is not None

    @property
    def new(self) -> bool:
        """True if a frame has arrived that was not there at the last call."""
        if not self._coming or self._clock.now_ns() < self._coming[0].stamp_ns + CAMERA_LATENCY_NS:
            return False
        self._frame = self._coming.popleft()
        return True

    def expose(self) -> None:
        """Take an image if one is due."""
        now_ns = self._clock.now_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns += self._period_ns
        image = self._hanging.seen(self._world.image(self._renderer))
        image = image if self._straight is None else self._straight.apply(image)
        delivered = self._fault.spoil(image, now_ns, lambda still: degrade(still, self._rng, blur_px=0.0))
        if delivered is not None:
            seen, stamp_ns = delivered
            self._coming.append(Frame(seen, stamp_ns + self._delay_ns, self._seq))
        self._seq += 1

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame that has arrived. Raises StaleFrame if it is too old."""
        assert self._frame is not None, "it is asked once the first frame is there"
        return require_fresh(self._frame, self._clock.now_ns(), max_age_s)

    def close(self) -> None: ...


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


class LockstepMotor:
    """The motor process and the base's firmware, without their processes and wires."""

    def __init__(self, world: World) -> None:
        """Begin armed."""
        self._world = world
        self.guard = Guard(MotorLimits.of(world.stated), period_ns=GUARD_PERIOD_NS)
        self._correction = Correction(self.guard.limits)
        self._in_effect = InEffect(world.stated.delay_s)
        self.contacts = ContactWatch(self.guard)
        self._pulses = Pulses(self.guard.limits)
        self._next_ns = 0
        self._sent = ZERO
        self._odometry = world.odometry(0)
        self.guard.arm(0)

    def due(self, now_ns: int) -> bool:
        """Return True if it is time for a tick."""
        return now_ns >= self._next_ns

    def tick(self, odometry: Odometry) -> None:
        """Write a setpoint, and judge what the base reports."""
        self._odometry, now_ns = odometry, odometry.stamp_ns
        self._next_ns += GUARD_PERIOD_NS
        world, guard = self._world, self.guard
        command = self._correction.command(self._pulses.step(guard.step(now_ns), now_ns))
        world.command(command)
        self._sent = self._correction.effect(command)
        self._in_effect.add(self._sent, now_ns)
        feedback = Feedback(armed=True, odometry=odometry, bumper=world.bumper)
        expected = self._in_effect.at(now_ns)
        if guard.state in ARMED and (objection := self.contacts.judge(feedback, expected, now_ns)):
            guard.stop(objection.reason, objection.cause)

    def status(self) -> MotorStatus:
        """Return what the motor process would report now. Raises DriveStop if it stopped the base."""
        guard = self.guard
        if guard.state not in ARMED:
            raise DriveStop(guard.cause, guard.reason)
        odometry = self._odometry
        return MotorStatus(
            odometry.stamp_ns, guard.state, self._sent, guard.reason, guard.cause, odometry=odometry,
            contacts=guard.back.contacts, touched=guard.back.touched,
        )  # fmt: skip


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
    stopped: str = ""  # why a safety rule about cameras ended it; empty if none did
    cause: StopCause = StopCause.NONE
    bumps_ns: tuple[int, ...] = ()  # when each of its bumps began
    contacts: int = 0  # those that were noticed


def play(
    world: World, renderer: Renderer, policy: Policy, goal: Goal, latency_s: float, max_s: float = 60.0,
    camera: CameraSettings = UNJUDGED,
) -> EpisodeResult:  # fmt: skip
    """Drive one episode until the policy arrives, a fault of the camera stops it, or `max_s` are over.

    `renderer` must have the world loaded. Any object that the goal's target names counts.
    """
    policy.reset(goal)
    clock = VirtualClock()
    worker = LatencyWorker(policy, clock, latency_s)
    loop = Loop(policy, worker, goal)
    motor = LockstepMotor(world)
    eye = LockstepCamera(world, renderer, clock, camera)
    mount = seen_mount(renderer.spec, camera) if camera.judged else None
    delays_s = {eye.name: camera.known_delay_s}
    cameras = CameraSet({eye.name: eye}, eye.name, MAX_FRAME_AGE_S, clock, mount, delays_s)
    sent, contacts, stop = Sent(), Contacts(policy, cameras), None
    turned, end_ns = 0.0, round(max_s * 1e9)
    while clock.now_ns() < end_ns and not (policy.status.reached and cameras.may_arrive):
        now_ns = clock.now_ns()
        odometry = world.odometry(now_ns)
        try:
            contacts.update(motor.status())
            frames = cameras.next(odometry) if eye.new or (camera.judged and eye.started) else None
        except SafetyStop as fault:
            stop = ending_of(fault)
            break
        if frames is not None:
            step = loop.on_frame(frames, odometry)
            chunk = sent.choose(step, cameras.doubt, policy.status.reached, contacts.touched)
            if chunk is not None:
                motor.guard.follow(chunk, now_ns)
            if held := contacts.seen():
                motor.contacts.touch(held, now_ns)
        eye.expose()
        if motor.due(now_ns):
            cameras.base.measure(odometry)
            motor.tick(odometry)
        yaw = world.pose.yaw_rad
        world.step()
        turned += abs(math.remainder(world.pose.yaw_rad - yaw, 2 * math.pi))
        clock.advance(TIMESTEP_NS)
    claimed, seconds = policy.status.reached and stop is None, clock.now_ns() / 1e9
    world.command(ZERO)
    for _ in range(round(STOP_S * 1e9 / TIMESTEP_NS)):
        world.step()
    success = claimed and any(has_arrived(world.pose, o) for o in matching(world.scene, goal.target))
    return EpisodeResult(
        claimed, success, world.bumps, seconds, world.path_m, policy.status.state, turned, worker.answers,
        *(("", StopCause.NONE) if stop is None else (stop.reason, stop.cause)), tuple(world.bumps_ns),
        motor.guard.back.contacts,
    )  # fmt: skip
