"""The cameras of a robot, read together: frame sets for a policy."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from edge.errors import UsageError
from edge.interfaces import AwaitsAnswers, Camera, NamesCamera, Policy
from edge.records import Frame

DEFAULT_CAMERA = "front"


def pacing_camera(policy: Policy, names: Collection[str]) -> str:
    """Return the camera that paces the policy: the one it names, else the only one, else "front".

    Raises UsageError if the robot has no such camera.
    """
    if isinstance(policy, NamesCamera):
        name = policy.camera
    else:
        name = next(iter(names)) if len(names) == 1 else DEFAULT_CAMERA
    if name not in names:
        known = ", ".join(names)
        raise UsageError(
            f"the policy sees with the camera {name!r}, the robot has {known}",
            f"name one of them so: `--camera {name}=URI`",
        )
    return name


class CameraSet:
    """Reads a robot's cameras, by name, as frame sets.

    A frame set holds a frame of the pacing camera that was not in a set before, and the newest frame of every
    other camera. None of them may be older than `max_age_s`, whichever camera it is from.
    """

    def __init__(self, cameras: Mapping[str, Camera], pacing: str, max_age_s: float) -> None:
        self.pacing = pacing
        self._cameras = cameras
        self._max_age_s = max_age_s
        self._seq = -1

    @property
    def await_answers(self) -> bool:
        """True if the pacing camera shows each image until `answered`: then nothing happens in real time."""
        return isinstance(self._cameras[self.pacing], AwaitsAnswers)

    def answered(self) -> None:
        """Tell the cameras that wait for it that the policy has answered about the newest frame set."""
        for camera in self._cameras.values():
            if isinstance(camera, AwaitsAnswers):
                camera.answered()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all cameras."""
        return tuple(self._cameras)

    def check(self) -> None:
        """Check that every camera has a fresh frame. Raises StaleFrame if one is too old or not there yet."""
        for camera in self._cameras.values():
            camera.latest(self._max_age_s)

    def next(self) -> dict[str, Frame] | None:
        """Return the next frame set; None while the pacing camera shows the frame of the last one.

        Raises StaleFrame if a frame is too old, EndOfFrames if a recording is over.
        """
        pacing = self._cameras[self.pacing].latest(self._max_age_s)
        if pacing.seq == self._seq:
            return None
        self._seq = pacing.seq
        others = {
            name: camera.latest(self._max_age_s)
            for name, camera in self._cameras.items()
            if name != self.pacing
        }
        return {
            name: frame if frame.camera == name else replace(frame, camera=name)
            for name, frame in {self.pacing: pacing, **others}.items()
        }
