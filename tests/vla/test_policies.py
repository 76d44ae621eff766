"""Every backbone with every head and history that makes sense: trains, streams, saves, loads."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.vla.tiny_inputs import tiny_inputs
from vla.backbones.tiny import BINS, CONFIGS, FIRST_ACTION, tiny_backbone
from vla.checkpoint import load_vla, save_vla
from vla.fusion import Inputs, join_steps
from vla.heads import HeadConfig
from vla.model import HISTORIES, VLA, Targets, VLAConfig
from vla.rollout import Rollout

HORIZON, ROWS, WINDOW = 2, 2, 3
KIN = ("paligemma2", "idefics3")
SPACES = {"gripper": (3, True), "base": (2, False), "arm": (7, True)}  # dims, and is the last a gripper?


def _shapes() -> list[Any]:
    """Backbone, head, history, action space.

    PaliGemma is tried with everything, the others with each head and history once. The rest is slow, as are
    kin of a family and other action spaces.
    """
    found, slow = [], pytest.mark.slow
    for number, name in enumerate(CONFIGS):
        for turn, head in enumerate(("fc", "lstm", "gpt", "discrete")):
            for place, history in enumerate(HISTORIES):
                once = (turn + place + number) % len(HISTORIES) == 0
                # Florence-2's turn for the LSTM comes with a history that it can not have.
                once = once or (name, head, history) == ("florence2", "lstm", "none")
                quick = name == "paligemma" or (once and name not in KIN)
                kin = [] if quick else [slow]
                if (head, history) == ("discrete", "post") or (name, history) == ("florence2", "pre"):
                    continue
                found.append(pytest.param(name, head, history, "gripper", marks=kin))
                if name == "paligemma":
                    found += [
                        pytest.param(name, head, history, space, marks=slow) for space in ("base", "arm")
                    ]
    return found


def _config(head: str, history: str, space: str) -> VLAConfig:
    dims, gripper = SPACES[space]
    sizes = HeadConfig(head, HORIZON, dims, gripper, 16, layers=2, attention_heads=2, mlp=(32, 16))
    return VLAConfig(
        sizes,
        history,
        window=1 if history == "none" else WINDOW,
        action_tokens=2,
        hand_camera=True,
        state_pose_dims=6,
        bins=BINS,
        first_id=FIRST_ACTION,
    )


def _targets(config: VLAConfig) -> Targets:
    shape = (ROWS, config.window, HORIZON, config.head.action_dims)
    if config.discrete:
        actions = torch.randint(FIRST_ACTION, FIRST_ACTION + BINS, shape)
    else:
        actions = torch.rand(shape) * 2 - 1
    if config.head.gripper and not config.discrete:
        actions[..., -1] = (actions[..., -1] > 0).float()
    return Targets(actions, torch.ones(shape[:-1], dtype=torch.bool))


def _train(policy: VLA, inputs: Inputs, targets: Targets) -> list[float]:
    policy.train()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3)
    losses: list[float] = []
    for step in range(4):
        loss = policy(inputs, targets).total
        losses.append(loss.item())
        if step < 3:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses


def _check_continuous_stream(policy: VLA, steps: list[Inputs]) -> None:
    rollout = Rollout(policy)
    window = policy.config.window
    for index, step in enumerate(steps):
        chunk = rollout.step(step)
        batch = join_steps(steps[max(0, index + 1 - window) : index + 1], window)
        torch.testing.assert_close(chunk, policy.values(policy.actions(batch)[:, -1]), atol=1e-4, rtol=0)
        _check_range(policy, chunk)


def _check_discrete_stream(policy: VLA, steps: list[Inputs], monkeypatch: pytest.MonkeyPatch) -> None:
    """The logits that generation chose from, against the batch forward that is told what was generated."""
    config, logits = policy.config, policy.backbone.logits
    heard: list[Tensor] = []
    monkeypatch.setattr(policy.backbone, "logits", lambda hidden: heard.append(logits(hidden)) or heard[-1])
    said: list[Tensor] = []
    rollout = Rollout(policy)
    for index, step in enumerate(steps):
        heard.clear()
        _check_range(policy, rollout.step(step))
        streamed = torch.stack(heard, dim=1)
        ids = streamed[..., FIRST_ACTION : FIRST_ACTION + BINS].argmax(-1) + FIRST_ACTION
        said.append(ids.unflatten(1, (HORIZON, config.head.action_dims)))
        told = said[-1:] if config.history == "video" else said[-config.window :]
        told = [said[0]] * (0 if config.history == "video" else config.window - len(told)) + told
        batch = join_steps(steps[max(0, index + 1 - config.window) : index + 1], config.window)
        batched = policy.token_logits(batch, torch.stack(told, dim=1))[:, -1]
        torch.testing.assert_close(streamed, batched, atol=1e-4, rtol=0)


def _check_range(policy: VLA, chunk: Tensor) -> None:
    assert chunk.shape == (ROWS, HORIZON, policy.config.head.action_dims)
    assert chunk.abs().max() <= 1
    if policy.config.head.gripper:
        assert set(chunk[..., -1].flatten().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("name", "head", "history", "space"), _shapes())
def test_policy_learns_streams_and_survives_its_checkpoint(
    name: str, head: str, history: str, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    policy = VLA(tiny_backbone(name), _config(head, history, space))
    config = policy.config
    inputs = tiny_inputs(policy.backbone, ROWS, config.window)
    if config.window > 1:
        inputs.valid[1, 0] = False  # an episode that began a step later
    losses = _train(policy, inputs, _targets(config))
    assert losses[3] < losses[0], losses
    policy.eval()
    episode = tiny_inputs(policy.backbone, ROWS, config.window + 2)
    steps = [episode.steps(index, index + 1) for index in range(config.window + 2)]
    with torch.no_grad():
        if config.discrete:
            _check_discrete_stream(policy, steps, monkeypatch)
        else:
            _check_continuous_stream(policy, steps)
    save_vla(policy, tmp_path)
    loaded = load_vla(tmp_path)
    assert loaded.config == config
    for name, value in policy.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    assert torch.equal(Rollout(policy).step(inputs.last()), Rollout(loaded).step(inputs.last()))


@pytest.mark.parametrize(
    ("head", "history"), [("lstm", "post"), ("gpt", "post"), ("fc", "video"), ("discrete", "pre")]
)
def test_rollouts_of_one_policy_do_not_know_of_each_other(head: str, history: str):
    torch.manual_seed(0)
    policy = VLA(tiny_backbone("paligemma"), _config(head, history, "arm")).eval()
    first, other = (tiny_inputs(policy.backbone, ROWS, WINDOW + 1) for _ in range(2))
    alone, beside, rollout = Rollout(policy), Rollout(policy), Rollout(policy)
    expected = [alone.step(first.steps(i, i + 1)) for i in range(WINDOW + 1)]
    for i in range(WINDOW + 1):
        assert torch.equal(rollout.step(first.steps(i, i + 1)), expected[i])
        beside.step(other.steps(i, i + 1))
    again = rollout.step(first.steps(0, 1))
    rollout.reset()
    assert torch.equal(rollout.step(first.steps(0, 1)), expected[0])
    assert not torch.equal(again, expected[0]), "without a reset the episode goes on"
