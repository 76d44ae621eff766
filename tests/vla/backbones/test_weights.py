"""Files of weights: shards, types, names of other versions, and nets that are loaded exactly."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor, nn

from edge.errors import UsageError
from tests.export.hf_folders import write_folder
from vla.backbones.loading import load_backbone
from vla.backbones.weights import load_exactly, weight_files

Weights = dict[str, Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder("llava", tmp_path / "model")


def store(folder: Path, weights: Weights, name: str = "model.safetensors") -> None:
    save_file(weights, folder / name, {"format": "pt"})


def stored(folder: Path) -> Weights:
    return load_file(folder / "model.safetensors")


def shard(folder: Path) -> list[str]:
    """The checkpoint in three files with an index, as large ones are published."""
    weights = stored(folder)
    (folder / "model.safetensors").unlink()
    parts = [list(weights)[start::3] for start in range(3)]
    names = [f"model-0000{i + 1}-of-00003.safetensors" for i in range(3)]
    for name, part in zip(names, parts, strict=True):
        store(folder, {key: weights[key] for key in part}, name)
    index = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return names


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_shards_load_as_the_one_file_does(folder: Path) -> None:
    whole = load_backbone(folder)
    names = shard(folder)
    assert [path.name for path in weight_files(folder)] == names
    assert same(load_backbone(folder), whole)


def lose(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def rename_shards(folder: Path, names: list[str], to: str) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace(names[0], to))


SHARDS: dict[str, tuple[Callable[[Path, list[str]], Any], str]] = {
    "lost": (lambda f, n: lose(f / n[1]), "lacks 1 of the 3 files of its weights, the first is model-00002"),
    "cut": (lambda f, n: cut(f / n[2]), "model-00003-of-00003.safetensors can't be read"),
    "no index": (lambda f, n: lose(f / "model.safetensors.index.json"), "but neither model.safetensors nor"),
    "elsewhere": (lambda f, n: rename_shards(f, n, "../x.safetensors"), "names no files beside it"),
    "a pickle": (lambda f, n: rename_shards(f, n, "x.bin"), "names no files beside it"),
    "no map": (lambda f, n: (f / "model.safetensors.index.json").write_text("{}"), "names no files"),
    "two sets": (lambda f, n: store(f, {"a": torch.ones(1)}), "holds two sets of weights"),
    "twice": (lambda f, n: store(f, stored_all(f, n), n[0]), "is also in another file of the weights"),
    "not in the map": (
        lambda f, n: (f / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": {"a": n[0]}})
        ),
        r"holds model-.* beside model-.*, and nothing says",
    ),
}  # fmt: skip


def stored_all(folder: Path, names: list[str]) -> Weights:
    return load_file(folder / names[0]) | load_file(folder / names[1])


@pytest.mark.parametrize("damage", SHARDS)
def test_shards_that_are_not_all_there_are_refused(damage: str, folder: Path) -> None:
    spoil, message = SHARDS[damage]
    spoil(folder, shard(folder))
    with pytest.raises(UsageError, match=message):
        load_backbone(folder)


def test_an_index_whose_shards_are_gone_does_not_hide_the_one_file(folder: Path) -> None:
    weights, whole = stored(folder), load_backbone(folder)
    for name in shard(folder):
        (folder / name).unlink()
    store(folder, weights)
    assert same(load_backbone(folder), whole)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.int8, torch.uint8])
def test_packed_numbers_are_refused_by_their_type(kind: torch.dtype, folder: Path) -> None:
    weights = stored(folder)
    name = next(n for n in weights if n.endswith("q_proj.weight"))
    store(folder, weights | {name: weights[name].to(kind)})
    with pytest.raises(UsageError, match=f"1 tensor of packed or quantized numbers, the first is {name}"):
        load_backbone(folder)


OLD_NUMBERS = {
    "llava": {
        "language_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8),
        "vision_tower.vision_model.embeddings.position_ids": torch.arange(5)[None],
    },
    "qwen2_5_vl": {"visual.rotary_pos_emb.inv_freq": torch.ones(8)},
}


@pytest.mark.parametrize("name", OLD_NUMBERS)
def test_numbers_that_old_programs_stored_are_no_strangers(name: str, tmp_path: Path) -> None:
    folder = write_folder(name, tmp_path / "model")
    whole = load_backbone(folder)
    store(folder, stored(folder) | OLD_NUMBERS[name])
    assert same(load_backbone(folder), whole)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(value: float, folder: Path) -> None:
    weights = stored(folder)
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    weights[name][1, 2] = value
    store(folder, weights)
    with pytest.raises(UsageError, match=r"1 tensor with NaN or infinity, the first is .*q_proj.weight"):
        load_backbone(folder)


def test_another_file_of_weights_is_not_left_out_in_silence(folder: Path) -> None:
    store(folder, stored(folder), "other.safetensors")
    with pytest.raises(UsageError, match=r"holds other.safetensors beside model.safetensors"):
        weight_files(folder)


def test_a_tensor_that_nobody_takes_is_a_stranger(folder: Path) -> None:
    weights = stored(folder)
    store(folder, weights | {"model.image_newline": torch.ones(32)})
    with pytest.raises(UsageError, match=r"1 tensor that the net has not, the first is model\.image_newline"):
        load_backbone(folder)


OLD_NAMES = [
    ("paligemma", r"^model\.language_model\.", "language_model.model."),
    ("paligemma", r"^model\.vision_tower\.", "vision_tower.vision_model."),
    ("llava", r"^model\.language_model\.", "language_model.model."),
    ("llava", r"^lm_head\.", "language_model.lm_head."),
    ("qwen2_5_vl", r"^model\.language_model\.", "model."),
    ("qwen2_5_vl", r"^model\.visual\.", "visual."),
]


@pytest.mark.parametrize(("name", "new", "old"), OLD_NAMES)
def test_names_of_older_versions_load_as_those_of_this_one(
    name: str, new: str, old: str, tmp_path: Path
) -> None:
    folder = write_folder(name, tmp_path / "model")
    model = load_backbone(folder).model
    ours = {n: w for n, w in model.state_dict().items() if n != "lm_head.weight" or name != "paligemma"}
    assert any(re.match(new, n) for n in ours)
    for names in (ours, {re.sub(new, old, n): w for n, w in ours.items()}):
        store(folder, {n: w.clone() for n, w in names.items()})
        assert same(load_backbone(folder).model, model)


def test_a_head_that_is_tied_may_be_absent_and_one_that_is_not_may_not(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    weights = {n: w for n, w in stored(folder).items() if "lm_head" not in n}
    store(folder, weights)
    with pytest.raises(UsageError, match=r"1 tensor of 64 missing, the first is lm_head\.weight"):
        load_backbone(folder)
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    model = load_backbone(folder).model
    assert torch.equal(model.lm_head.weight, model.model.language_model.embed_tokens.weight)


def test_two_matrices_where_the_configuration_has_one_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    with pytest.raises(
        UsageError, match=r"lm_head\.weight and model\.language_model\.embed_tokens\.weight are"
    ):
        load_backbone(folder)
    weights = stored(folder)
    head, words = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"
    store(folder, weights | {head: weights[words].clone()})
    assert load_backbone(folder).model.lm_head.weight is not None


def test_two_sets_of_names_in_one_file_are_refused(folder: Path) -> None:
    weights = stored(folder)
    again = {n: w + 1 for n, w in load_backbone(folder).model.state_dict().items()}
    store(folder, weights | again)
    with pytest.raises(UsageError, match="holds 128 tensors for a net of 64: some twice"):
        load_backbone(folder)


def test_a_configuration_that_fits_no_net_is_bad_usage(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for text in ({"hidden_size": "wide"}, {"num_attention_heads": 0}, {"hidden_size": -1}, {"vocab_size": 1}):
        wrong = config | {"text_config": config["text_config"] | text}
        (folder / "config.json").write_text(json.dumps(wrong))
        with pytest.raises(UsageError, match=r"can't be read|are not those of its net"):
            load_backbone(folder)


class Net(nn.Module):
    """Two layers that share a matrix, and one of its own."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(width)


NAMES = ("first.weight", "first.bias", "second.bias", "norm.running_mean", "norm.num_batches_tracked")


@settings(max_examples=30, deadline=None)
@given(lost=st.sets(st.sampled_from(NAMES), min_size=1), strange=st.booleans())
def test_a_net_that_is_loaded_exactly_names_what_it_lacks(
    lost: set[str], strange: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("net") / "model.safetensors"
    net, other = Net(), Net()
    save_model(net, str(file))
    load_exactly(other, file)
    assert same(net, other)
    left = {n: w for n, w in load_file(file).items() if n not in lost}
    save_file(left | ({"third.bias": torch.ones(3)} if strange else {}), file)
    first = min(lost, key=list(net.state_dict()).index)
    with pytest.raises(UsageError) as refusal:
        load_exactly(other, file)
    count = len(lost) + ("first.weight" in lost)  # the shared matrix is missing in two places
    assert f"{count} tensor{'s' * (count > 1)} of 9 missing, the first is {first}" in refusal.value.message
    assert ("1 tensor that the net has not, the first is third.bias" in refusal.value.message) == strange


def test_a_net_that_is_loaded_exactly_has_its_own_shapes_and_types(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_model(Net(4), str(file))
    with pytest.raises(UsageError, match=r"7 tensors of another shape, the first is first\.weight: \(4, 4\)"):
        load_exactly(Net(), file)
    save_file({n: w.to(torch.int8) for n, w in load_file(file).items()}, file)
    with pytest.raises(UsageError, match="packed or quantized"):
        load_exactly(Net(4), file)
    save_model(Net(), str(file))
    save_file(load_file(file) | {"second.weight": torch.ones(3, 3)}, file)
    with pytest.raises(UsageError, match="two matrices for one of its net"):
        load_exactly(Net(), file)
    file.write_bytes(b"no file of tensors")
    with pytest.raises(UsageError, match="can't be read"):
        load_exactly(Net(4), file)
    file.unlink()
    with pytest.raises(UsageError, match="is missing"):
        load_exactly(Net(4), file)
