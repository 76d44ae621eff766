"""The records that flow through the runtime. Frozen; units in the names; ranges beside each field.

Body frame: x forward, y left, z up; counter-clockwise positive. Stamps: CLOCK_MONOTONIC ns."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge.outcomes import Outcome, StopCause

Image = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera image."""

    image: Image
    stamp_ns: int  # at exposure, or at the first byte
    seq: int  # counts up from 0, gaps are dropped frames
    camera: str = "front"
    source: str = ""  # the name of the picture's file; empty for videos and live cameras
    delay_ns: int = 0  # measured, from the exposure to the camera's own stamp: taken off `stamp_ns`

    @property
    def given_ns(self) -> int:
        """The camera's own stamp, with its delay."""
        return self.stamp_ns + self.delay_ns


@dataclass(frozen=True, slots=True)
class CameraMount:
    """Where a robot's camera sits and how wide it sees: turns image positions into directions and ranges."""

    vertical_fov_rad: float  # (0, pi)
    height_m: float  # above the floor
    pitch_rad: float  # downwards positive
    forward_m: float  # ahead of the base's centre


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in image coordinates divided by height and width: 0 <= y0 < y1 <= 1, the same for x."""

    y0: float
    x0: float
    y1: float
    x1: float

    @property
    def area(self) -> float:
        return (self.y1 - self.y0) * (self.x1 - self.x0)

    @property
    def center_x(self) -> float:
        return (self.x0 + self.x1) / 2

    def iou(self, other: "Box") -> float:
        """Intersection over union, [0, 1]."""
        height = max(0.0, min(self.y1, other.y1) - max(self.y0, other.y0))
        common = height * max(0.0, min(self.x1, other.x1) - max(self.x0, other.x0))
        return common / (self.area + other.area - common)


@dataclass(frozen=True, slots=True)
class Detection:
    """A thing that a model predicts to be in an image, and where."""

    box: Box
    label: str
    confidence: float  # [0, 1]


@dataclass(frozen=True, slots=True)
class Goal:
    """The operator's goal. Only this is an instruction, never text in the scene."""

    kind: str  # find_object | follow_object | describe_scene | identify_main_object | instruct
    target: str = ""  # "red cup"; empty for goals without one


@dataclass(frozen=True, slots=True)
class Velocity:
    """A body velocity."""

    linear_x_m_s: float = 0.0
    linear_y_m_s: float = 0.0
    angular_z_rad_s: float = 0.0


ZERO = Velocity()


@dataclass(frozen=True, slots=True)
class Odometry:
    """The base's own estimate of where it is, in the frame it booted in."""

    stamp_ns: int
    x_m: float
    y_m: float
    yaw_rad: float  # (-pi, pi]
    velocity: Velocity


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an actuator reports about itself; None for what it does not measure."""

    armed: bool
    odometry: Odometry | None = None
    battery_fraction: float | None = None  # [0, 1]
    fault: str = ""  # why it refuses to move; empty if it does not
    about: str = ""  # whom the driver moves, for people
    warning: str = ""  # what people should know, though it stops nothing
    bumper: bool | None = None  # True while it is pressed


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a policy may use at one moment."""

    frames: Mapping[str, Frame]  # a frame set: the newest frame of each camera, by the camera's name
    goal: Goal
    odometry: Odometry | None = None
    camera: str = ""  # the camera that the policy sees with; empty for the only one

    @property
    def frame(self) -> Frame:
        """The frame of the camera that the policy sees with."""
        if self.camera:
            return self.frames[self.camera]
        (frame,) = self.frames.values()
        return frame


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """The meaning of an action's numbers. low <= value <= high, elementwise."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rate_hz: float

    @property
    def dims(self) -> int:
        return len(self.names)


BASE_ACTION = ActionSpec(
    names=("linear_x", "linear_y", "angular_z"), units=("m/s", "m/s", "rad/s"),
    low=(-0.5, -0.5, -1.0), high=(0.5, 0.5, 1.0), rate_hz=10.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """A short plan: row i holds from t0_ns + i * dt_s until the next row."""

    values: NDArray[np.float32]  # (horizon, dims), physical units of the ActionSpec
    dt_s: float  # > 0
    t0_ns: int  # capture time of the frame that the plan answers
    valid_until_ns: int  # never followed after this
    confidence: float  # [0, 1]
    decision: int  # counts the policy's decisions
    by_way: bool = False  # bounded by the way since that frame instead of by the frame's age
    back: bool = False  # a way back from a contact; no other chunk is followed then, and this one only then


class MotorState(Enum):
    """The state of the motor process."""

    DISARMED = "disarmed"  # never moves; waits to be armed
    HOLDING = "holding"  # armed, at zero, waits for a chunk
    FOLLOWING = "following"  # follows a valid chunk
    TOUCHED = "touched"  # armed, has touched something: brakes, then goes back a little, then holds
    RAMPING = "ramping"  # braking at maximum deceleration, then latches
    LATCHED = "latched"  # stopped; ignores chunks until re-armed


@dataclass(frozen=True, slots=True)
class Refusals:
    """Chunks that the motor process did not follow, and messages that it could not read, by reason."""

    malformed: int = 0  # a wrong width, horizon or dt, NaN or Inf
    future: int = 0  # the chunk answers a frame from the future
    repeated: int = 0  # duplicated, replayed or out of order
    early: int = 0  # the chunk answers a frame captured before arming
    old: int = 0  # too old when it arrived
    unsure: int = 0  # confidence below the limit
    jumps: int = 0  # it jumps between its rows, or away from the chunk before
    messages: int = 0  # unreadable messages

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return sum(astuple(self))


@dataclass(frozen=True, slots=True)
class MotorStatus:
    """The report of the motor process after each of its ticks."""

    stamp_ns: int
    state: MotorState
    sent: Velocity  # the setpoint written to the actuator in this tick
    reason: str = ""  # why it stopped or limited, for people; empty when neither
    cause: StopCause = StopCause.NONE  # why it stopped; stays until re-armed
    decision: int = -1  # decision of the followed chunk; -1 without one
    frame_to_motor_ns: int = -1  # first write of this decision minus its t0_ns; -1 until there is one
    ticks: int = 0
    missed_ticks: int = 0
    refused: Refusals = Refusals()
    odometry: Odometry | None = None
    battery_fraction: float | None = None  # [0, 1]
    about: str = ""  # whom the driver moves, for people
    warning: str = ""  # what the driver warns of, though it stops nothing
    contacts: int = 0  # how often the armed base has touched something so far
    touched: Velocity = ZERO  # the motion that touched something last
    by_hand: bool = False  # a person drives the armed base in the policy's place


@dataclass(frozen=True, slots=True)
class DriveEnd:
    """How a drive ended and why."""

    outcome: Outcome
    reason: str  # for people
    exit_code: int  # see edge.errors
    cause: StopCause = StopCause.NONE
    hint: str = ""  # what a person can do about it
    answer: str = ""  # for goals that end in words
    seconds: float = 0.0  # since the drive's start
    kept_fraction: float | None = None  # see PolicyStatus


class ActionType(Enum):
    """What a sentence instructs the robot to do."""

    MOVE = "move"
    TURN = "turn"
    STOP = "stop"
    GRAB = "grab"
    RELEASE = "release"
    POINT = "point"
    LOOK = "look"
    NAVIGATE = "navigate"
    AVOID = "avoid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ParsedAction:
    """A model's text as a parser read it."""

    type: ActionType
    linear_x_m_s: float
    linear_y_m_s: float
    angular_z_rad_s: float
    target: str
    confidence: float  # [0, 1]; under 0.3 stops
    reason: str  # why this reading, in plain words
    text: str  # the text that was read
    detections: tuple[Detection, ...] = field(default=())
    distance_m: float | None = None  # how far, by how much and for how long; None if the text does not say
    angle_rad: float | None = None  # its size; the sign of angular_z_rad_s tells the side
    duration_s: float | None = None
