"""Losses against numbers computed by hand."""

import math

import pytest
import torch

from edge.actions.tokenizer import ActionTokenizer
from vla.heads.discrete import decode_bins
from vla.losses import LossConfig, continuous_loss, discrete_loss, multi_task_loss


def test_continuous_loss_is_huber_and_a_weighted_bit():
    actions = torch.tensor([0.5, -1.0, 0.0]).reshape(1, 1, 1, 3)
    target = torch.tensor([0.0, 1.0, 1.0]).reshape(1, 1, 1, 3)
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    losses = continuous_loss(actions, target, mask, True, LossConfig())
    # Huber: 0.5 * 0.5^2 = 0.125 and 2 - 0.5 = 1.5
    assert losses.pose is not None and losses.gripper is not None
    assert losses.pose.item() == pytest.approx(0.8125)
    assert losses.gripper.item() == pytest.approx(math.log(2))
    assert losses.total.item() == pytest.approx(0.8125 + 0.01 * math.log(2))
    squared = continuous_loss(actions, target, mask, False, LossConfig(pose="mse"))
    assert squared.total.item() == pytest.approx((0.25 + 4 + 1) / 3)
    assert squared.gripper is None


def test_masked_steps_do_not_count_and_weights_do():
    actions = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    target = torch.zeros(1, 3, 1, 1)
    mask = torch.tensor([True, False, True]).reshape(1, 3, 1)
    plain = LossConfig(pose="mse")
    assert continuous_loss(actions, target, mask, False, plain).total.item() == pytest.approx(5)
    weighted = LossConfig(pose="mse", step_weights=(1.0, 7.0, 3.0))
    assert continuous_loss(actions, target, mask, False, weighted).total.item() == pytest.approx((1 + 27) / 4)
    # A single step has the weight of the last one.
    last = continuous_loss(actions[:, 2:], target[:, 2:], mask[:, 2:], False, weighted)
    assert last.total.item() == pytest.approx(9)
    nothing = continuous_loss(actions, target, torch.zeros_like(mask), False, plain)
    assert nothing.total.item() == 0


def test_bins_decode_to_their_centres():
    # 256 bins: 255 centres between edges 2/255 apart; base = first_id + 256.
    ids = torch.tensor([1255, 1254, 1128, 1001, 1000])
    want = [-254 / 255, -252 / 255, 0.0, 254 / 255, 254 / 255]
    assert decode_bins(ids, 1000, 256).tolist() == pytest.approx(want, abs=1e-6)
    every = torch.arange(1000, 1256)
    tokenizer = ActionTokenizer(base=1256)
    assert decode_bins(every, 1000, 256).tolist() == pytest.approx(tokenizer.decode(every).tolist(), abs=1e-6)
    for wrong in (999, 1256):
        with pytest.raises(ValueError, match=r"not an action id: they are 1000\.\.1255"):
            decode_bins(torch.tensor([1001, wrong]), 1000, 256)


def test_discrete_loss_tells_accuracy_and_distance():
    ids = torch.tensor([13, 10, 11, 13]).reshape(1, 2, 1, 2)  # 4 bins from id 10; centres -2/3, 0, 2/3
    logits = torch.zeros(1, 2, 2, 20)
    logits[0, 0, 0, 13] = 5.0  # right
    logits[0, 0, 1, 12] = 5.0  # says 0, right were 2/3
    logits[0, 0, 1, 2] = 9.0  # no action: not taken for the guess, though it costs
    mask = torch.tensor([True, False]).reshape(1, 2, 1)
    losses = discrete_loss(logits, ids, mask, 10, 4, LossConfig())
    right = math.log(math.exp(5) + 19) - 5
    wrong = math.log(math.exp(9) + math.exp(5) + 18)
    assert losses.total.item() == pytest.approx((right + wrong) / 2, rel=1e-5)
    assert losses.accuracy is not None and losses.l1 is not None
    assert losses.accuracy.item() == pytest.approx(0.5)
    assert losses.l1.item() == pytest.approx(1 / 3)


def test_tasks_are_summed_by_weight():
    losses = {"robot": torch.tensor(2.0), "words": torch.tensor(3.0)}
    assert multi_task_loss(losses, {"robot": 1.0, "words": 0.1, "more": 9.0}).item() == pytest.approx(2.3)
    with pytest.raises(ValueError, match="no loss weight for \\['words'\\]"):
        multi_task_loss(losses, {"robot": 1.0})
