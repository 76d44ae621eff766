"""The gate's picture: names of layers that people can read."""

import pytest

from export.gate.plot import NAME_CHARS, short_name


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        ("reader.output (MatMul node_linear_28)", "reader.output (MatMul)"),
        (
            "backbone.model.model.vision_tower.embeddings.stages.1.down.1 (Conv node_Conv_380)",
            "…embeddings.stages.1.down.1 (Conv)",
        ),
        ("node_Conv_380", "node_Conv_380"),
        ("a." + "x" * 60 + " (Relu n)", "…" + "x" * 60 + " (Relu)"),
    ],
)
def test_a_layer_is_named_by_whole_parts(layer: str, shown: str):
    assert short_name(layer) == shown
    assert len(shown) <= NAME_CHARS + len("… (MatMul)") or "x" * 60 in shown
