"""What can't become a bundle is found out before anything is exported."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from edge.errors import BundleRefused, UsageError
from export.commands.export import main
from export.sources import policy as policy_module
from export.sources.build import SourceOptions, build_bundle


def edit_vla(folder: Path, **changes: Any) -> None:
    fields = json.loads((folder / "vla.json").read_text())
    fields |= {key: value for key, value in changes.items() if key in fields}
    fields["vla"] |= {key: value for key, value in changes.items() if key not in fields}
    (folder / "vla.json").write_text(json.dumps(fields))


def edit_config(folder: Path, section: str, **changes: Any) -> None:
    fields = yaml.safe_load((folder / "config.yaml").read_text())
    fields[section] |= changes
    (folder / "config.yaml").write_text(yaml.safe_dump(fields))


def edit_statistics(folder: Path, **changes: Any) -> None:
    fields = json.loads((folder / "statistics.json").read_text())
    fields["action"] |= changes
    (folder / "statistics.json").write_text(json.dumps(fields))


OF_THE_HEAD = "head.net.weight_hh_l1"


def edit_weights(folder: Path, edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file(edit(load_file(file)), file)


def wider_head(folder: Path) -> dict[str, Any]:
    """The shape of another head than the one that was trained."""
    head = json.loads((folder / "vla.json").read_text())["vla"]["head"]
    return head | {"hidden": 2 * head["hidden"]}


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pre": (lambda f: edit_vla(f, history="pre"), "history pre; only none and post"),
    "video": (lambda f: edit_vla(f, history="video"), "history video"),
    "hand": (lambda f: edit_vla(f, hand_camera=True), "hand camera"),
    "family": (lambda f: edit_vla(f, family="blip"), "on blip, which has no exporter"),
    "pinned": (lambda f: edit_vla(f, family="moondream"), "on moondream"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
    "no config": (lambda f: (f / "config.yaml").unlink(), "config.yaml is missing"),
    "no statistics": (lambda f: (f / "statistics.json").unlink(), "statistics.json is missing"),
    "cut": (lambda f: (f / "model.safetensors").write_bytes(b"cut short"), "can't be read"),
    "lacks one": (
        lambda f: edit_weights(f, lambda w: {n: v for n, v in w.items() if n != OF_THE_HEAD}),
        f"1 tensor of [0-9]+ missing, the first is {OF_THE_HEAD}",
    ),
    "lacks vision": (
        lambda f: edit_weights(f, lambda w: {n: v for n, v in w.items() if "vision_tower" not in n}),
        r"[0-9]+ tensors of [0-9]+ missing, the first is backbone\.model\.model\.vision_tower",
    ),
    "prefix": (
        lambda f: edit_weights(f, lambda w: {f"module.{n}": v for n, v in w.items()}),
        "that the net has not",
    ),
    "wider": (lambda f: edit_vla(f, head=wider_head(f)), r"of another shape, the first is head\."),
    "no shape": (lambda f: (f / "vla.json").write_text("[1]"), "holds no keys"),
    "no json": (lambda f: (f / "statistics.json").write_text("{"), "cannot read"),
    "robot": (lambda f: edit_statistics(f, names=["a", "b", "c"]), "do not fit"),
    "short": (lambda f: edit_statistics(f, q01=[0.0]), "do not fit"),
    "infinite": (lambda f: edit_statistics(f, q01=[0.0, 0.0, float("inf")]), "do not fit"),
    "still": (lambda f: edit_statistics(f, q01=[0.45, 0.2, 0.9]), "no range"),
    "columns": (lambda f: edit_config(f, "actions", columns=["linear_x"]), "3 columns, its config 1"),
    "scaling": (lambda f: edit_config(f, "actions", scaling="none"), "do not fit"),
    "replace": (
        lambda f: edit_config(f, "inputs", instruction={"replace": {"red": "dark"}, "templates": ["{task}"]}),
        "changes 'red', which is not a part of",
    ),
    "end": (
        lambda f: edit_config(f, "inputs", instruction={"replace": {}, "templates": ["{task}"], "end": ""}),
        "newline",
    ),
    "words": (
        lambda f: edit_config(f, "inputs", instruction={"replace": {}, "templates": ["{task}"], "end": "\n"}),
        "does not know",
    ),
    "state": (lambda f: edit_config(f, "inputs", state=["battery"]), "comes from the odometry"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_can_not_become_a_bundle_says_why_before_anything_slow(
    damage: str, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_module, "policy_sources", None)  # it is found out before
    shutil.copytree(checkpoints["lstm"], tmp_path / "checkpoint")
    spoil, message = DAMAGE[damage]
    spoil(tmp_path / "checkpoint")
    with pytest.raises((UsageError, BundleRefused), match=message):
        build_bundle(tmp_path / "checkpoint", SourceOptions("head"))


def test_a_floor_that_is_none_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "floor.onnx").write_bytes(b"no graph")
    arguments = [str(checkpoints["lstm"]), "--out", str(tmp_path / "out"), "--floor"]
    with pytest.raises(BundleRefused):
        main([*arguments, str(tmp_path / "floor.onnx")])
    with pytest.raises(UsageError, match=r"nowhere\.onnx is not a file"):
        main([*arguments, str(tmp_path / "nowhere.onnx")])
    assert not (tmp_path / "out").exists()
