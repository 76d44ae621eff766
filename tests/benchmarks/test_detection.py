"""What the shipped models answer about rooms that none of them saw in training."""

import json

import pytest

from benchmarks.detection import main, measure
from edge.errors import UsageError
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


@pytest.mark.filterwarnings("error")
def test_what_was_not_seen_has_no_share_in_json_and_a_dash_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = ["--bundle", "default", "--scenes", "1", "--seed", "8"]  # a room without a clear object
    assert main([*empty, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (figures["found"], figures["objects"], figures["found_by"]) == (None, 0, {})
    assert figures["false_by"]["wrong colour"] is None
    assert main(empty) == 0
    assert "found          -  of 0 objects" in capsys.readouterr().out


@pytest.mark.parametrize("bundle", ["head", "token"])
def test_a_policy_that_predicts_no_boxes_is_refused(bundle: str) -> None:
    with pytest.raises(UsageError, match="predicts no boxes"):
        main(["--bundle", bundle, "--scenes", "1"])
