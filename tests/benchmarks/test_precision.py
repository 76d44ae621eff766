"""The comparison of two precisions' speeds: what it asks of the models."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import precision
from calibration.sample_set import Sample
from edge.bundle.bundle import Bundle, load_bundle


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
