"""A bundle and a goal become a policy: one that seeks a thing, drives as its model says, or only looks."""

from typing import TypeAlias

from typing_extensions import Self

from edge.bundle.bundle import Bundle
from edge.engines.open import open_engine
from edge.errors import BundleRefused
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_goal
from edge.interfaces import Closing, Engine, Inference, PolicyStatus
from edge.model.actions import ActionModel
from edge.model.boxes import BoxReader
from edge.model.grounding import GroundingModel
from edge.perception.floor_scan import FloorScanner, Scan
from edge.perception.geometry import View
from edge.policies.driver import ActionPolicy
from edge.policies.seeker import Seeker
from edge.records import ActionChunk, CameraMount, Goal, Image, Observation

CAPTION_TOKENS = 10


class GroundingPolicy(Closing, Seeker):
    """A `Seeker` with its engines."""

    def __init__(self, bundle: Bundle, goal: Goal, mount: CameraMount, threads: int = 1) -> None:
        """Opens the engines, each with `threads` threads, and warms them up."""
        self._model = GroundingModel(bundle, threads)
        self._floor = _Floor.of(bundle)
        self._prompt = goal_prompt(bundle.manifest, goal)
        self._model.warm_up(self._prompt)
        boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
        super().__init__(self._ground, boxes, mount, self._floor.see if self._floor else None)
        self.reset(goal)

    def _ground(self, observation: Observation) -> Inference:
        said = self._model.ground(observation.frame.image, self._prompt, observation.goal.target)
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms, cut=said.cut)

    def close(self) -> None:
        """Frees the engines."""
        self._model.close()
        if self._floor is not None:
            self._floor.engine.close()


class DrivingPolicy(Closing, ActionPolicy):
    """An `ActionPolicy` with its engines."""

    def __init__(self, bundle: Bundle, goal: Goal, mount: CameraMount, threads: int = 1) -> None:
        """Opens the engines, each with `threads` threads, and warms them up."""
        self._model = ActionModel(bundle, threads)
        self._floor = _Floor.of(bundle)
        self._model.warm_up()
        see_floor = self._floor.see if self._floor else None
        super().__init__(self._model, goal_prompt(bundle.manifest, goal), mount, see_floor)
        self.reset(goal)

    def close(self) -> None:
        """Frees the engines."""
        self._model.close()
        if self._floor is not None:
            self._floor.engine.close()


class WordsPolicy(Closing):
    """Looks and says, and never moves: describe_scene, identify_main_object."""

    def __init__(self, bundle: Bundle, goal: Goal, threads: int = 1) -> None:
        """Opens the engines and warms them up."""
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
            answer = "nothing that I know" if inference.text in ("", "none") else inference.words
            self.status = PolicyStatus("said", reached=True, answer=answer)
        return None

    def close(self) -> None:
        """Frees the engines."""
        self._model.close()


BundlePolicy: TypeAlias = GroundingPolicy | DrivingPolicy | WordsPolicy


def make_policy(bundle: Bundle, goal: Goal, mount: CameraMount, threads: int = 1) -> BundlePolicy:
    """The bundle's policy for a goal that `edge.goals.vocabulary.check_target` has passed. Raises
    BundleRefused for a goal that such a policy can't have."""
    moves = goal.kind in ("find_object", "follow_object")
    if bundle.manifest.policy == "grounding":
        check_goal(bundle, goal)
        return GroundingPolicy(bundle, goal, mount, threads) if moves else WordsPolicy(bundle, goal, threads)
    if not moves:
        raise BundleRefused(f"bundle '{bundle.manifest.name}' only drives, it can't do {goal.kind}")
    return DrivingPolicy(bundle, goal, mount, threads)


class _Floor:
    """A floor scanner that is made when the first image tells its shape."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._scanner: FloorScanner | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> Self | None:
        """None when the bundle does not see the floor."""
        return cls(open_engine(bundle, "floor")) if "floor" in bundle.manifest.graphs else None

    def see(self, image: Image, view: View) -> Scan:
        if self._scanner is None:
            self._scanner = FloorScanner(self.engine, view)
        return self._scanner.scan(image)
