"""The planner's dimensions against transformers' own classes, which are built without their weights."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from export.planner.families import read_config
from export.planner.layers import Request
from vla.backbones.loading import family_of
from vla.backbones.tiny import CONFIGS


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
    workload = read_config(CONFIGS[name], Request(views=2, tokens=tokens))
    assert workload.parameters == matrices_of(CONFIGS[name])
    assert workload.family == family_of(CONFIGS[name]["model_type"]).family


ALWAYS_TIED = ("florence2", "kosmos-2")


@pytest.mark.parametrize(
    ("name", "tied"), [(n, tied) for n in CONFIGS for tied in (False, True) if tied or n not in ALWAYS_TIED]
)
@pytest.mark.parametrize("use_diff", [False, True])
def test_config_files_are_read_as_transformers_writes_them(name, use_diff, tied):
    config = {**CONFIGS[name], "tie_word_embeddings": tied}
    config_class: Any = family_of(config["model_type"]).classes[config["model_type"]].config_class
    written = json.loads(config_class.from_dict(config).to_json_string(use_diff=use_diff))
    assert read_config(written, Request()).parameters == matrices_of(config)


@pytest.mark.parametrize("use_resampler", [False, True])
def test_idefics_with_and_without_its_resampler(use_resampler):
    perceiver = {
        "use_resampler": True,
        "resampler_n_latents": 4,
        "resampler_depth": 2,
        "resampler_n_heads": 2,
    }
    config = {
        **CONFIGS["idefics"],
        "use_resampler": use_resampler,
        "cross_layer_interval": 2,
        "perceiver_config": {**perceiver, "resampler_head_dim": 8},
    }
    assert read_config(config, Request()).parameters == matrices_of(config)


def test_answer_tokens_stream_the_weights_again_and_a_head_needs_none():
    config = CONFIGS["llava"]
    stages = {stage.name: stage for stage in read_config(config, Request(tokens=5)).stages}
    assert stages["decode"].passes == 4  # the first token comes out of prefill
    assert stages["decode"].work.parameters == stages["prefill"].work.parameters
    assert [stage.name for stage in read_config(config, Request(tokens=0)).stages] == ["vision", "prefill"]


def test_more_views_compute_more_and_read_the_same():
    one, two = (read_config(CONFIGS["paligemma"], Request(views=views)).stages[0].work for views in (1, 2))
    assert two.flops == 2 * one.flops
    assert two.parameters == one.parameters


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "model type 'None'"),
        ({"model_type": "bert"}, "'bert'"),
        ({"model_type": "llava", "text_config": {"model_type": "mamba"}}, "'mamba'"),
        ({"model_type": "llava", "text_config": {"hidden_size": "wide"}}, "hidden_size is 'wide'"),
        ({"model_type": "llava", "text_config": {"hidden_size": -1}}, "hidden_size is '-1'"),
        ({"model_type": "llava", "text_config": {"hidden_size": True}}, "hidden_size is 'True'"),
        ({"model_type": "llava", "text_config": [1]}, "not an object"),
        ({"model_type": "paligemma", "vision_config": {"patch_size": 999}}, "patch_size 999"),
        ({"model_type": "paligemma", "vision_config": {"vision_use_head": 1}}, "true or false"),
        ({"model_type": "florence2", "vision_config": {"depths": 1}}, "not a list"),
        ({"model_type": "florence2", "vision_config": {"depths": [1]}}, "one length"),
    ],
)
def test_configs_that_are_no_dimensions_are_bad_usage(config, said):
    with pytest.raises(UsageError) as refusal:
        read_config(config, Request())
    assert said in refusal.value.message


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), st.lists, max_leaves=3
)


@given(st.sampled_from(list(CONFIGS)), st.data())
def test_no_config_is_a_bug(name, data):
    config = {**CONFIGS[name]}
    section = data.draw(st.sampled_from([config, *(v for v in config.values() if isinstance(v, dict))]))
    changed = {**section, data.draw(st.sampled_from(list(section))): data.draw(junk)}
    for key, value in config.items():
        if value is section:
            config[key] = changed
            break
    else:
        config = changed
    try:
        assert read_config(config, Request()).parameters > 0
    except UsageError as refusal:
        assert refusal.message
