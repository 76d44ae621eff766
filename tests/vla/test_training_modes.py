from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge.errors import UsageError
from tests.vla.tiny_inputs import tiny_inputs
from vla.backbones.loading import load_backbone
from vla.backbones.tiny import CONFIGS, FIRST_ACTION, tiny_backbone
from vla.checkpoint import load_vla, save_vla
from vla.heads import HeadConfig
from vla.model import VLA, LanguageTargets, Targets, VLAConfig
from vla.rollout import Rollout
from vla.training_modes import TrainableConfig

SIZES = HeadConfig("lstm", 2, 3, hidden=16, layers=1, mlp=(16,))
CONFIG = VLAConfig(SIZES, "post", window=2, first_id=FIRST_ACTION, bins=16)


def _learns(policy: VLA) -> set[str]:
    """Weights that three steps of training changed."""
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    inputs = tiny_inputs(policy.backbone, 2, 2)
    targets = Targets(torch.rand(2, 2, 2, 3), torch.ones(2, 2, 2, dtype=torch.bool))
    optimizer = torch.optim.AdamW((p for p in policy.parameters() if p.requires_grad), lr=1e-2)
    for _ in range(3):  # more than one: gradients reach LoRA's A and the layers below a zero only then
        optimizer.zero_grad()
        policy.train()(inputs, targets).total.backward()
        optimizer.step()
    return {name for name, value in policy.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("model_type", CONFIGS)
@pytest.mark.parametrize("mode", ["frozen", "last", "lora", "full"])
def test_mode_trains_what_it_says(model_type: str, mode: str, tmp_path: Path):
    torch.manual_seed(0)
    trainable = TrainableConfig(mode, last_layers=1, lora_rank=4)
    policy = VLA(tiny_backbone(model_type), replace(CONFIG, trainable=trainable))
    learned = _learns(policy)
    assert any(name.startswith("head.") for name in learned)
    backbone = {name for name in learned if name.startswith("backbone.")}
    layers = [name.split("layers.")[1][0] for name in backbone if "layers." in name]
    if mode == "frozen":
        assert not backbone
    elif mode == "last":
        assert backbone and len(layers) == len(backbone) and set(layers) == {"1"}
    elif mode == "lora":
        assert all("lora_" in name for name in backbone)
        assert {name.rpartition(".lora_")[2][0] for name in backbone} == {"A", "B"} and set(layers) == {
            "0",
            "1",
        }
        save_vla(policy, tmp_path)
        loaded, inputs = load_vla(tmp_path), tiny_inputs(policy.backbone, 1, 1)
        assert torch.equal(Rollout(policy.eval()).step(inputs), Rollout(loaded).step(inputs))
    else:
        assert any("vision" in name or "visual" in name for name in backbone) and len(layers) > 0


def test_default_model_becomes_a_policy_and_survives(tiny_checkpoint: Path, tmp_path: Path):
    policy = VLA(load_backbone(tiny_checkpoint), CONFIG)
    save_vla(policy, tmp_path)
    loaded, policy = load_vla(tmp_path), policy.eval()
    inputs = replace(tiny_inputs(policy.backbone, 1, 1), images=torch.randn(1, 1, 3, 32, 48))
    assert torch.equal(Rollout(policy).step(inputs), Rollout(loaded).step(inputs))


def test_half_precision_survives_the_checkpoint(tmp_path: Path):
    policy = VLA(tiny_backbone("llava"), CONFIG)
    policy.backbone.model.to(torch.bfloat16)
    save_vla(policy, tmp_path)
    loaded = load_vla(tmp_path)
    assert loaded.backbone.model.dtype == torch.bfloat16
    assert loaded.action_token.dtype == torch.float32


def test_folder_that_holds_no_such_policy_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"vla\.json is missing"):
        load_vla(tmp_path)
    save_vla(VLA(tiny_backbone("llava"), CONFIG), tmp_path)
    with pytest.raises(UsageError, match="is a policy on llava, not on smolvlm"):
        load_vla(tmp_path, tiny_backbone("smolvlm"))


@pytest.mark.parametrize("model_type", CONFIGS)
def test_words_are_trained_beside_actions(model_type: str):
    torch.manual_seed(0)
    policy = VLA(
        tiny_backbone(model_type), replace(CONFIG, head=replace(SIZES, kind="fc"), history="none", window=1)
    )
    inputs = tiny_inputs(policy.backbone, 2, 1)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
    answer = LanguageTargets(torch.tensor([[20, 21, 1], [22, 1, 0]]), mask)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    losses = []
    for _ in range(4):
        loss = policy(inputs, answer).total
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[3] < losses[0]
    with torch.no_grad():
        other = LanguageTargets(torch.tensor([[20, 21, 1], [22, 1, 30]]), mask)  # in the padding
        assert torch.equal(policy(inputs, answer).total, policy(inputs, other).total)


@pytest.mark.parametrize("model_type", CONFIGS)
def test_checkpointing_and_half_precision_keep_the_loss(model_type: str):
    torch.manual_seed(0)
    policy = VLA(tiny_backbone(model_type), CONFIG)
    inputs = tiny_inputs(policy.backbone, 2, 2)
    targets = Targets(torch.rand(2, 2, 2, 3), torch.ones(2, 2, 2, dtype=torch.bool))

    def gradients() -> tuple[float, list[torch.Tensor]]:
        policy.zero_grad()
        loss = policy.train()(inputs, targets).total
        loss.backward()
        return loss.item(), [p.grad.clone() for p in policy.parameters() if p.grad is not None]

    loss, plain = gradients()
    policy.backbone.checkpoint_activations()
    again, checkpointed = gradients()
    assert again == pytest.approx(loss, abs=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, checkpointed, strict=True))
    policy.backbone.model.to(torch.bfloat16)
    assert gradients()[0] == pytest.approx(loss, abs=2e-2)


@pytest.mark.parametrize(
    ("model_type", "config", "message"),
    [
        ("llava", replace(CONFIG, head=replace(SIZES, kind="flow")), "unknown head 'flow'"),
        ("llava", replace(CONFIG, history="past"), "unknown history 'past'"),
        ("llava", replace(CONFIG, history="none"), "history none does not go with a window of 2"),
        (
            "llava",
            replace(CONFIG, head=replace(SIZES, kind="discrete")),
            "history post needs a head behind the language model",
        ),
        ("florence2", replace(CONFIG, history="pre"), "can't have answers between its frames"),
        (
            "llava",
            replace(CONFIG, head=replace(SIZES, kind="discrete"), history="pre", bins=256),
            r"action ids 40\.\.295 of the discrete head must lie in 1\.\.63",
        ),
        ("llava", replace(CONFIG, trainable=TrainableConfig("some")), "unknown mode 'some'"),
        (
            "llava",
            replace(CONFIG, trainable=TrainableConfig("last", last_layers=3)),
            "last_layers is 3, but the decoder has 2 layers",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(model_type: str, config: VLAConfig, message: str):
    with pytest.raises(UsageError, match=message):
        VLA(tiny_backbone(model_type), config)
