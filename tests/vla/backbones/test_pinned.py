from pathlib import Path

import pytest
import torch

from edge.errors import UsageError
from tests.vla.tiny_inputs import tiny_inputs
from vla.backbones.loading import folder_digest, load_pinned
from vla.checkpoint import load_vla, save_vla
from vla.heads import HeadConfig
from vla.model import VLA, VLAConfig
from vla.rollout import Rollout

CODE = """
from pathlib import Path

from vla.backbones.families import Llava
from vla.backbones.tiny import tiny_backbone


class Moondream(Llava):
    family = "moondream"


def load(folder: Path):
    assert (folder / "weights.safetensors").is_file()
    tiny = tiny_backbone("llava")
    return Moondream(tiny.model, tiny.layout, {})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pinned = tmp_path / "pinned"
    pinned.mkdir()
    (pinned / "backbone.py").write_text(CODE)
    (pinned / "weights.safetensors").write_bytes(b"weights")
    return pinned


def test_policy_on_a_pinned_folder_survives_its_checkpoint(folder: Path, tmp_path: Path):
    backbone = load_pinned("moondream", folder, folder_digest(folder))
    policy = VLA(backbone, VLAConfig(HeadConfig("fc", 2, 3, hidden=8, mlp=(8,)), "none", window=1)).eval()
    save_vla(policy, tmp_path / "policy")
    with pytest.raises(UsageError, match="is a policy on moondream"):
        load_vla(tmp_path / "policy")
    inputs = tiny_inputs(backbone, 1, 1)
    pinned = load_pinned("moondream", folder, folder_digest(folder))
    assert torch.equal(
        Rollout(policy).step(inputs), Rollout(load_vla(tmp_path / "policy", pinned)).step(inputs)
    )


def test_a_folder_that_changed_is_refused_before_its_code_runs(folder: Path):
    pinned = folder_digest(folder)
    (folder / "backbone.py").write_text("raise SystemExit")
    with pytest.raises(UsageError, match=f"pinned is {pinned}"):
        load_pinned("uform", folder, pinned)
    (folder / "backbone.py").write_text(CODE)
    (folder / "weights.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(UsageError, match="pinned is"):
        load_pinned("uform", folder, pinned)


def test_anything_but_a_pinned_folder_of_plain_files_is_refused(folder: Path):
    with pytest.raises(UsageError, match="'llava' is not loaded from a pinned folder"):
        load_pinned("llava", folder, folder_digest(folder))
    with pytest.raises(UsageError, match=r"backbone\.py is missing"):
        load_pinned("moondream", Path("vikhyatk/moondream2"), "")
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="may be a pickle"):
        folder_digest(folder)
    (folder / "pytorch_model.bin").unlink()
    (folder / "link").symlink_to(folder / "backbone.py")
    with pytest.raises(UsageError, match="not a plain file"):
        folder_digest(folder)


def test_code_that_gives_no_backbone_is_refused(folder: Path):
    (folder / "backbone.py").write_text("def load(folder):\n    return folder\n")
    with pytest.raises(UsageError, match="returned a PosixPath, not a moondream Backbone"):
        load_pinned("moondream", folder, folder_digest(folder))
