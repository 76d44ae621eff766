"""What a model's answers and the frames in between tell of a target: its box, its position, its belief."""

import math
from collections.abc import Callable

from edge.base_spec import BaseSpec
from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.perception.geometry import Pose, PoseHistory, View
from edge.perception.tracking import BoxTracker
from edge.policies.seeker_states import SeekerParams
from edge.policies.target import TargetEstimate
from edge.records import CameraMount, Detection, Image, Observation

EDGE = 0.005  # share of the image's width: nearer to its edge a box is cut off

# True for a position (x, y) in the odometry frame at which nothing is to be seen: x, y, within, stamp.
Ignored = Callable[[float, float, float, int], bool]


class Sight:
    """The target of one goal, seen by one camera."""

    def __init__(
        self, boxes: BoxReader, mount: CameraMount, base: BaseSpec, params: SeekerParams, target: str
    ) -> None:
        """Begin without a position. `target` is what the goal names; `boxes` reads the model's answers."""
        self.target = TargetEstimate(round(params.out_of_view_m / base.cruise_m_s * 1e9))
        self.answer = ""  # the newest one, for people
        self._boxes = boxes
        self._mount = mount
        self._params = params
        self._turns_away = not base.sideways
        self._name = target
        self._tracker = BoxTracker()
        self._poses = PoseHistory()
        self._view: View | None = None

    @property
    def detection(self) -> Detection | None:
        """The target's box in the newest frame."""
        return self._tracker.detection

    def view(self, image: Image) -> View:
        """Return the camera's geometry; images of one camera have one shape."""
        if self._view is None:
            height, width = image.shape[:2]
            self._view = View(self._mount, width / height, self._params.size)
        return self._view

    def update(
        self, observation: Observation, inference: Inference | None, ignored: Ignored
    ) -> tuple[Pose, Pose]:
        """Take in a frame, and an answer about an earlier one.

        Returns the pose at the frame, and the one as the camera gave it, which is later by a known delay.
        """
        frame = observation.frame
        view = self.view(frame.image)
        if observation.odometry is not None:
            self._poses.add(observation.odometry)
        pose = self._poses.at(frame.stamp_ns)
        self._tracker.advance(frame)
        if self._turns_away and self._cut_off():
            self._tracker.stop()
        if inference is not None:
            self._take_answer(inference, view, ignored)
        if self._tracker.detection is not None:
            self.target.track(self._tracker.detection, view, pose)
        return pose, self._poses.at(frame.given_ns)

    def forget(self) -> None:
        """Drop the target's position and its box."""
        self.target.forget()
        self._tracker.stop()

    def _cut_off(self) -> bool:
        """Return True if the tracked box is at the left or right edge of the image.

        A base that turns to where it drives takes its camera off the target: what is left of the box at the
        edge would draw the target's position along with the turn.
        """
        box = None if self.detection is None else self.detection.box
        return box is not None and (box.x0 < EDGE or box.x1 > 1 - EDGE)

    def _take_answer(self, inference: Inference, view: View, ignored: Ignored) -> None:
        params, target, frame = self._params, self.target, inference.frame
        found = self._boxes.read(inference.text, inference.confidence, self._name, frame.image)
        pose = self._poses.at(frame.stamp_ns)
        self.answer = inference.words
        if found and inference.confidence >= params.min_confidence:
            box = max(found.detections, key=lambda d: d.box.area).box
            detection = Detection(box, self._name, inference.confidence)
            point = view.place(box)
            near_m = params.same_m + params.same_share * math.hypot(*point)
            if not ignored(*pose.to_world(*point), near_m, frame.stamp_ns):
                self._tracker.start(detection, frame)
                target.saw(detection, view, pose, frame.stamp_ns)
            return
        target.missed(view, pose, frame.stamp_ns)
        if target.belief < params.believed:
            self._tracker.stop()
