"""The planner's dimensions against transformers' own classes, which are built without their weights."""

from typing import Any

import pytest
import torch

from edge.errors import UsageError
from export.plan.families import read_config
from export.plan.layers import Ask
from vla.loading import family_of
from vla.tiny import CONFIGS


def matrices_of(config: dict[str, Any]) -> int:
    """Parameters of the class that reads this config, without norms and biases."""
    cls = family_of(config["model_type"])
    model_class: Any = cls.classes[config["model_type"]]
    with torch.device("meta"):
        model = model_class(model_class.config_class.from_dict(config))
    return sum(p.numel() for p in model.parameters() if p.ndim > 1)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_every_family_counts_the_matrices_of_its_class(name, tokens):
    net = read_config(CONFIGS[name], Ask(views=2, tokens=tokens))
    assert net.parameters == matrices_of(CONFIGS[name])
    assert net.family == family_of(CONFIGS[name]["model_type"]).family
