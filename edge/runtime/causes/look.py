"""How a camera's frames come, seen for a second while the base already stands."""

import contextlib
import time
from dataclasses import dataclass, replace
from statistics import median

from edge.cameras.frame_measures import LEAST_RATE_HZ
from edge.clock import Clock
from edge.errors import EdgeError
from edge.interfaces import Camera, SuggestsFaster
from edge.plugins import Blaming

LOOK_S = 1.0
_POLL_S = 0.002
_ANY_AGE_S = 1e9


@dataclass(frozen=True, slots=True)
class CameraLook:
    """What was seen of a camera's frames."""

    rate_hz: float = 0.0  # frames a second by when they came, with those that nobody took; 0: none came
    age_ns: int = 0  # their median age by their stamps as they came
    faster: str = ""  # what the camera itself knows that would make it faster


def look_at(name: str, camera: Camera, clock: Clock) -> CameraLook:
    """Return how a camera's frames come within LOOK_S; what it raises meanwhile counts as no frame."""
    look, faster = _measured(name, camera, clock), ""
    if 0 < look.rate_hz < LEAST_RATE_HZ and isinstance(camera, SuggestsFaster):
        with contextlib.suppress(EdgeError), Blaming(camera, f"camera {name!r}"):
            faster = camera.faster(look.rate_hz)
    return replace(look, faster=faster)


def _measured(name: str, camera: Camera, clock: Clock) -> CameraLook:
    seen: list[tuple[int, int, int]] = []  # seq, when it came, its age then
    end_ns = clock.now_ns() + round(LOOK_S * 1e9)
    while (now_ns := clock.now_ns()) < end_ns:
        with contextlib.suppress(EdgeError), Blaming(camera, f"camera {name!r}"):
            frame = camera.latest(_ANY_AGE_S)
            if not seen or frame.seq != seen[-1][0]:
                seen.append((frame.seq, now_ns, now_ns - frame.stamp_ns))
        time.sleep(_POLL_S)
    came = seen[1:]  # the first had been there before
    if not came:
        return CameraLook()
    if len(came) == 1:
        return CameraLook(1 / LOOK_S, came[0][2])
    frames, passed_ns = came[-1][0] - came[0][0], came[-1][1] - came[0][1]
    return CameraLook(frames / passed_ns * 1e9, round(median(age_ns for _, _, age_ns in came)))
