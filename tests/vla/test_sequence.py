"""Fusion against sequences built by hand, and proof that what is not there changes nothing."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.vla.tiny_inputs import tiny_inputs
from vla.backbones.tiny import CONFIGS, tiny_backbone
from vla.fusion import Fusion, Inputs, StateToken, join_steps
from vla.heads import HeadConfig
from vla.model import VLA, VLAConfig
from vla.sequence import ANSWER, CONTEXT, END, IMAGE, EncodedImages, Segment, assemble

GROWS = [
    (model, history)
    for model in CONFIGS
    for history in ("pre", "video")
    if (model, history) != ("florence2", "pre")
]


def _segment(rows: list[list[float]], mask: list[list[int]], role: int = CONTEXT, block: int = -1) -> Segment:
    return Segment(torch.tensor(rows)[..., None], torch.tensor(mask).bool(), role, block)


def test_padding_moves_to_the_end_of_each_row():
    words = _segment([[1, 2, 3], [4, 5, 6]], [[1, 1, 1], [1, 0, 0]], block=0)
    answer = _segment([[7, 8], [9, 10]], [[1, 1], [1, 1]], ANSWER)
    sequence = assemble([words, answer, _segment([[11], [12]], [[1], [1]], END)])
    assert sequence.embeds[..., 0].tolist() == [[1, 2, 3, 7, 8, 11], [4, 9, 10, 12, 5, 6]]
    assert sequence.mask.tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert sequence.roles.tolist() == [[0, 0, 0, 2, 2, 3], [0, 2, 2, 3, 0, 0]]
    assert sequence.blocks.tolist() == [[0, 0, 0, -1, -1, -1], [0, -1, -1, -1, -1, -1]]
    assert sequence.answers.tolist() == [[3, 4], [1, 2]]
    assert sequence.lengths.tolist() == [6, 4]
    assert sequence.next_position.tolist() == [6, 4]
    for positions in sequence.positions:
        assert positions[0].tolist() == [0, 1, 2, 3, 4, 5]
        assert positions[1, :4].tolist() == [0, 1, 2, 3]


def test_a_picture_takes_as_many_positions_as_its_longer_side():
    grid = torch.tensor([[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]])[:, None]
    image = EncodedImages(torch.zeros(1, 6, 1), grid, advance=3)
    image = Segment(image.tokens, torch.ones(1, 6).bool(), IMAGE, image=image)
    sequence = assemble([_segment([[1.0]], [[1]]), image, _segment([[2.0, 3.0]], [[1, 1]])])
    assert sequence.positions[0, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 4, 5]
    assert sequence.positions[1, 0].tolist() == [0, 1, 1, 1, 2, 2, 2, 4, 5]
    assert sequence.positions[2, 0].tolist() == [0, 1, 2, 3, 1, 2, 3, 4, 5]
    assert sequence.next_position.tolist() == [6]


def test_tokens_see_the_images_before_them_only():
    def image(there: int) -> Segment:
        image = EncodedImages(torch.zeros(1, 1, 1), memory=torch.zeros(1, 2, 3))
        return Segment(image.tokens, torch.tensor([[there]]).bool(), IMAGE, image=image)

    word = _segment([[1.0]], [[1]])
    sequence = assemble([word, image(0), word, image(1), word])
    assert sequence.memory is not None and sequence.memory.shape == (1, 2, 2, 3)
    assert sequence.seen is not None
    assert sequence.seen[0].tolist() == [[False, False], [False, False], [False, True], [False, True]]


def _by_hand(fusion: Fusion, inputs: Inputs, row: int, answers: Tensor) -> list[Tensor]:
    """One row's tokens of one step, in the order of the specification."""
    backbone, layout = fusion.backbone, fusion.backbone.layout

    def text(ids: tuple[int, ...]) -> list[Tensor]:
        return [backbone.embed(torch.tensor([ids]))[0]] if ids else []

    def image(pixels: Tensor) -> list[Tensor]:
        return [*text(layout.image_start), backbone.encode(pixels[None]).tokens[0], *text(layout.image_end)]

    assert inputs.hand_images is not None and inputs.state is not None and fusion.state is not None
    words = tuple(inputs.ids[row][inputs.ids_mask[row]].tolist())
    return [
        *text(layout.before),
        *image(inputs.hand_images[row, 0]),
        *image(inputs.images[row, 0]),
        *text(layout.after),
        *text(words),
        fusion.state(inputs.state[row : row + 1, 0]),
        answers,
        *text((layout.end,)),
    ]


@pytest.mark.parametrize("model_type", CONFIGS)
def test_step_is_the_sequence_built_by_hand(model_type: str):
    torch.manual_seed(0)
    backbone = tiny_backbone(model_type).eval()
    inputs = tiny_inputs(backbone, rows=2, steps=1)
    fusion = Fusion(backbone, StateToken(6, backbone.width), hand_camera=True)
    answers = torch.randn(2, 2, backbone.width)
    sequence = fusion.steps(inputs, [answers], ended=True)
    for row in range(2):
        tokens = torch.cat(_by_hand(fusion, inputs, row, answers[row]))
        assert int(sequence.lengths[row]) == len(tokens)
        torch.testing.assert_close(sequence.embeds[row, : len(tokens)], tokens, atol=1e-5, rtol=0)
        assert sequence.mask[row].tolist() == [True] * len(tokens) + [False] * (
            sequence.mask.shape[1] - len(tokens)
        )
        assert sequence.answers[row].tolist() == [len(tokens) - 3, len(tokens) - 2]


def _policy(model_type: str, history: str, window: int) -> VLA:
    sizes = HeadConfig("gpt", 2, 3, hidden=16, layers=1, attention_heads=2, mlp=(16,))
    config = VLAConfig(sizes, history, window, action_tokens=2, hand_camera=True, state_pose_dims=6)
    policy = VLA(tiny_backbone(model_type), config).eval()
    torch.nn.init.normal_(policy.action_token)
    return policy


@pytest.mark.parametrize(("model_type", "history"), GROWS)
@torch.no_grad()
def test_steps_before_the_episode_change_nothing(model_type: str, history: str):
    torch.manual_seed(0)
    policy = _policy(model_type, history, window=4)
    inputs = tiny_inputs(policy.backbone, rows=2, steps=2)
    padded = join_steps([inputs.steps(0, 1), inputs.steps(1, 2)], 4)
    assert padded.valid.tolist() == [[False, False, True, True]] * 2
    assert torch.equal(padded.images[:, 0], inputs.images[:, 0])
    torch.testing.assert_close(
        policy.actions(padded)[:, -1], policy.actions(inputs)[:, -1], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("model_type", "history"), GROWS)
@torch.no_grad()
def test_rows_of_a_batch_do_not_touch(model_type: str, history: str):
    torch.manual_seed(0)
    policy = _policy(model_type, history, window=2)
    inputs = tiny_inputs(policy.backbone, rows=2, steps=2)
    inputs.valid[1, 0] = False
    assert inputs.hand_images is not None and inputs.state is not None
    together = policy.actions(inputs)[:, -1]
    for row in range(2):
        part = slice(row, row + 1)
        alone = Inputs(
            inputs.images[part],
            inputs.ids[part],
            inputs.ids_mask[part],
            inputs.valid[part],
            inputs.hand_images[part],
            inputs.state[part],
        )
        torch.testing.assert_close(policy.actions(alone)[:, -1], together[part], atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", [model for model, history in GROWS if history == "pre"])
@torch.no_grad()
def test_no_step_sees_a_later_one(model_type: str):
    torch.manual_seed(0)
    policy = _policy(model_type, "pre", window=3)
    inputs = tiny_inputs(policy.backbone, rows=1, steps=3)
    before = policy.features(inputs)
    assert inputs.hand_images is not None and inputs.state is not None
    changed = inputs.images.clone()
    changed[:, 2] += 1
    after = policy.features(
        replace(inputs, images=changed, hand_images=inputs.hand_images + (changed - inputs.images))
    )
    apart = (after - before).abs().amax(dim=(0, 2, 3))
    assert apart[:2].max() < 1e-5 < 1e-3 < apart[2]


@pytest.mark.parametrize("model_type", CONFIGS)
@pytest.mark.parametrize("history", ["none", "video"])
@torch.no_grad()
def test_everything_seen_reaches_the_action_token(model_type: str, history: str):
    torch.manual_seed(0)
    steps = 1 if history == "none" else 4
    policy = _policy(model_type, history, window=steps)
    inputs = tiny_inputs(policy.backbone, rows=1, steps=steps)
    assert inputs.hand_images is not None and inputs.state is not None
    before = policy.features(inputs)
    pixels = torch.randn_like(inputs.images[:, 0])
    for step in range(steps):
        for name in ("images", "hand_images"):
            seen = getattr(inputs, name).clone()
            seen[:, step] = pixels
            assert (policy.features(replace(inputs, **{name: seen})) - before).abs().max() > 1e-4, (
                name,
                step,
            )
    flipped = inputs.state.clone()
    flipped[..., -1] = 1 - flipped[..., -1]
    for other in (
        replace(inputs, state=flipped),
        replace(inputs, state=inputs.state + torch.tensor([0.1] * 6 + [0.0])),
        replace(inputs, ids=inputs.ids.flip(1)),
    ):
        assert (policy.features(other) - before).abs().max() > 1e-4
