"""The graphs of a policy on a PaliGemma that says actions, as torch modules with static shapes.

What goes in and out is described in `edge/action_model.py`; which tokens stand where, in `vla/fusion.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from export.graphs import Cache, Decode, Sizes, Vision, decode_layers, to_onnx
from vla.fusion import StateToken
from vla.heads import FCHead, GPTHead, Head, LSTMHead
from vla.model import VLA


class Context(nn.Module):
    """Image, prompt and state, which see each other both ways, with free slots for what is said after them.

    Slots: `[image] * N [bos words newline] [state] [said] * K`, then padding. The prompt's length moves what
    follows it, so that the sequence is unbroken and positions are slots.
    """

    def __init__(self, policy: VLA, sizes: Sizes) -> None:
        super().__init__()
        self.text: Any = policy.backbone.model.model.language_model
        self.state: StateToken | None = policy.state
        self.sizes = sizes

    def place(self, image_features: Tensor, ids: Tensor, length: Tensor, state: Tensor | None) -> Tensor:
        """The context's tokens in all its slots, (1, slots, D)."""
        hidden = torch.cat([image_features, self.text.embed_tokens(ids)], dim=1)
        hidden = nn.functional.pad(hidden, (0, 0, 0, self.sizes.answer))
        if self.state is None or state is None:
            return hidden
        at = (torch.arange(hidden.shape[1]) == length + self.sizes.image)[:, None]
        token = self.state(nn.functional.pad(state, (0, 1)))  # a base has no gripper: its bit is 0
        return torch.where(at, token[:, None], hidden)

    def end(self, length: Tensor) -> Tensor:
        """The slot after the context, (1,)."""
        return length + self.sizes.image + (self.state is not None)

    def features(self, hidden: Tensor, end: Tensor, cache: Cache, said: int = 0) -> Tensor:
        """States (1, slots, D) before the last norm: the context sees itself, the `said` tokens what came
        before them and themselves, padding what the last of them sees; nobody sees padding."""
        slots = torch.arange(hidden.shape[1])
        until = torch.maximum(end, torch.minimum(slots + 1, end + said))
        visible = slots[None] < until[:, None]
        return decode_layers(self.text, hidden, visible, slots + 1, cache)


class Features(Context):
    """-> features (1, F): the states at the action tokens, as the head gathers them."""

    def __init__(self, policy: VLA, sizes: Sizes) -> None:
        super().__init__(policy, sizes)
        assert policy.head is not None
        self.action_token = policy.action_token
        self.count = policy.config.action_tokens
        self.pool = policy.head.pool

    def forward(
        self, image_features: Tensor, ids: Tensor, length: Tensor, state: Tensor | None = None
    ) -> Tensor:
        hidden = self.place(image_features, ids, length, state)
        end, slots = self.end(length), torch.arange(hidden.shape[1])
        ours = ((slots >= end) & (slots < end + self.count))[:, None]
        hidden = torch.where(ours, self.action_token, hidden)
        hidden = self.features(hidden, end, Cache(), self.count)
        # The family's end token follows, and is seen by none of them.
        found = self.text.norm(hidden.index_select(1, end + torch.arange(self.count)))
        return found.mean(1) if self.pool else found.flatten(1)


class FirstToken(Context):
    """-> logits (1, V) of the first token, cache."""

    def __init__(self, policy: VLA, sizes: Sizes) -> None:
        super().__init__(policy, sizes)
        self.head = policy.backbone.model.lm_head

    def forward(
        self, image_features: Tensor, ids: Tensor, length: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        hidden = self.place(image_features, ids, length, state)
        end, cache = self.end(length), Cache()
        hidden = self.features(hidden, end, cache)
        last = self.text.norm(hidden.index_select(1, end - 1))
        return self.head(last)[:, 0], torch.stack(cache.layers)


class Stateless(nn.Module):
    """features (1, F) -> actions (1, T, A)."""

    def __init__(self, head: FCHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head.run(features[:, None])[:, 0]


class Carried(nn.Module):
    """features (1, F), h, c -> actions (1, T, A), h, c."""

    def __init__(self, head: LSTMHead) -> None:
        super().__init__()
        self.net, self.output = head.net, head.output

    def forward(self, features: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden, (h, c) = self.net(features[:, None], (h, c))
        return self.output(hidden[:, -1]), h, c


class OverWindow(nn.Module):
    """features (1, W, F), oldest first -> actions (1, T, A) of the last step."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head.run(features)[:, -1]


class OverCount(nn.Module):
    """features (1, W, F), the first `count` (1,) of them valid -> actions (1, T, A) of the last valid one.

    The head is causal, so what stands after it changes nothing.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, count: Tensor) -> Tensor:
        return self.head.run(features).index_select(1, count - 1)[:, 0]


def export_policy_graphs(policy: VLA, image: tuple[int, int], prompt: int) -> dict[str, bytes]:
    """ONNX files by role. `image` is (height, width) in pixels, `prompt` the most tokens of a prompt.

    The policy must be in evaluation mode and fp32; a discrete one's tied LM head is untied in place.
    """
    config, model = policy.config, policy.backbone.model
    model.set_attn_implementation("eager")  # its masks are plain sums
    vision = Vision(model)
    pixels = torch.randn(1, 3, *image)
    with torch.inference_mode():
        tokens = vision(pixels).shape[1]
    said = config.head.horizon * config.head.action_dims if config.discrete else config.action_tokens
    sizes = Sizes(tokens, prompt, said + bool(config.state_pose_dims))
    graphs = {"vision": to_onnx(vision, {"pixel_values": pixels}, ["image_features"])}
    question = {
        "image_features": torch.randn(1, tokens, policy.backbone.width),
        "ids": torch.arange(5, 5 + prompt)[None],
        "length": torch.tensor([prompt - 1]),
    }
    if config.state_pose_dims:
        question["state"] = torch.randn(1, config.state_pose_dims)
    if policy.head is not None:
        graphs["prefill"] = to_onnx(Features(policy, sizes), question, ["features"])
        return graphs | _head_graphs(policy.head, config.window)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    graphs["prefill"] = to_onnx(FirstToken(policy, sizes), question, ["logits", "cache"])
    text: Any = model.config.text_config
    shape = (2 * text.num_hidden_layers, 1, text.num_key_value_heads, sizes.slots, text.head_dim)
    step = {"token": torch.tensor([[7]]), "position": torch.tensor([tokens + 3]), "past": torch.randn(shape)}
    graphs["decode"] = to_onnx(Decode(model), step, ["logits", "cache"])
    return graphs


def _head_graphs(head: Head, window: int) -> dict[str, bytes]:
    features, recent = torch.randn(1, head.inputs), torch.randn(1, window, head.inputs)
    if isinstance(head, FCHead):
        return {"head": to_onnx(Stateless(head), {"features": features}, ["actions"])}
    if isinstance(head, LSTMHead):
        # Two tensors: one given twice would be exported as one input.
        h, c = (torch.zeros(head.net.num_layers, 1, head.net.hidden_size) for _ in range(2))
        carried = {"features": features, "h": h, "c": c}
        return {
            "head": to_onnx(Carried(head), carried, ["actions", "h_next", "c_next"]),
            "window": to_onnx(OverWindow(head), {"features": recent}, ["actions"]),
        }
    assert isinstance(head, GPTHead)
    count = {"features": recent, "count": torch.tensor([1])}
    return {"window": to_onnx(OverCount(head), count, ["actions"])}
