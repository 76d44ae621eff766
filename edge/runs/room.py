"""The true map of a room, for the picture of a run's path; never for the policy."""

from dataclasses import dataclass

Color = tuple[int, int, int]  # RGB


@dataclass(frozen=True, slots=True)
class RoomObject:
    """An object on the map, drawn as a disc."""

    label: str
    x_m: float
    y_m: float
    radius_m: float
    color: Color
    is_target: bool = False


@dataclass(frozen=True, slots=True)
class RoomMap:
    """A rectangular room with its objects, and the pose in it at which odometry begins."""

    x0_m: float
    y0_m: float
    x1_m: float
    y1_m: float
    objects: tuple[RoomObject, ...] = ()
    start_x_m: float = 0.0
    start_y_m: float = 0.0
    start_yaw_rad: float = 0.0
