import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edge.errors import UsageError
from vla.backbones.paligemma import (
    TinyConfig,
    build_paligemma,
    load,
    prompt_ids,
    save,
    sine_positions,
    smooth_locations,
)
from vla.backbones.tokenizer import BOS, EOS, IMAGE, LOC_COUNT, NEWLINE, build_tokenizer

TOKENIZER = build_tokenizer()


def _batch(image_tokens: int) -> tuple[dict[str, Tensor], int]:
    prompt = prompt_ids(TOKENIZER, "detect red cup", image_tokens)
    answer = [*TOKENIZER.encode("<loc0100><loc0200><loc0300><loc0400> red cup").ids, EOS]
    ids = torch.tensor([[*prompt, *answer, 0, 0]] * 2)
    types = torch.ones_like(ids)
    types[:, : len(prompt)] = 0
    mask = torch.ones_like(ids)
    mask[:, -2:] = 0
    pixels = torch.randn(2, 3, 32, 48)
    batch = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "pixel_values": pixels}
    return batch, len(prompt)


def test_prompt_has_paligemmas_order():
    words = TOKENIZER.encode("detect red cup").ids
    assert prompt_ids(TOKENIZER, "detect red cup", 3) == [
        *[IMAGE] * 3, BOS, *words, TOKENIZER.token_to_id(NEWLINE)
    ]  # fmt: skip
    assert prompt_ids(TOKENIZER, "main").count(IMAGE) == 108


def test_default_net_takes_a_wide_image_and_is_small():
    config = TinyConfig()
    model = build_paligemma(config).eval()
    assert config.vocab_size == TOKENIZER.get_vocab_size()
    assert sum(p.numel() for p in model.parameters()) < 3_000_000
    with torch.inference_mode():
        features = model.get_image_features(torch.randn(1, 3, 144, 192)).pooler_output
    assert features.shape == (1, 108, 128)


def test_prompt_sees_both_ways_and_answer_only_back(tiny_checkpoint: Path):
    model, config, _ = load(tiny_checkpoint)
    batch, start = _batch(config.image_tokens)
    with torch.inference_mode():
        before = model(**batch).logits[0]
        batch["input_ids"][0, start + 2] += 1
        changed = (model(**batch).logits[0] - before).abs().amax(-1) > 1e-6
        assert changed.nonzero()[0] == start + 2
        batch["input_ids"][0, start - 2] += 1  # the last word of the prompt
        changed = (model(**batch).logits[0] - before).abs().amax(-1) > 1e-6
        assert changed[0]


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = TinyConfig(image_height=32, image_width=48, text_layers=1, vision_layers=1)
    model = build_paligemma(config).train()
    batch, start = _batch(config.image_tokens)
    labels = batch["input_ids"].clone()
    labels[:, :start] = -100
    labels[batch["attention_mask"] == 0] = -100
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses: list[float] = []
    for _ in range(8):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_save_and_load(tmp_path: Path, tiny_checkpoint: Path):
    model, config, tokenizer = load(tiny_checkpoint)
    save(model, config, tokenizer, tmp_path / "again")
    again, same_config, _ = load(tmp_path / "again")
    assert same_config == config
    assert again.lm_head.weight is again.get_input_embeddings().weight
    batch, _ = _batch(config.image_tokens)
    with torch.inference_mode():
        assert torch.equal(model(**batch).logits, again(**batch).logits)
    names = {path.name for path in (tmp_path / "again").iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "tiny.json"}


def test_neighbouring_places_are_alike():
    torch.manual_seed(0)
    places = smooth_locations(LOC_COUNT, 128, 0.05)
    assert places.std().item() == pytest.approx(0.05)
    near = torch.cosine_similarity(places[:-8], places[8:]).min()
    far = torch.cosine_similarity(places[:-512], places[512:]).mean()
    assert near > 0.7 > 0.5 > far


def test_positions_differ_and_need_four_dims():
    positions = sine_positions(9, 12, 128)[0]
    assert torch.cdist(positions, positions).fill_diagonal_(1).min() > 0.1
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_positions(2, 2, 6)


def test_a_folder_of_another_version_is_refused_by_the_key_it_lacks(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "old")
    fields = json.loads((folder / "tiny.json").read_text())
    del fields["stem_blocks"]
    (folder / "tiny.json").write_text(json.dumps(fields))
    with pytest.raises(UsageError, match=r"old/tiny\.json: key 'stem_blocks' is missing"):
        load(folder)
