"""A checkpoint whose weights are not exactly those of its net never becomes a bundle, on either path."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from edge.cli import main
from edge.errors import UsageError
from tests.export.hf_folders import write_folder
from vla.backbones.loading import load_backbone
from vla.backbones.tiny import CONFIGS

Weights = dict[str, Tensor]
_AGAIN = ("paligemma2", "qwen3_vl", "idefics3")  # newer models of families that are tested already
_LARGE_AGAIN = {("large", name) for name in CONFIGS if name not in ("florence2", "qwen2_5_vl")}
EVERY = [pytest.param(name, marks=[pytest.mark.slow] * (name in _AGAIN)) for name in CONFIGS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A family's complete checkpoint, to be copied."""
    root = tmp_path_factory.mktemp("whole")

    def make(name: str) -> Path:
        return root / name if (root / name).exists() else write_folder(name, root / name)

    return make


@pytest.fixture
def model(whole: Callable[[str], Path], name: str, tmp_path: Path) -> Path:
    shutil.copytree(whole(name), tmp_path / "model")
    return tmp_path / "model"


def change(folder: Path, edit: Callable[[Weights], Weights]) -> None:
    file = folder / "model.safetensors"
    save_file(edit(load_file(file)), file, {"format": "pt"})


def of_vision(name: str) -> bool:
    return "vision" in name or "visual" in name


def without_one(folder: Path) -> str:
    """Without the last layer's output of the language model."""
    names = [n for n in load_file(folder / "model.safetensors") if "layers.1." in n and not of_vision(n)]
    change(folder, lambda weights: {n: w for n, w in weights.items() if n != names[-1]})
    return names[-1].rpartition("layers.1.")[2] + " of 1"


def without_vision(folder: Path) -> str:
    lost = [n for n in load_file(folder / "model.safetensors") if of_vision(n)]
    assert lost
    change(folder, lambda weights: {n: w for n, w in weights.items() if not of_vision(n)})
    return f"{len(lost)} tensors of"


def with_prefix(folder: Path) -> str:
    change(folder, lambda weights: {f"policy.net.{n}": w for n, w in weights.items()})
    return f"{len(load_file(folder / 'model.safetensors'))} tensors that the net has not"


def edit_config(folder: Path, edit: Callable[[Any], Any]) -> None:
    """Every number of config.json, by what `edit` makes of its key."""

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            # "layer_types" has an entry for each layer: the number of layers would contradict it.
            return {k: walk(v, k) for k, v in value.items() if k != "layer_types"}
        return edit(key)(value) if isinstance(value, int) and edit(key) else value

    file = folder / "config.json"
    file.write_text(json.dumps(walk(json.loads(file.read_text()))))


WIDTHS = ("intermediate_size", "ffn_dim", "decoder_ffn_dim")
DEPTHS = ("num_hidden_layers", "layers", "decoder_layers", "depth")


def wider(folder: Path) -> str:
    edit_config(folder, lambda key: (lambda n: 2 * n) if key in WIDTHS else None)
    return "of another shape, the first is"


def deeper(folder: Path) -> str:
    edit_config(folder, lambda key: (lambda n: n + 1) if key in DEPTHS else None)
    return "missing, the first is"


def shallower(folder: Path) -> str:
    edit_config(folder, lambda key: (lambda n: n - 1) if key in DEPTHS and key != "depth" else None)
    return "that the net has not, the first is"


DAMAGE = {
    "one tensor": without_one, "the vision tower": without_vision, "a prefix": with_prefix,
    "a wider net": wider, "a deeper net": deeper, "a shallower net": shallower,
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        # The large path reads the weights of all families alike.
        pytest.param(path, name, marks=[pytest.mark.slow] * (name in _AGAIN or (path, name) in _LARGE_AGAIN))
        for path in ("ordinary", "large")
        for name in CONFIGS
    ],
)
def test_weights_that_are_not_those_of_the_net_are_refused_by_name(
    path: str,
    damage: str,
    name: str,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if path == "large":
        monkeypatch.setattr("export.large.checkpoint.LARGE_FP32_BYTES", 0)
    told = DAMAGE[damage](model)
    assert main(["export", "--model", str(model), "--out", str(model.parent / "out"), "--json"]) == 2
    said = capsys.readouterr().err
    assert "are not those of its net" in said and "the first is" in said, said
    lost, _, count = told.partition(" of ")
    assert (lost in said and f"{count} tensor of" in said) if damage == "one tensor" else told in said, said
    assert ("begins with 'policy.net.'" in said) == (damage == "a prefix")
    assert [path.name for path in model.parent.iterdir()] == ["model"]  # no bundle, and no work folder


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 15])
def test_no_stored_tensor_may_be_missing(every: int, name: str, model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    for lost in list(weights)[::every]:
        left = {n: w for n, w in weights.items() if n != lost}
        save_file(left, model / "model.safetensors", {"format": "pt"})
        with pytest.raises(UsageError, match=r"\d tensors? of \d+ missing"):
            load_backbone(model)


def test_a_tensor_that_does_not_fit_names_both_shapes(whole: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(whole("llava"), tmp_path / "model")
    change(
        tmp_path / "model",
        lambda weights: {n: w[:-1] if "linear_1.b" in n else w for n, w in weights.items()},
    )
    with pytest.raises(
        UsageError, match=r"1 tensor of another shape, .*linear_1\.bias: \(31,\), not \(32,\)$"
    ):
        load_backbone(tmp_path / "model")
