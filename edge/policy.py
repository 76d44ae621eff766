"""A bundle and a goal become a policy: one that seeks a thing, or one that only looks and says."""

from types import TracebackType

from edge.bundle import Bundle
from edge.engines.onnx import OnnxEngine
from edge.freespace import FloorScanner, Scan
from edge.geometry import View
from edge.grounding import GroundingModel
from edge.interfaces import Engine, Inference, PolicyStatus
from edge.prompts import prompt
from edge.records import ActionChunk, CameraMount, Goal, Image, Observation
from edge.seeker import Seeker

CAPTION_TOKENS = 10


class GroundingPolicy(Seeker):
    """A `Seeker` with its engines. Close it, or use it as a context manager."""

    def __init__(self, bundle: Bundle, goal: Goal, mount: CameraMount, threads: int = 1) -> None:
        """Opens the engines, each with `threads` threads, and warms them up."""
        self._model = GroundingModel(bundle, threads)
        self._floor = (
            _Floor(OnnxEngine(bundle.read("floor"), 1)) if "floor" in bundle.manifest.graphs else None
        )
        self._prompt = _prompt(bundle, goal)
        self._model.warm_up()
        super().__init__(
            self._ground, bundle.manifest.family, mount, self._floor.see if self._floor else None
        )
        self.reset(goal)

    def _ground(self, observation: Observation) -> Inference:
        said = self._model.ground(observation.frame.image, self._prompt, observation.goal.target)
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms)

    def close(self) -> None:
        """Frees the engines."""
        self._model.close()
        if self._floor is not None:
            self._floor.engine.close()

    def __enter__(self) -> "GroundingPolicy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WordsPolicy:
    """Looks and says, and never moves: describe_scene, identify_main_object."""

    def __init__(self, bundle: Bundle, goal: Goal, threads: int = 1) -> None:
        """Opens the engines and warms them up."""
        self._model = GroundingModel(bundle, threads)
        self._prompt = _prompt(bundle, goal)
        self._model.warm_up()
        self.status = PolicyStatus("look")

    def reset(self, goal: Goal) -> None:
        """Forget the answer."""
        self.status = PolicyStatus("look")

    def infer(self, observation: Observation) -> Inference:
        said = self._model.caption(observation.frame.image, self._prompt, CAPTION_TOKENS)
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        if inference is not None:
            answer = "nothing that I know" if inference.text == "none" else inference.text
            self.status = PolicyStatus("said", reached=True, answer=answer)
        return None

    def close(self) -> None:
        """Frees the engines."""
        self._model.close()

    def __enter__(self) -> "WordsPolicy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_policy(
    bundle: Bundle, goal: Goal, mount: CameraMount, threads: int = 1
) -> GroundingPolicy | WordsPolicy:
    """The bundle's policy for a goal that `edge.bundle.check_target` has passed."""
    if goal.kind in ("find_object", "follow_object"):
        return GroundingPolicy(bundle, goal, mount, threads)
    return WordsPolicy(bundle, goal, threads)


def _prompt(bundle: Bundle, goal: Goal) -> str:
    """The bundle's own template for the goal, else its family's."""
    template = bundle.manifest.prompts.get(goal.kind)
    return (
        template.format(target=goal.target) if template is not None else prompt(bundle.manifest.family, goal)
    )


class _Floor:
    """A floor scanner that is made when the first image tells its shape."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._scanner: FloorScanner | None = None

    def see(self, image: Image, view: View) -> Scan:
        if self._scanner is None:
            self._scanner = FloorScanner(self.engine, view)
        return self._scanner.scan(image)
