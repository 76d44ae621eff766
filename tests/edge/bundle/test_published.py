"""What the files beside a checkpoint's weights say, and which of them are refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle.published import check_checkpoint, check_kind, is_microsofts
from edge.errors import UsageError

LLAVA = {
    "model_type": "llava",
    "text_config": {"model_type": "llama"},
    "vision_config": {"model_type": "clip_vision_model"},
}
# Two of the fields that tell Microsoft's naming, of its large checkpoint.
MICROSOFTS = {
    "model_type": "florence2",
    "auto_map": {"AutoConfig": "configuration_florence2.Florence2Config"},
    "text_config": {"d_model": 1024},
    "vision_config": {"model_type": "davit", "dim_embed": [256, 512, 1024, 2048], "projection_dim": 1024},
}


def write(folder: Path, config: Any = LLAVA, **others: Any) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in others.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_a_plain_checkpoint_is_taken(tmp_path: Path):
    check_checkpoint(write(tmp_path))
    for nothing in (None, {}):
        check_checkpoint(write(tmp_path, LLAVA | {"quantization_config": nothing}))


@pytest.mark.parametrize(
    ("told", "method"),
    [
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
        ({"quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}, "bitsandbytes"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, "bitsandbytes"),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        ({"quantization_config": {"quant_method": "some-new-one"}}, "some-new-one"),
        ({"compression_config": {"format": "pack-quantized"}}, "compression_config"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "quantization"),
        ({"text_config": {"model_type": "llama", "quantization_config": {"quant_method": "awq"}}}, "awq"),
    ],
)
def test_quantized_weights_are_refused_with_their_method(told: Any, method: str, tmp_path: Path):
    with pytest.raises(UsageError, match=rf"is quantized \({method}\)") as refusal:
        check_checkpoint(write(tmp_path, LLAVA | told))
    assert "give the checkpoint that it was made from" in refusal.value.hint


@pytest.mark.parametrize("name", ["quantize_config", "quant_config", "hf_quant_config"])
def test_a_quantizers_own_file_tells_the_same(name: str, tmp_path: Path):
    with pytest.raises(UsageError, match=rf"is quantized \({name}\.json\)"):
        check_checkpoint(write(tmp_path, **{name: {"bits": 4}}))


def test_an_adapter_is_refused_with_and_without_a_model_beside_it(tmp_path: Path):
    base = {"base_model_name_or_path": "llava-hf/llava-1.5-7b-hf", "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(base))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(
        UsageError, match=r"only an adapter of llava-hf/llava-1\.5-7b-hf \(adapter_config"
    ) as one:
        check_checkpoint(tmp_path)
    assert "merge_and_unload" in one.value.hint
    (write(tmp_path) / "model-00001-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="a model and an adapter beside it, adapter_config"):
        check_checkpoint(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(UsageError, match=r"a model and an adapter beside it, adapter_model\.safetensors"):
        check_checkpoint(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    check_checkpoint(tmp_path)


def test_microsofts_florence_is_told_which_checkpoints_serve(tmp_path: Path):
    with pytest.raises(UsageError, match="a Florence-2 in Microsoft's naming") as refusal:
        check_checkpoint(write(tmp_path, MICROSOFTS))
    assert "florence-community/Florence-2-base, -base-ft, -large or -large-ft" in refusal.value.hint
    finetuned = {"model_type": "florence2", "text_config": {"model_type": "florence2_language"}}
    assert is_microsofts(finetuned) and is_microsofts(MICROSOFTS)
    native = {
        "model_type": "florence2",
        "vision_config": {"embed_dim": [128, 256], "model_type": "florence_vision"},
    }
    assert not is_microsofts(native) and not is_microsofts(LLAVA)
    check_checkpoint(write(tmp_path, native))


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        ({"type": "pi0", "chunk_size": 50}, "of a LeRobot policy, 'pi0'", "relative, pi0.5, asks"),
        ({"type": "smolvla"}, "of a LeRobot policy, 'smolvla'", "plan --model smolvla` to see what it asks"),
        ({"type": "act"}, "of a LeRobot policy, 'act'", "vla-edge train"),
        ({"model_type": "gr00t_n1_5"}, "policy of another project, 'gr00t_n1_5'", "plan --model gr00t-n1.6`"),
        ({"model_type": "openvla", "text_config": {}}, "project, 'openvla'", "plan --model openvla`"),
        ({}, "has no model_type: it does not say", "published with"),
        ({"model_type": 3}, "has no model_type", "published with"),
        ({"text_config": {"model_type": "llama"}}, "has no model_type, only a text_config", "published with"),
        (LLAVA | {"text_config": {"model_type": "gpt2"}}, "text_config of a llava is a", "llama, mistral"),
        (LLAVA | {"vision_config": {"model_type": "pixtral"}}, "vision_config of a llava is", "clip"),
        (LLAVA | {"model_type": "paligemma"}, "text_config of a paligemma is a 'llama'", "gemma, gemma2"),
        (LLAVA | {"text_config": "llama"}, "text_config is 'llama', not an object", "again"),
    ],
)  # fmt: skip
def test_what_is_no_familys_checkpoint_says_what_it_is(config: Any, message: str, hint: str, tmp_path: Path):
    with pytest.raises(UsageError, match=message) as refusal:
        check_checkpoint(write(tmp_path, config))
    assert hint in refusal.value.hint


KEYS = st.sampled_from(
    ["model_type", "type", "text_config", "vision_config", "quantization_config", "dim_embed"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "llava", "pi0", "gemma"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(config=st.dictionaries(KEYS, JSON))
def test_no_configuration_is_a_bug(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory):
    folder = write(tmp_path_factory.mktemp("any"), config)
    try:
        check_checkpoint(folder)
    except UsageError:
        return
    assert check_kind(config, folder / "config.json") == config["model_type"]
