"""What `vla-edge export` takes for a model: which folder, and what in it is refused before any work."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.errors
import pytest
import torch
from safetensors.torch import load_file, save_file

from edge.cli import main
from edge.errors import UsageError
from export.large.checkpoint import _own_type
from export.sources.find import find_model
from tests.export.hf_folders import write_folder
from vla.backbones.loading import load_backbone


def export(model: Path | str, out: Path) -> int:
    return main(["export", "--model", str(model), "--out", str(out), "--json"])


def test_a_folder_is_preferred_to_a_bundle_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model("default").is_absolute() and capsys.readouterr().err == ""
    write_folder("llava", tmp_path / "default")
    capsys.readouterr()  # transformers shows its progress
    assert find_model("default") == Path("default")
    assert capsys.readouterr().err == "note: default is the folder here, and not the bundle of that name\n"
    assert find_model("./default") == Path("default") and capsys.readouterr().err == ""


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"config\.json is a file"):
        find_model(str(tmp_path / "config.json"))


REFUSED = [
    ("config.json", {"quantization_config": {"quant_method": "awq"}}, "is quantized (awq)"),
    ("config.json", {"model_type": "openvla"}, "a policy of another project, 'openvla'"),
    ("adapter_config.json", {"base_model_name_or_path": "org/base"}, "a model and an adapter beside it"),
]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("file", "content", "message"), REFUSED)
def test_what_is_not_what_was_trained_is_refused_on_both_paths(
    file: str,
    content: dict[str, Any],
    message: str,
    large: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("export.large.checkpoint.LARGE_FP32_BYTES", 0 if large else 1 << 30)
    folder = write_folder("llava", tmp_path / "model")
    before = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
    (folder / file).write_text(json.dumps(before | content))
    assert export(folder, tmp_path / "out") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match=re.escape(message)):  # training reads it, too
        load_backbone(folder)


def test_an_adapter_alone_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    save_file({"lora_A.weight": torch.ones(2)}, tmp_path / "adapter_model.safetensors")
    assert export(tmp_path, tmp_path / "out") == 2
    assert "holds only an adapter of org/base (adapter_config.json)" in capsys.readouterr().err


def test_florence_in_microsofts_names_is_refused_by_its_config_or_else_by_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder("florence2", tmp_path / "model")
    config, weights = (
        json.loads((folder / "config.json").read_text()),
        load_file(folder / "model.safetensors"),
    )
    theirs = {name.replace("model.vision_tower.", "vision_tower."): w for name, w in weights.items()}
    theirs = {name.replace("model.language_model.", "language_model.model."): w for name, w in theirs.items()}
    save_file(theirs, folder / "model.safetensors", {"format": "pt"})
    assert export(folder, tmp_path / "out") == 2
    assert "are not those of its net" in capsys.readouterr().err
    vision = config["vision_config"]
    vision["dim_embed"] = vision.pop("embed_dim")
    (folder / "config.json").write_text(json.dumps(config))
    assert export(folder, tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "in Microsoft's naming" in told and "florence-community/Florence-2-base" in told
    assert not (tmp_path / "out").exists()


def test_a_large_checkpoint_is_read_in_the_type_that_holds_all_of_its_numbers(tmp_path: Path) -> None:
    folder = write_folder("llava", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    norms = {name: w for name, w in weights.items() if "norm" in name}

    def read_in(half: torch.dtype, **others: torch.Tensor) -> torch.dtype:
        halves = {name: w.to(half) for name, w in weights.items() if name not in others}
        save_file(halves | others, folder / "model.safetensors", {"format": "pt"})
        return _own_type(folder)

    assert read_in(torch.bfloat16) == torch.bfloat16 and read_in(torch.float16) == torch.float16
    assert read_in(torch.float32) == torch.float32
    # An old program's counters say nothing of the weights, and fp32 norms among halves stay exact.
    ids = {"vision_tower.vision_model.embeddings.position_ids": torch.arange(5)[None]}
    assert read_in(torch.float32, **ids) == torch.float32
    assert read_in(torch.bfloat16, **ids) == torch.bfloat16
    assert read_in(torch.bfloat16, **norms) == torch.float32
    again = load_backbone(folder, dtype=_own_type(folder)).model.state_dict()
    stored = load_file(folder / "model.safetensors")
    sums = (sum(float(w.double().sum()) for w in part.values()) for part in (again, stored))
    assert next(sums) == pytest.approx(next(sums), rel=1e-12)


def spoil_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    file = folder / "model.safetensors"
    kept = load_file(file) | changes
    save_file({name: w for name, w in kept.items() if w is not None}, file, {"format": "pt"})


def test_our_own_tiny_checkpoint_is_as_complete_as_any_other(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(tiny_checkpoint / "model.safetensors")
    first = "model.vision_tower.embeddings.position"
    damages: list[dict[str, torch.Tensor | None]] = [
        {first: None},
        {first: None, **{name: None for name in weights if "vision_tower" in name}},
        {"model.extra.weight": torch.ones(2)},
        {first: torch.ones(1)},
    ]
    for place, changes in enumerate(damages):
        folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / str(place)))
        spoil_weights(folder, **changes)
        assert export(folder, tmp_path / "out") == 2
        told = capsys.readouterr().err
        assert "are not those of its net" in told and next(iter(changes)) in told, told
    sizes = json.loads((tiny_checkpoint / "tiny.json").read_text())
    for change, message in (
        ({"text_mlp": 2 * sizes["text_mlp"]}, "of another shape"),
        ({"text_layers": sizes["text_layers"] + 1}, "missing"),
        ({"text_heads": 0}, "describes no net"),
        ({"stem_widths": 3}, "describes no net"),
    ):
        folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / str(change)))
        (folder / "tiny.json").write_text(json.dumps(sizes | change))
        assert export(folder, tmp_path / "out") == 2
        assert message in capsys.readouterr().err
    for file in ("tokenizer.json", "tiny.json"):
        folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / f"no {file}"))
        (folder / file).write_text("{")
        assert export(folder, tmp_path / "out") == 2
        assert f"{file} can't be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        ("GatedRepoError", "only to those who accepted its terms", "hf auth login"),
        ("RepositoryNotFoundError", "no such model on the hub", "check the name"),
        ("LocalEntryNotFoundError", "the hub can't be reached", "download it elsewhere"),
    ],
)
def test_what_the_hub_refuses_is_said_in_whole_sentences(
    error: str, said: str, hint: str, monkeypatch: pytest.MonkeyPatch
):
    kind = getattr(huggingface_hub.errors, error)

    def refuse(*_: object, **__: object) -> None:
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UsageError, match=said) as caught:
        find_model("org/name")
    assert hint in caught.value.hint and len(caught.value.message) < 120
