"""The policies that look and say what they see: one image at once, or a look all round.

`Describer` ends with the model's first answer and never moves: describe_scene of models of open words,
identify_main_object. `Surveyor` is for models that name things and find them. Its base turns once in place;
`infer` asks the model what it sees, and about each name where that is. What was found often enough, at one
position and mostly by one name, is said once, the nearest first. Without odometry, or on a base that can't
turn in place, it stands and says what the model is surest of in one image.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.base_spec import BaseSpec
from edge.bundle.bundle import Bundle
from edge.goals.prompts import goal_prompt
from edge.interfaces import Closing, Inference, PolicyEnding, PolicyStatus
from edge.model.grounding import GroundingModel
from edge.perception.geometry import Pose, PoseHistory, View, wrap
from edge.policies.answer_age import AnswerAge
from edge.policies.chunks import velocity_chunk
from edge.records import (
    ActionChunk,
    CameraMount,
    Detection,
    Goal,
    Image,
    Observation,
    Odometry,
    Outcome,
    Velocity,
)

CAPTION_TOKENS = 10
SURE = 0.9  # least confidence of a box that counts; a miss is rarer with each answer that agrees
SURE_AT_ONCE = 0.98  # the same where nothing else confirms it
HITS = 5  # answers that found a thing; one that is there has 20 at 0.6 rad/s and 80 ms an answer
SHARE = 0.6  # share of a thing's answers that gave it its name
TURN_RAD_S = 0.6
LOOKED_RAD = 2 * math.pi
MOST_ASKED_RAD = 2 * LOOKED_RAD  # a base that was asked to turn so far and has not looked round is stuck
LOOKS = 10  # answers while a thing is in view, at least: slow answers slow the turn
SAME_M, SAME_SHARE = 0.3, 0.25  # nearer than that, plus a share of the distance, it is the same thing


def said(answer: str, empty: bool) -> PolicyStatus:
    """Return the status of a policy that has its answer; one with nothing to say did not reach its goal."""
    if empty:
        nothing = "nothing that I know is in view"
        return PolicyStatus("said", answer=nothing, ending=PolicyEnding(Outcome.NOTHING, nothing))
    return PolicyStatus("said", reached=True, answer=answer)


class Describer(Closing):
    """Ends with the model's first answer about a frame."""

    def __init__(self, bundle: Bundle, goal: Goal, threads: int = 1) -> None:
        """Open the engines and warm them up."""
        self._model = GroundingModel(bundle, threads)
        self._prompt = goal_prompt(bundle.manifest, goal)
        self._tokens = CAPTION_TOKENS if bundle.manifest.answer is None else None
        self._model.warm_up(self._prompt)
        self.status = PolicyStatus("look")

    def reset(self, goal: Goal) -> None:
        """Forget the answer."""
        self.status = PolicyStatus("look")

    def infer(self, observation: Observation) -> Inference:
        said = self._model.caption(observation.frame.image, self._prompt, self._tokens)
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms, cut=said.cut)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        if inference is not None:
            self.status = said(inference.words, empty=inference.text.strip() in ("", "none"))
        return None

    def close(self) -> None:
        """Free the engines."""
        self._model.close()


@dataclass(slots=True)
class Thing:
    """What was found at one position, in the odometry frame."""

    x_m: float
    y_m: float
    distance_m: float  # from where it was found first
    hits: int = 0
    names: Counter[str] = field(default_factory=Counter[str])

    @property
    def name(self) -> str:
        """The name that it got most often."""
        return self.names.most_common(1)[0][0]

    @property
    def sure(self) -> bool:
        """True if it was found often enough, and mostly by its name."""
        return self.hits >= HITS and self.names[self.name] >= SHARE * self.hits


class Things:
    """All that was found in a look round."""

    def __init__(self) -> None:
        self._all: list[Thing] = []

    def add(self, label: str, x_m: float, y_m: float, pose: Pose) -> None:
        """Take in that a thing of this name was found at (x, y) from `pose`."""
        distance_m = math.hypot(x_m - pose.x_m, y_m - pose.y_m)
        apart = [(math.hypot(x_m - each.x_m, y_m - each.y_m), each) for each in self._all]
        near = [pair for pair in apart if pair[0] < SAME_M + SAME_SHARE * pair[1].distance_m]
        if near:
            thing = min(near, key=lambda pair: pair[0])[1]
        else:
            thing = Thing(x_m, y_m, distance_m)
            self._all.append(thing)
        thing.hits += 1
        thing.names[label] += 1
        thing.x_m += (x_m - thing.x_m) / thing.hits
        thing.y_m += (y_m - thing.y_m) / thing.hits

    @property
    def names(self) -> list[str]:
        """The names of what is surely there, the nearest first, each once."""
        sure = sorted((each for each in self._all if each.sure), key=lambda each: each.distance_m)
        return list(dict.fromkeys(each.name for each in sure))


class Surveyor:
    """Looks round once and says what is there."""

    needs_odometry = False
    without_odometry = "the base does not turn, and what lies ahead is described"

    def __init__(self, look: Callable[[Observation], Inference], mount: CameraMount, base: BaseSpec) -> None:
        """Begin to look; `look` is the model's answer about a frame, in the worker, with its detections."""
        self._look = look
        self._mount = mount
        self._base = base
        self.looks_round = base.turns_in_place
        self._decision = 0
        self.reset(Goal("describe_scene"))

    def reset(self, goal: Goal) -> None:
        """Forget everything but the decision counter."""
        self.status = PolicyStatus("look")
        self._things = Things()
        self._poses = PoseHistory()
        self._age = AnswerAge()
        self._view: View | None = None
        self._turned_rad = self._asked_rad = 0.0
        self._rate_rad_s = 0.0  # asked for at the newest frame
        self._before: tuple[int, float] | None = None  # the newest frame, and the heading there

    def infer(self, observation: Observation) -> Inference:
        return self._look(observation)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        """Return the next bit of the turn; zero once all was seen, None where nothing turns."""
        if not self.looks_round or observation.odometry is None:
            if inference is not None:
                names = [each.label for each in inference.detections if each.confidence >= SURE_AT_ONCE]
                self._say(names)
            return None
        self._poses.add(observation.odometry)
        if inference is not None:
            self._take(inference)
        stamp_ns = observation.frame.stamp_ns
        self._add_turn(observation.odometry, stamp_ns)
        looked_round = self._turned_rad >= LOOKED_RAD or self._asked_rad >= MOST_ASKED_RAD
        if looked_round and not self._said:
            self._say(self._things.names)
        self._rate_rad_s = 0.0 if self._said else self._rate(observation.frame.image)
        self._decision += 1
        return velocity_chunk(Velocity(angular_z_rad_s=self._rate_rad_s), stamp_ns, self._decision)

    @property
    def _said(self) -> bool:
        return self.status.state == "said"

    def _say(self, names: list[str]) -> None:
        self.status = said("; ".join(names), empty=not names)

    def _take(self, inference: Inference) -> None:
        frame = inference.frame
        self._age.on_answer(frame.stamp_ns)
        pose, view = self._poses.at(frame.stamp_ns), self._view_of(frame.image)
        for found in inference.detections:
            if found.confidence >= SURE:
                self._things.add(found.label, *pose.to_world(*view.place(found.box)), pose)

    def _add_turn(self, odometry: Odometry, stamp_ns: int) -> None:
        """Add what the base has turned by, and was asked to, since the frame before."""
        if self._before is not None:
            before_ns, yaw_rad = self._before
            self._turned_rad += wrap(odometry.yaw_rad - yaw_rad)
            self._asked_rad += self._rate_rad_s * (stamp_ns - before_ns) / 1e9
        self._before = stamp_ns, odometry.yaw_rad

    def _rate(self, image: Image) -> float:
        """Return the rate to turn at."""
        view_rad = 2 * self._view_of(image).half_fov_rad
        slow_rad_s = view_rad / LOOKS / max(self._age.period_s, 1e-3)
        return min(TURN_RAD_S, self._base.cruise_rad_s, slow_rad_s)

    def _view_of(self, image: Image) -> View:
        if self._view is None:
            height, width = image.shape[:2]
            self._view = View(self._mount, width / height)
        return self._view


def names_in(caption: str, kinds: tuple[str, ...], colours: tuple[str, ...]) -> list[str]:
    """Return the things that a caption "red cup ; blue box" names, each once, in the model's own words."""
    names: list[str] = []
    for part in caption.split(";"):
        *first, kind = part.split() or [""]
        if kind in kinds and len(first) <= 1 and set(first) <= set(colours):
            names.append(" ".join((*first, kind)))
    return list(dict.fromkeys(names))


def sure_words(detections: tuple[Detection, ...]) -> str:
    """Return for people what one image shows; "none" if the model is sure of nothing in it."""
    sure = [each.label for each in detections if each.confidence >= SURE_AT_ONCE]
    return "; ".join(sure) or "none"
