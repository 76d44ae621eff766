"""A policy that records what an expert would do, while the expert or another policy drives."""

import cv2
import numpy as np

from edge.interfaces import Inference, Policy, PolicyStatus
from edge.policies.chunks import velocity_chunk
from edge.records import BASE_ACTION, ActionChunk, Goal, Image, Observation, Velocity
from sim.driving.expert import Expert
from sim.driving.waymap import SOFT_M
from sim.world import World
from training.datasets.lerobot_writer import Recording

CAMERA = "front"
STATE_NAMES = ("x_m", "y_m", "yaw_rad", "linear_x_m_s", "linear_y_m_s", "angular_z_rad_s")  # odometry
PUSH_S, REST_S = (0.3, 1.0), (1.0, 3.0)  # ranges of a push's duration and of the time between two
_JPEG_QUALITY = 95


class Pushes:
    """Pushes that `--noise` adds to the expert's velocity: now and then a constant one for a while."""

    def __init__(self, scale: float, rng: np.random.Generator) -> None:
        """Start without a push. `scale`: standard deviation of a push, as a share of full speed, [0, 1]."""
        self._std = scale * np.array(BASE_ACTION.high)
        self._rng = rng
        self._push = np.zeros(3)
        self._until_s = float(rng.uniform(*REST_S))

    def push(self, wanted: Velocity, time_s: float, gap_m: float) -> Velocity:
        """Add the current push to `wanted`, weaker near obstacles, of which the nearest is `gap_m` away."""
        if time_s >= self._until_s:
            rests = not self._push.any()
            self._push = self._rng.normal(0, self._std) if rests else np.zeros(3)
            self._until_s = time_s + float(self._rng.uniform(*(PUSH_S if rests else REST_S)))
        share = min(1.0, max(0.0, gap_m / SOFT_M))
        velocity = np.array([wanted.linear_x_m_s, wanted.linear_y_m_s, wanted.angular_z_rad_s])
        pushed = np.clip(velocity + share * self._push, BASE_ACTION.low, BASE_ACTION.high)
        return Velocity(*(float(v) for v in pushed))


class Demonstrator:
    """Records the expert's velocity at every frame, while `driver` drives, or the expert itself, pushed.

    Once the driver claims that it has arrived, the expert drives on to where that is true.

    The expert sees the world as it is when the frame arrives, CAMERA_LATENCY_NS of sim.lockstep after its
    exposure; at full speed the robot has moved 9 mm since.
    """

    def __init__(
        self, expert: Expert, world: World, pushes: Pushes, height: int, driver: Policy | None
    ) -> None:
        """Begin an episode; `height` is that of the images that are kept, in pixels."""
        self._expert, self._world, self._pushes, self._driver = expert, world, pushes, driver
        self._driving = driver  # None: the expert drives
        self._height = height
        self._decision = 0
        self._images: list[bytes] = []
        self._pixels: list[np.ndarray] = []
        self._states: list[tuple[float, ...]] = []
        self._actions: list[tuple[float, ...]] = []

    @property
    def status(self) -> PolicyStatus:
        status = self._expert.status
        return PolicyStatus(status.state, status.state == "stuck" or status.reached)

    def reset(self, goal: Goal) -> None:
        self._expert.reset(goal)
        self._driving = self._driver
        if self._driver is not None:
            self._driver.reset(goal)

    def infer(self, observation: Observation) -> Inference:
        return (self._driving or self._expert).infer(observation)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        wanted = self._expert.velocity()
        self._record(observation, wanted)
        if self._driving is not None:
            chunk = self._driving.act(observation, inference)
            if chunk is not None:
                self._decision = chunk.decision  # the guard wants them in order, whoever drives
            if self._driving.status.reached:
                self._driving = None
            return chunk
        self._decision += 1
        pose = self._world.pose
        gap = float(self._expert.map.gap[self._expert.map.cell(pose.x_m, pose.y_m)])
        driven = self._pushes.push(wanted, self._world.time_ns / 1e9, gap)
        return velocity_chunk(driven, observation.frame.stamp_ns, self._decision)

    def recording(self, task: str) -> Recording | None:
        """Make a recording of the episode so far; None before its first frame."""
        if not self._images:
            return None
        states, actions = np.array(self._states, np.float32), np.array(self._actions, np.float32)
        pixels = {CAMERA: np.concatenate(self._pixels)}
        return Recording(task, {CAMERA: self._images}, pixels, states, actions)

    def _record(self, observation: Observation, wanted: Velocity) -> None:
        image = observation.frame.image
        width = round(image.shape[1] * self._height / image.shape[0])
        if image.shape[0] != self._height:
            image = np.asarray(
                cv2.resize(image, (width, self._height), interpolation=cv2.INTER_AREA), np.uint8
            )
        self._images.append(to_jpeg(image))
        if len(self._images) % 10 == 1:
            self._pixels.append(image[::8, ::8].reshape(-1, 3))
        o = observation.odometry
        assert o is not None
        v = o.velocity
        self._states.append((o.x_m, o.y_m, o.yaw_rad, v.linear_x_m_s, v.linear_y_m_s, v.angular_z_rad_s))
        self._actions.append((wanted.linear_x_m_s, wanted.linear_y_m_s, wanted.angular_z_rad_s))


def to_jpeg(image: Image) -> bytes:
    """Encode an RGB image as a JPEG file."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
