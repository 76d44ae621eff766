"""The policy that looks and describes, and never moves: describe_scene, identify_main_object."""

from edge.bundle.bundle import Bundle
from edge.goals.prompts import goal_prompt
from edge.interfaces import Closing, Inference, PolicyEnding, PolicyStatus
from edge.model.grounding import GroundingModel
from edge.records import ActionChunk, Goal, Observation, Outcome

CAPTION_TOKENS = 10


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
