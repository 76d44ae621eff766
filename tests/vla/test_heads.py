import pytest
import torch

from vla.heads import HEADS, HeadConfig, HeadMemory, build_head

WINDOW = 4


def _head(kind: str, pool: bool = False, gripper: bool = True):
    config = HeadConfig(kind, 5, 7, gripper, hidden=24, layers=2, attention_heads=2, mlp=(16, 8), pool=pool)
    torch.manual_seed(0)
    return build_head(12, 3, WINDOW, config).eval()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("pool", [False, True])
@torch.no_grad()
def test_streaming_equals_the_batch_before_and_past_the_window(kind: str, pool: bool):
    head = _head(kind, pool)
    features = torch.randn(2, 11, 3, 12)
    for _ in range(2):  # the second episode has a memory of its own
        memory = HeadMemory(WINDOW)
        for now in range(11):
            said = head.step(features[:, now], memory)
            seen = features[:, max(0, now - WINDOW + 1) : now + 1]
            missing = WINDOW - seen.shape[1]
            window = torch.cat([seen[:, :1].expand(-1, missing, -1, -1), seen], dim=1)
            valid = (torch.arange(WINDOW) >= missing).expand(2, -1)
            torch.testing.assert_close(said, head(window, valid)[:, -1], atol=1e-5, rtol=0)
            whole = head(seen, torch.ones(2, seen.shape[1], dtype=torch.bool))
            torch.testing.assert_close(said, whole[:, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", HEADS)
@torch.no_grad()
def test_what_a_head_remembers_is_in_its_memory_alone(kind: str):
    head = _head(kind)
    first, second = torch.randn(2, 1, 3, 12)
    fresh = head.step(second, HeadMemory(WINDOW))
    memory = HeadMemory(WINDOW)
    head.step(first, memory)
    late = head.step(second, memory)
    assert torch.equal(head.step(second, HeadMemory(WINDOW)), fresh)
    assert torch.equal(late, fresh) == (kind == "fc")


@pytest.mark.parametrize("kind", HEADS)
def test_pose_is_bounded_and_gripper_a_logit(kind: str):
    features = torch.randn(64, 1, 3, 12) * 100
    valid = torch.ones(64, 1, dtype=torch.bool)
    head = _head(kind)
    with torch.no_grad():
        head.output.net[-1].weight.mul_(1000)
    actions = head(features, valid)
    assert actions.shape == (64, 1, 5, 7)
    assert actions[..., :-1].abs().max() <= 1 < actions[..., -1].abs().max()
    assert _head(kind, gripper=False)(features, valid).abs().max() <= 1


def test_reference_sizes_are_the_default():
    head = build_head(8, 1, 16, HeadConfig())
    assert head.net.num_layers == 4 and head.net.hidden_size == 1024
    widths = [part.out_features for part in head.output.net if isinstance(part, torch.nn.Linear)]
    assert widths == [1024, 512, 256, 70]
