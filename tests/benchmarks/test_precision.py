"""The comparison of two precisions' speeds: what it asks of the models."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import precision
from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle, load_bundle
from edge.errors import UsageError


def test_prompts_are_the_bundle_s_own_braces_and_all(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def collect(bundle: Bundle, samples: list[Sample]) -> dict[str, list[object]]:
        seen.extend(sample.question.prompt for sample in samples)
        return {"vision": []}

    monkeypatch.setattr(precision, "collect_feeds", collect)
    bundle = load_bundle(tiny_bundle)
    template = 'find {target} as {"box": []}'
    own = replace(bundle, manifest=bundle.manifest.model_copy(update={"prompts": {"find_object": template}}))
    other = replace(bundle, contents={**bundle.contents, "vision": b"another graph"})
    precision.of_bundles(own, other)
    assert seen[0] == 'find cup as {"box": []}'
    assert len(seen) == len(set(seen)) > 1


@pytest.mark.parametrize(
    ("against", "bundle", "message"),
    [
        ("default", "head", "two kinds can't be compared stage by stage: grounding and head policy"),
        ("default", "token", "two kinds"),
        ("head", "token", "two kinds"),
        ("default-int8", "default", "'default-int8' is not fp32: vision int8"),
        ("default", "default", "has the graphs of"),
    ],
)
def test_only_a_bundle_and_the_fp32_one_of_its_kind_are_compared(
    against: str, bundle: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        precision.main(["--against", against, "--bundle", bundle, "--rounds", "1"])


def test_it_says_which_bundles_in_which_precisions_it_compares(capsys: pytest.CaptureFixture[str]) -> None:
    assert precision.main(["--rounds", "1"]) == 0
    captured = capsys.readouterr()
    assert "stages of default-int8 (int8, fp32) against default (fp32): 1 rounds" in captured.err
    assert "default-int8 (int8, fp32) against default (fp32)" in captured.out
