"""Torch modules with static shapes for the graphs of a policy of actions, on any family's backbone.

`edge/model/actions.py` describes inputs and outputs, `vla/fusion.py` which tokens stand where.
"""

import torch
from torch import Tensor, nn

from export.graphs.family import (
    GraphSource,
    Prefill,
    extra_of,
    prefill_inputs,
    reader_of,
    vision_source,
    with_decode,
)
from export.graphs.reader import Reader, Slots, StaticCache
from vla.heads import FCHead, GPTHead, Head, LSTMHead
from vla.model import VLA


class Context(Prefill):
    """Image, prompt and state, and free slots for the tokens after them.

    Slots: `[before] [image] [after words end] [state] [appended]`, then padding. The prompt's length moves
    what follows it, so that the sequence is unbroken.
    """

    def __init__(self, policy: VLA, reader: Reader, before: tuple[int, ...]) -> None:
        super().__init__(reader, before)
        self.state = policy.state

    def place_with_state(
        self, image_features: Tensor, ids: Tensor, length: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Put the context's tokens into all its slots, (1, slots, D), and the slot after it, (1,)."""
        placed, end = self.place(image_features, ids), self.end(length)
        if self.state is None or state is None:
            return placed, end
        at = (torch.arange(placed.shape[1]) == end)[:, None]
        token = self.state(nn.functional.pad(state, (0, 1)))  # a base has no gripper: its bit is 0
        return torch.where(at, token[:, None], placed), end + 1


class Features(Context):
    """Context -> features (1, F): the states at the action tokens, as the head gathers them."""

    def __init__(self, policy: VLA, reader: Reader, before: tuple[int, ...]) -> None:
        super().__init__(policy, reader, before)
        assert policy.head is not None
        self.action_token = policy.action_token
        self.count = policy.config.action_tokens
        self.pool = policy.head.pool

    def forward(
        self,
        image_features: Tensor,
        ids: Tensor,
        length: Tensor,
        state: Tensor | None = None,
        deep: Tensor | None = None,
    ) -> Tensor:
        context, end = self.place_with_state(image_features, ids, length, state)
        slots = torch.arange(context.shape[1])
        ours = ((slots >= end) & (slots < end + self.count))[:, None]
        context = torch.where(ours, self.action_token, context)
        # The family's end token follows, and none of them sees it.
        extra = extra_of(image_features=image_features, deep=deep)
        found = self.reader.read(context, end + self.count, self.count, StaticCache(), extra)
        return found.mean(1) if self.pool else found.flatten(1)


class FirstToken(Context):
    """Context -> logits (1, V) of the first token, and the inputs of decode."""

    def forward(
        self,
        image_features: Tensor,
        ids: Tensor,
        length: Tensor,
        state: Tensor | None = None,
        deep: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        context, end = self.place_with_state(image_features, ids, length, state)
        return self.answer(context, end, extra_of(image_features=image_features, deep=deep))


class FCActions(nn.Module):
    """features (1, F) -> actions (1, T, A)."""

    def __init__(self, head: FCHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head.run(features[:, None])[:, 0]


class LSTMStep(nn.Module):
    """features (1, F), h, c -> actions (1, T, A), h, c."""

    def __init__(self, head: LSTMHead) -> None:
        super().__init__()
        self.net, self.output = head.net, head.output

    def forward(self, features: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden, (h, c) = self.net(features[:, None], (h, c))
        return self.output(hidden[:, -1]), h, c


class WindowActions(nn.Module):
    """features (1, W, F), oldest first -> actions (1, T, A) of the last step."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head.run(features)[:, -1]


class CountedWindowActions(nn.Module):
    """features (1, W, F), the first `count` (1,) of them valid -> actions (1, T, A) of the last valid one.

    The head is causal, so what stands after it changes nothing.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, count: Tensor) -> Tensor:
        return self.head.run(features).index_select(1, count - 1)[:, 0]


def policy_sources(policy: VLA, height: int, width: int, prompt: int) -> dict[str, GraphSource]:
    """Build the graphs of a policy, by stage, for images of one size in pixels.

    At most `prompt` tokens follow the image. The policy must be in evaluation mode and fp32; a discrete one's
    tied LM head is untied in place. Raises UsageError if the backbone has no room for so many tokens.
    """
    config, backbone = policy.config, policy.backbone
    seen = vision_source(backbone, height, width)
    layout = backbone.layout
    before = (*layout.before, *layout.image_start, *((backbone.image_id,) if not seen.slots else ()))
    has_state = bool(config.state_pose_dims)
    tokens = config.head.horizon * config.head.action_dims if config.discrete else 0
    appended = has_state + (0 if config.discrete else config.action_tokens)
    reader = reader_of(backbone, Slots(len(before), seen.slots, prompt, appended, tokens), seen.picture)
    inputs = prefill_inputs(seen, prompt)
    if has_state:
        inputs["state"] = torch.randn(1, config.state_pose_dims)
    if policy.head is None:
        prefill = GraphSource(FirstToken(policy, reader, before), inputs, ["logits", "position", "cache"])
        return {"vision": seen.source, **with_decode(prefill, reader, seen)}
    prefill = GraphSource(Features(policy, reader, before), inputs, ["features"])
    return {"vision": seen.source, "prefill": prefill, **head_sources(policy.head, config.window)}


def head_sources(head: Head, window: int) -> dict[str, GraphSource]:
    """Build the graphs of a continuous head that sees `window` steps, by stage."""
    features, recent = torch.randn(1, head.inputs), torch.randn(1, window, head.inputs)
    if isinstance(head, FCHead):
        return {"head": GraphSource(FCActions(head), {"features": features}, ["actions"])}
    if isinstance(head, LSTMHead):
        # Two tensors: one given twice would be exported as one input.
        h, c = (torch.zeros(head.net.num_layers, 1, head.net.hidden_size) for _ in range(2))
        carried = {"features": features, "h": h, "c": c}
        return {
            "head": GraphSource(LSTMStep(head), carried, ["actions", "h_next", "c_next"]),
            "window": GraphSource(WindowActions(head), {"features": recent}, ["actions"]),
        }
    assert isinstance(head, GPTHead)
    count = {"features": recent, "count": torch.tensor([1])}
    return {"window": GraphSource(CountedWindowActions(head), count, ["actions"])}
