"""The cameras of a robot, read together: frame sets for a policy, and faults of the cameras."""

from collections.abc import Collection, Mapping

from edge.clock import Clock, MonotonicClock
from edge.errors import UsageError
from edge.interfaces import AwaitsAnswers, Camera, NamesCamera, Policy
from edge.perception.picture_lag import BaseMotion
from edge.records import CameraMount, Frame, Odometry
from edge.runtime.watched.camera import WatchedCamera
from edge.runtime.watched.delay import longest_age_s

DEFAULT_CAMERA = "front"


def chosen_camera(names: Collection[str], wanted: str = "") -> str:
    """Return the camera that paces a policy: the one that it wants, else the only one, else "front".

    Raises UsageError if the robot has no such camera.
    """
    name = wanted or (next(iter(names)) if len(names) == 1 else DEFAULT_CAMERA)
    if name not in names:
        known = ", ".join(names)
        raise UsageError(
            f"the policy sees with the camera {name!r}, the robot has {known}",
            f"name one of them so: `--camera {name}=URI`",
        )
    return name


def pacing_camera(policy: Policy, names: Collection[str], wanted: str = "") -> str:
    """Return the camera that paces the policy: the one that it names itself, else as `chosen_camera` says.

    Raises UsageError if the robot has no such camera.
    """
    return chosen_camera(names, policy.camera if isinstance(policy, NamesCamera) else wanted)


class CameraSet:
    """Reads a robot's cameras, by name, as frame sets.

    A frame set holds a frame of the pacing camera that was not in a set before, and the newest frame of every
    other camera. None of them may be older than `max_age_s`, whichever camera it is from.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        pacing: str,
        max_age_s: float,
        clock: Clock | None = None,
        mount: CameraMount | None = None,
        delays_s: Mapping[str, float] | None = None,
    ) -> None:
        """Read `cameras`, paced by `pacing`. `clock`: by default CLOCK_MONOTONIC.

        With the mount of the pacing camera its frames are held against `base`, which the caller keeps up to
        date. None: nothing moves as told. `delays_s`: from the exposure to the camera's own stamp, by camera.
        """
        self.pacing = pacing
        self.base = BaseMotion()
        clock, delays = clock or MonotonicClock(), delays_s or {}
        self._cameras = {
            name: WatchedCamera(
                name, camera, clock, mount if name == pacing else None, self.base, delays.get(name, 0.0)
            )
            for name, camera in cameras.items()
        }
        # Only motion that answers the pacing camera can be bounded by way: others have the limit as it is.
        self._max_age_s = dict.fromkeys(cameras, max_age_s)
        self._max_age_s[pacing] = longest_age_s(max_age_s, delays.get(pacing, 0.0))
        self._seq = -1

    @property
    def await_answers(self) -> bool:
        """True if the pacing camera shows each image until `answered`: then nothing happens in real time."""
        return isinstance(self._cameras[self.pacing].camera, AwaitsAnswers)

    def answered(self) -> None:
        """Tell the cameras that wait for it that the policy has answered about the newest frame set."""
        for watched in self._cameras.values():
            watched.answered()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all cameras."""
        return tuple(self._cameras)

    @property
    def all(self) -> Mapping[str, Camera]:
        """The cameras themselves, by name."""
        return {name: watched.camera for name, watched in self._cameras.items()}

    @property
    def doubt(self) -> str:
        """Why the base holds for now, such as "camera 'front' is black"; empty if nothing is wrong."""
        return next((watched.doubt for watched in self._cameras.values() if watched.doubt), "")

    @property
    def held(self) -> str:
        """What shows that something held the base, which stands now; empty if nothing does."""
        return self._cameras[self.pacing].held

    @property
    def suspect(self) -> bool:
        """True if the newest frame of any camera looks as a fault begins: nothing is concluded from it."""
        return any(watched.suspect for watched in self._cameras.values())

    @property
    def may_arrive(self) -> bool:
        """True if an arrival that the policy claims counts, since no picture was old."""
        return all(watched.may_arrive for watched in self._cameras.values())

    @property
    def dropped(self) -> Mapping[str, int]:
        """The numbers of frames that were left out for their stamps, by camera."""
        return {name: watched.dropped for name, watched in self._cameras.items() if watched.dropped}

    def wait(self) -> None:
        """Wait for a frame of the pacing camera, a moment at most."""
        self._cameras[self.pacing].wait()

    def check(self, odometry: Odometry | None = None) -> bool:
        """Return True once every camera has a fresh frame and gives steady ones.

        Raises StaleFrame if a frame is too old or not there yet, DriveStop for a fault of a camera.
        """
        for name, watched in self._cameras.items():
            watched.latest(self._max_age_s[name], odometry)
        return all(watched.ready for watched in self._cameras.values())

    def next(self, odometry: Odometry | None = None) -> dict[str, Frame] | None:
        """Return the next frame set; None while the pacing camera shows the frame of the last one.

        `odometry` is the newest. Raises StaleFrame if a frame is too old, DriveStop for a fault of a camera,
        EndOfFrames if a recording is over.
        """
        pacing = self._cameras[self.pacing].latest(self._max_age_s[self.pacing], odometry)
        if pacing.seq == self._seq:
            return None
        self._seq = pacing.seq
        return {self.pacing: pacing} | {
            name: watched.latest(self._max_age_s[name], odometry)
            for name, watched in self._cameras.items()
            if name != self.pacing
        }
