"""A bundle and a goal become a policy: one that seeks, drives as its model predicts or says, or describes."""

from collections import Counter
from typing import TypeAlias

from typing_extensions import Self

from edge.base_spec import BaseSpec
from edge.bundle.bundle import Bundle
from edge.engines.open import open_engine
from edge.errors import UsageError
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_goal
from edge.interfaces import Closing, Engine, Inference
from edge.model.actions import ActionModel
from edge.model.boxes import BoxReader
from edge.model.grounding import GroundingModel
from edge.perception.apparent_size import ApparentSize
from edge.perception.floor_scan import FloorScanner, Scan
from edge.perception.geometry import View
from edge.policies.describer import CAPTION_TOKENS, SURE, Describer, Surveyor, names_in, sure_words
from edge.policies.driver import ActionPolicy
from edge.policies.instructed import MOTION_TOKENS, InstructedDriver
from edge.policies.seeker import Seeker, check_base
from edge.policies.seeker_states import SeekerParams
from edge.records import CameraMount, Detection, Goal, Image, Observation


class GroundingPolicy(Closing, Seeker):
    """A `Seeker` with its engines."""

    def __init__(
        self,
        bundle: Bundle,
        goal: Goal,
        mount: CameraMount,
        base: BaseSpec,
        threads: int = 1,
        floor: bool = True,
        size: ApparentSize | None = None,
    ) -> None:
        """Open the engines, each with `threads` threads, and warm them up."""
        self._model = GroundingModel(bundle, threads)
        self._floor = _LazyFloorScanner.of(bundle) if floor else None
        self._prompt = goal_prompt(bundle.manifest, goal)
        self._model.warm_up(self._prompt)
        boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
        see_floor = self._floor.see if self._floor else None
        super().__init__(self._ground, boxes, mount, base, see_floor, SeekerParams(size=size))
        self.reset(goal)

    def _ground(self, observation: Observation) -> Inference:
        said = self._model.ground(observation.frame.image, self._prompt, observation.goal.target)
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms, cut=said.cut)

    def close(self) -> None:
        """Free the engines."""
        self._model.close()
        if self._floor is not None:
            self._floor.engine.close()


class DrivingPolicy(Closing, ActionPolicy):
    """An `ActionPolicy` with its engines."""

    def __init__(
        self,
        bundle: Bundle,
        goal: Goal,
        mount: CameraMount,
        base: BaseSpec,
        threads: int = 1,
        floor: bool = True,
    ) -> None:
        """Open the engines, each with `threads` threads, and warm them up."""
        self._engines = ActionModel(bundle, threads)
        self._floor = _LazyFloorScanner.of(bundle) if floor else None
        self._engines.warm_up()
        see_floor = self._floor.see if self._floor else None
        super().__init__(self._engines, goal_prompt(bundle.manifest, goal), mount, base, see_floor)
        self.reset(goal)

    def close(self) -> None:
        """Free the engines."""
        self._engines.close()
        if self._floor is not None:
            self._floor.engine.close()


class InstructedPolicy(Closing, InstructedDriver):
    """An `InstructedDriver` with its engines."""

    def __init__(self, bundle: Bundle, goal: Goal, base: BaseSpec, threads: int = 1) -> None:
        """Open the engines, each with `threads` threads, and warm them up."""
        self._model = GroundingModel(bundle, threads)
        self._prompt = goal_prompt(bundle.manifest, goal)
        self._model.warm_up(self._prompt)
        super().__init__(self._say, base)
        self.reset(goal)

    def _say(self, observation: Observation) -> Inference:
        said = self._model.caption(observation.frame.image, self._prompt, MOTION_TOKENS)
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms, cut=said.cut)

    def close(self) -> None:
        """Free the engines."""
        self._model.close()


class SurveyPolicy(Closing, Surveyor):
    """A `Surveyor` with its engines."""

    def __init__(
        self, bundle: Bundle, goal: Goal, mount: CameraMount, base: BaseSpec, threads: int = 1
    ) -> None:
        """Open the engines, each with `threads` threads, and warm them up."""
        self._model = GroundingModel(bundle, threads)
        self._manifest = bundle.manifest
        self._prompt = goal_prompt(bundle.manifest, goal)
        self._model.warm_up(self._prompt)
        self._boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
        super().__init__(self._see, mount, base)
        self.reset(goal)

    def _see(self, observation: Observation) -> Inference:
        """Return what the model names in an image, with the boxes in which it finds that again."""
        image, words = observation.frame.image, self._manifest.vocabulary
        caption = self._model.caption(image, self._prompt, CAPTION_TOKENS)
        stages_ms, detections = Counter(caption.stages_ms), list[Detection]()
        for name in names_in(caption.text, words.kinds, words.colours):
            found = self._model.ground(image, goal_prompt(self._manifest, Goal("find_object", name)), name)
            stages_ms.update(found.stages_ms)
            if found.confidence >= SURE:
                detections += self._boxes.read(found.text, found.confidence, name, image).detections
        boxes = tuple(detections)
        return Inference(
            observation.frame, sure_words(boxes), caption.confidence, dict(stages_ms), detections=boxes
        )

    def close(self) -> None:
        """Free the engines."""
        self._model.close()


BundlePolicy: TypeAlias = GroundingPolicy | DrivingPolicy | InstructedPolicy | SurveyPolicy | Describer


def make_policy(
    bundle: Bundle,
    goal: Goal,
    mount: CameraMount,
    base: BaseSpec,
    threads: int = 1,
    floor: bool = True,
    size: ApparentSize | None = None,
) -> BundlePolicy:
    """Return the bundle's policy for a goal that `edge.goals.vocabulary.check_target` has passed.

    Without `floor` one that seeks or predicts actions sees no obstacles, though its bundle has a floor graph.
    `size` is the target's, where it was measured: a policy that seeks judges its distance by it.
    Raises UsageError for a goal that such a policy can't have, and for a base that it can't drive.
    """
    check_goal(bundle, goal)
    seeks = goal.kind in ("find_object", "follow_object")
    if bundle.manifest.policy != "grounding":
        if not seeks:
            name = bundle.manifest.name
            raise UsageError(f"bundle '{name}' only drives to things, it can't do {goal.kind}")
        return DrivingPolicy(bundle, goal, mount, base, threads, floor)
    if goal.kind == "instruct":
        return InstructedPolicy(bundle, goal, base, threads)
    if not seeks:
        finds = bundle.manifest.answer is None and "find_object" in bundle.manifest.goals
        if goal.kind == "describe_scene" and finds:
            return SurveyPolicy(bundle, goal, mount, base, threads)
        return Describer(bundle, goal, threads)
    check_base(base)
    return GroundingPolicy(bundle, goal, mount, base, threads, floor, size)


class _LazyFloorScanner:
    """A floor scanner that is made when the first image tells its shape."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._scanner: FloorScanner | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> Self | None:
        """Return the scanner of a bundle; None if it does not see the floor."""
        return cls(open_engine(bundle, "floor")) if "floor" in bundle.manifest.graphs else None

    def see(self, image: Image, view: View) -> Scan:
        if self._scanner is None:
            self._scanner = FloorScanner(self.engine, view)
        return self._scanner.scan(image)
