"""What the shipped models answer about rooms that none of them saw in training."""

import pytest

from benchmarks.detection import measure
from edge.model.grounding import Grounding, GroundingModel
from edge.records import Image


@pytest.mark.parametrize("bundle", ["default", "default-int8"])
def test_a_shipped_model_finds_what_is_there_and_nothing_else(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    ground = GroundingModel.ground

    def heard(self: GroundingModel, image: Image, prompt: str, label: str) -> Grounding:
        prompts.append(prompt)
        return ground(self, image, prompt, label)

    monkeypatch.setattr(GroundingModel, "ground", heard)
    figures = measure(bundle, 15, 400_000)
    assert len(prompts) == figures["objects"] + figures["negatives"] + 2  # two things are too small
    assert not [prompt for prompt in prompts if "none" in prompt], "what is absent is asked for by its name"
    assert figures["found"] >= 0.9
    assert max(figures["false_by"].values()) <= 0.1
