"""Our sequences against each family's own forward, and checkpoints that are not what they should be."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from edge.errors import UsageError
from tests.export.hf_folders import write_folder
from tests.vla.tiny_inputs import tiny_inputs
from vla.backbones.backbone import Backbone
from vla.backbones.loading import backbone_from_config, family_of, layout_from_tokenizer, load_backbone
from vla.backbones.tiny import CONFIGS, tiny_backbone
from vla.fusion import Fusion, Inputs
from vla.sequence import extend, read

IMAGE_ID = 5
ANSWER = torch.tensor([[41, 42, 43], [44, 45, 46]])


def _rows(backbone: Backbone, inputs: Inputs, tokens: int) -> list[list[int]]:
    """What the family's processor would write: ids with a placeholder for each image token."""
    layout = backbone.layout
    image = [backbone.image_id] if backbone.family == "flamingo" else [IMAGE_ID] * tokens
    front = [*layout.before, *layout.image_start, *image, *layout.image_end, *layout.after]
    words = [ids[mask].tolist() for ids, mask in zip(inputs.ids, inputs.ids_mask, strict=True)]
    return [front + ids for ids in words]


def test_an_image_s_token_is_the_tokenizer_s_wherever_that_has_it(tmp_path: Path) -> None:
    """Instructed checkpoints of IDEFICS added one more token behind it."""
    folder = write_folder("idefics", tmp_path / "model")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    config = json.loads((folder / "config.json").read_text())
    swapped = json.loads(tokenizer.to_str())
    first, last = (token for token in swapped["added_tokens"] if token["id"] >= config["vocab_size"])
    first["content"], last["content"] = last["content"], first["content"]
    (folder / "tokenizer.json").write_text(json.dumps(swapped))
    backbone = load_backbone(folder)
    assert last["content"] != "<image>" and backbone.image_id == first["id"]
    token = backbone.encode(torch.zeros(1, 3, 16, 16)).tokens
    torch.testing.assert_close(token, backbone.embed(torch.tensor([[first["id"]]])))


def test_a_layout_without_the_image_s_token_is_refused() -> None:
    backbone = tiny_backbone("idefics")
    backbone.layout = replace(backbone.layout, image=None)
    with pytest.raises(UsageError, match="names no image token"):
        backbone.encode(torch.zeros(1, 3, 16, 16))


def _padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask


def _qwen_pixels(images: Tensor, size: int) -> dict[str, Tensor]:
    processor = Qwen2VLImageProcessorPil(
        do_resize=False, do_rescale=False, do_normalize=False, do_convert_rgb=False, patch_size=size
    )
    parts = [
        processor(np.asarray(image), input_data_format="channels_first", return_tensors="pt")
        for image in images
    ]
    grids = torch.cat([part["image_grid_thw"] for part in parts])
    return {"pixel_values": torch.cat([part["pixel_values"] for part in parts]), "image_grid_thw": grids}


def _own_logits(backbone: Backbone, inputs: Inputs, tokens: int) -> Tensor:
    """The family's own logits at and before the answers, (B, 4, V), by its own forward."""
    context, images = _rows(backbone, inputs, tokens), inputs.images[:, 0]
    own = backbone.model
    if backbone.family == "florence-2":
        ids, mask = _padded(context)
        start = torch.full((2, 1), own.config.text_config.decoder_start_token_id)
        decoder = torch.cat([start, ANSWER], dim=1)
        out = own(input_ids=ids, attention_mask=mask, pixel_values=images, decoder_input_ids=decoder)
        return out.logits
    ids, mask = _padded([row + answer for row, answer in zip(context, ANSWER.tolist(), strict=True)])
    starts = torch.tensor([len(row) for row in context])
    extra: dict[str, Any] = {"pixel_values": images}
    if backbone.family == "paligemma":
        extra["token_type_ids"] = (torch.arange(ids.shape[1]) >= starts[:, None]).long()
    elif backbone.family == "kosmos-2":
        extra["image_embeds_position_mask"] = ids == IMAGE_ID
    elif backbone.family == "qwen-vl":
        extra = {**_qwen_pixels(images, 4), "mm_token_type_ids": (ids == IMAGE_ID).int()}
    elif backbone.family == "flamingo":
        place = ids == own.config.vocab_size + 1
        extra = {"pixel_values": images[:, None], "image_attention_mask": place.cumsum(1)[..., None]}
    elif backbone.family == "smolvlm":
        extra = {"pixel_values": images[:, None]}
    logits = own(input_ids=ids, attention_mask=mask, **extra).logits
    cap = getattr(backbone.text_config, "final_logit_softcapping", None)
    if cap is not None and Version(transformers.__version__) < Version(
        "5.23"
    ):  # which leave Gemma 2's cap out
        logits = torch.tanh(logits / cap) * cap
    return read(logits, starts[:, None] + torch.arange(-1, 3))


def test_attention_of_gemma_2_is_capped():
    torch.manual_seed(0)
    backbone = tiny_backbone("paligemma2").eval()
    fusion, inputs = Fusion(backbone, None, hand_camera=False), tiny_inputs(backbone, rows=2, steps=1)
    with torch.no_grad():
        sequence = fusion.steps(inputs, [backbone.embed(ANSWER)], ended=True)
        capped = backbone(sequence)
        for layer in backbone.decoder.layers:
            layer.self_attn.attn_logit_softcapping = 1e-3
        assert (backbone(sequence) - capped).abs().max() > 1e-3


@pytest.mark.parametrize("model_type", [name for name in CONFIGS if name != "paligemma2"])  # has one way
def test_what_is_attended_to_does_not_depend_on_how_it_is_computed(model_type: str):
    torch.manual_seed(0)
    backbone = tiny_backbone(model_type).eval()
    fusion, inputs = Fusion(backbone, None, hand_camera=False), tiny_inputs(backbone, rows=2, steps=1)
    hidden = []
    for way in ("sdpa", "eager"):
        backbone.model.set_attn_implementation(way)
        with torch.no_grad():
            sequence = fusion.steps(inputs, [backbone.embed(ANSWER)], ended=True)
            hidden.append(read(backbone(sequence), sequence.answers))
    torch.testing.assert_close(hidden[0], hidden[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", CONFIGS)
def test_fused_sequence_is_the_familys_own(model_type: str):
    torch.manual_seed(0)
    _check_fused(tiny_backbone(model_type).eval())


def test_idefics_looks_at_what_its_resampler_made():
    perceiver = {
        "resampler_depth": 1,
        "resampler_n_heads": 2,
        "resampler_head_dim": 8,
        "resampler_n_latents": 3,
    }
    config = CONFIGS["idefics"] | {"use_resampler": True, "perceiver_config": perceiver}
    torch.manual_seed(0)
    backbone = backbone_from_config(config, tiny_backbone("idefics").layout).eval()
    memory = backbone.encode(torch.randn(1, 3, 16, 16)).memory
    assert memory is not None and memory.shape[1] == 3
    _check_fused(backbone)
    assert backbone.model.config.use_resampler


def _check_fused(backbone: Backbone) -> None:
    """Our sequence, at once and token by token, says what the family's own forward says."""
    inputs = tiny_inputs(backbone, rows=2, steps=1)
    fusion = Fusion(backbone, None, hand_camera=False)
    with torch.no_grad():
        answers = backbone.embed(ANSWER)
        sequence = fusion.steps(inputs, [answers], ended=True)
        places = torch.cat([sequence.answers[:, :1] - 1, sequence.answers], dim=1)
        ours = backbone.logits(read(backbone(sequence), places))
        own = _own_logits(backbone, inputs, backbone.encode(inputs.images[:, 0]).tokens.shape[1])
        torch.testing.assert_close(ours, own, atol=1e-5, rtol=0)
        assert (ours[0] - ours[1]).abs().max() > 1e-2

        # Token by token with a cache
        hidden, sequence, cache = backbone.prefill(fusion.steps(inputs, [], ended=False))
        told = [read(hidden, sequence.lengths[:, None] - 1)]
        for token in answers.split(1, dim=1):
            sequence = extend(sequence, token)
            told.append(backbone(sequence, cache))
        torch.testing.assert_close(backbone.logits(torch.cat(told, dim=1)), own, atol=1e-5, rtol=0)


def test_qwen_reads_a_clip_as_its_own_video():
    torch.manual_seed(0)
    backbone = tiny_backbone("qwen2_5_vl").eval()
    inputs = tiny_inputs(backbone, rows=1, steps=4)
    with torch.no_grad():
        sequence = Fusion(backbone, None, False).clip(inputs, [], ended=False)
        ours = backbone.logits(backbone(sequence))
        rows, grid = backbone.patches(inputs.images)
        ids = torch.tensor([[3, *[6] * 8, 4, *inputs.ids[0].tolist()]])
        own = backbone.model(
            input_ids=ids,
            pixel_values_videos=rows,
            video_grid_thw=torch.tensor([grid]),
            mm_token_type_ids=(ids == 6).int() * 2,
        ).logits
    torch.testing.assert_close(ours, own, atol=1e-5, rtol=0)


def _checkpoint(backbone: Backbone, folder: Path) -> None:
    """A checkpoint folder as the hub has it: the family's names for the layout's ids in its tokenizer."""
    backbone.model.save_pretrained(folder)
    layout, marks = backbone.layout, backbone.markers
    names = {marks.end: layout.end}
    for part in ("before", "image_start", "image_end", "after"):
        names |= dict(zip(getattr(marks, part), getattr(layout, part), strict=True))
    if marks.image is not None and layout.image is not None:
        names[marks.image] = layout.image
    vocabulary = names | {f"word{index}": index for index in range(64) if index not in names.values()}
    Tokenizer(models.WordLevel(vocabulary, unk_token="word10")).save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("model_type", CONFIGS)
def test_checkpoint_folder_loads_with_its_layout(model_type: str, tmp_path: Path):
    torch.manual_seed(0)
    backbone = tiny_backbone(model_type)
    _checkpoint(backbone, tmp_path)
    loaded = load_backbone(tmp_path, backbone.family)
    assert loaded.layout == backbone.layout
    weights = backbone.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())


def _bytes(*specials: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate("<>-globalim")}, []))
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def test_idefics_3_begins_as_llama_3_and_spells_its_tile(tmp_path: Path):
    marks = ("<fake_token_around_image>", "<end_of_utterance>")
    tokenizer = _bytes("<|begin_of_text|>", *marks)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    layout = layout_from_tokenizer(family_of("idefics3"), tmp_path / "tokenizer.json")
    fake = tokenizer.token_to_id("<fake_token_around_image>")
    assert layout.before == (tokenizer.token_to_id("<|begin_of_text|>"),)
    assert layout.image_start == (fake, *tokenizer.encode("<global-img>").ids)
    assert len(layout.image_start) == 13
    _bytes(*marks).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UsageError, match=r"no token '<\|im_start\|>'"):
        layout_from_tokenizer(family_of("idefics3"), tmp_path / "tokenizer.json")


def test_default_models_checkpoint_loads(tiny_checkpoint: Path):
    backbone = load_backbone(tiny_checkpoint, "paligemma")
    assert backbone.layout.after == (2,)
    assert backbone.encode(torch.randn(1, 3, 32, 48)).tokens.shape == (1, 6, 32)


def test_checkpoint_that_is_not_one_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"config\.json is missing"):
        load_backbone(tmp_path)
    backbone = tiny_backbone("llava")
    _checkpoint(backbone, tmp_path)
    with pytest.raises(UsageError, match="holds a llava checkpoint, not smolvlm"):
        load_backbone(tmp_path, "smolvlm")
    other = tiny_backbone("smolvlm")
    (tmp_path / "smolvlm").mkdir()
    other.model.save_pretrained(tmp_path / "smolvlm")
    with pytest.raises(UsageError, match=r"tokenizer\.json is missing"):
        load_backbone(tmp_path / "smolvlm")
    shutil.copy(tmp_path / "tokenizer.json", tmp_path / "smolvlm")
    with pytest.raises(UsageError, match=r"no token '<\|im_start\|>'"):
        load_backbone(tmp_path / "smolvlm")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"has no \*\.safetensors"):
        load_backbone(tmp_path)
    with pytest.raises(UsageError, match="no backbone reads model type 'gpt2'"):
        family_of("gpt2")
