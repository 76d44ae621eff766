"""The confidence of a model that decodes its actions as tokens."""

import numpy as np
import pytest

from edge.bundle.bundle import load_bundle
from edge.model.actions import ActionModel
from edge.model.generation import Generation

IMAGE = np.zeros((24, 32, 3), np.uint8)


def test_it_is_sure_of_all_actions_within_5_cm_a_second_of_what_it_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The 13 of 256 bins on either side count; tokens that are not actions don't."""
    bundle = load_bundle("token")
    head = bundle.manifest.head
    assert head is not None and head.tokens is not None and head.tokens.bins == 256
    logits = np.full(1068, -50, np.float32)
    for place, probability in {100: 0.4, 87: 0.1, 113: 0.25, 86: 0.05, 114: 0.2}.items():
        logits[head.tokens.first_id + place] = np.log(probability)
    logits[5] = 20.0
    monkeypatch.setattr(Generation, "prefill", lambda *_: logits)
    monkeypatch.setattr(Generation, "decode", lambda *_: logits)
    with ActionModel(bundle) as model:
        said = model.step(IMAGE, "detect red cup")
    assert said.confidence == pytest.approx(0.4 + 0.1 + 0.25)
    # The highest id is the lowest action: 155 bins of 2 / 255 above -1, and half of one.
    np.testing.assert_allclose(said.actions, -1 + 155.5 * 2 / 255)
