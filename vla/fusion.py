"""Images, instruction, state and answers of a policy, fused into the sequence that its backbone reads.

One step is `[before] [hand camera] [static camera] [after] [instruction] [state] [answer] [end]`. `before`
and `after` are the family's own ids (PaliGemma's bos stands after the images), and images stand between its
image markers. A window in one sequence ("pre") is such steps one after the other, `before` and `end` once;
each repeats the instruction, so that a step reads the same wherever it stands. A clip ("video") is one step
whose cameras show all frames.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vla.backbones.backbone import Backbone
from vla.sequence import ANSWER, CONTEXT, END, IMAGE, ImageTokens, Segment, Sequence, assemble

_STEPWISE = ("images", "valid", "hand_images", "state", "tokens", "hand_tokens", "features")  # (B, W, ...)


@dataclass(frozen=True)
class Inputs:
    """What a policy sees in W steps, oldest first, B rows.

    What frozen nets make of the images may be computed beforehand, and then stands in their place.
    """

    images: Tensor | None  # (B, W, 3, height, width), preprocessed as the family does
    ids: Tensor  # (B, N) int64, the instruction in the family's tokens, with what its prompt ends in
    ids_mask: Tensor  # (B, N) bool: the id is there
    valid: Tensor  # (B, W) bool: the step happened; steps before the episode repeat its first on the left
    hand_images: Tensor | None = None  # (B, W, 3, height, width)
    state: Tensor | None = None  # (B, W, pose dims + 1): pose, then the gripper's bit (0 or 1)
    tokens: Tensor | None = None  # (B, W, P, D), `Backbone.encode` of images, of any float type
    hand_tokens: Tensor | None = None  # (B, W, P, D), the same of hand_images
    features: Tensor | None = None  # (B, W, L, D), what `VLA.features` gives: a head needs no more

    def stepwise(self) -> dict[str, Tensor]:
        """What there is a value of for each step, (B, W, ...) each, by the field's name."""
        found = {name: getattr(self, name) for name in _STEPWISE}
        return {name: value for name, value in found.items() if value is not None}

    def steps(self, first: int, end: int) -> "Inputs":
        """Steps `first` to `end` (excluded), counted from the oldest."""
        return replace(self, **{name: value[:, first:end] for name, value in self.stepwise().items()})

    def last(self) -> "Inputs":
        """The newest step."""
        return self.steps(self.valid.shape[1] - 1, self.valid.shape[1])

    def as_single_steps(self) -> "Inputs":
        """(B, W) steps as (B * W, 1)."""
        steps = self.valid.shape[1]
        single = {name: value.flatten(0, 1)[:, None] for name, value in self.stepwise().items()}
        # Steps that did not happen are computed all the same, and masked by the head.
        single["valid"] = torch.ones_like(single["valid"])
        ids = self.ids.repeat_interleave(steps, dim=0)
        return replace(self, ids=ids, ids_mask=self.ids_mask.repeat_interleave(steps, dim=0), **single)


def join_steps(steps: list[Inputs], window: int) -> Inputs:
    """Single steps of an episode so far, at most `window`, to a window padded on the left with the first."""
    missing = window - len(steps)
    padded = [*(replace(steps[0], valid=torch.zeros_like(steps[0].valid)) for _ in range(missing)), *steps]
    found = [step.stepwise() for step in padded]
    joined = {name: torch.cat([step[name] for step in found], dim=1) for name in found[-1]}
    return replace(steps[-1], **joined)


class StateToken(nn.Module):
    """Pose and gripper bit, (B, S, pose dims + 1) -> (B, S, D)."""

    def __init__(self, pose_dims: int, width: int) -> None:
        super().__init__()
        self.pose = nn.Linear(pose_dims, width)
        self.gripper = nn.Embedding(2, width)
        self.project = nn.Linear(2 * width, width)

    def forward(self, state: Tensor) -> Tensor:
        bit = self.gripper((state[..., -1] > 0.5).long())
        return self.project(torch.cat([self.pose(state[..., :-1]), bit], dim=-1))


class Fusion:
    """Builds sequences for one backbone. `state` is None for a policy without a state token."""

    def __init__(self, backbone: Backbone, state: StateToken | None, hand_camera: bool) -> None:
        self.backbone = backbone
        self.state = state
        self.hand_camera = hand_camera

    def _text(
        self, ids: tuple[int, ...], valid: Tensor, block: int = -1, role: int = CONTEXT
    ) -> list[Segment]:
        if not ids:
            return []
        rows = torch.tensor([ids], device=valid.device).expand(len(valid), -1)
        return [Segment(self.backbone.embed(rows), valid[:, None].expand(rows.shape), role, block)]

    def _pictures(self, pictures: list[tuple[ImageTokens, Tensor]], block: int) -> list[Segment]:
        layout, segments = self.backbone.layout, []
        for picture, mask in pictures:
            there = mask.any(1)
            segments += self._text(layout.image_start, there, block)
            segments.append(Segment(picture.tokens, mask, IMAGE, block, picture))
            segments += self._text(layout.image_end, there, block)
        return segments

    def _words(self, inputs: Inputs, step: int, block: int) -> list[Segment]:
        valid = inputs.valid[:, step]
        words = self.backbone.embed(inputs.ids)
        segments = self._text(self.backbone.layout.after, valid, block)
        segments.append(Segment(words, inputs.ids_mask & valid[:, None], block=block))
        if self.state is not None:
            if inputs.state is None:
                raise ValueError("this policy has a state token, but Inputs.state is missing")
            token = self.state(inputs.state[:, step])[:, None].to(words.dtype)
            segments.append(Segment(token, valid[:, None], block=block))
        return segments

    def cameras(self, inputs: Inputs) -> list[Tensor]:
        """The cameras' frames in the order of the sequence, (B, W, 3, height, width) each."""
        return self._seen(inputs, "images", "hand_images")

    def pictures(self, inputs: Inputs) -> list[ImageTokens]:
        """What the backbone makes of them, N = B * W images each; of no use for a clip."""
        if inputs.tokens is None:
            return [self.backbone.encode(camera.flatten(0, 1)) for camera in self.cameras(inputs)]
        return [ImageTokens(tokens.flatten(0, 1)) for tokens in self._seen(inputs, "tokens", "hand_tokens")]

    def _seen(self, inputs: Inputs, static: str, hand: str) -> list[Tensor]:
        found: list[Tensor] = []
        for name in (hand, static) if self.hand_camera else (static,):
            value = getattr(inputs, name)
            if value is None:
                raise ValueError(f"this policy has such a camera, but Inputs.{name} is missing")
            found.append(value.to(self.backbone.dtype))
        return found

    def steps(self, inputs: Inputs, answers: list[Tensor], ended: bool) -> Sequence:
        """W steps in one sequence. answers: (B, K, D) of each step; the last may be left to generate."""
        count = inputs.valid.shape[1]
        cameras = [picture.split(count) for picture in self.pictures(inputs)]
        end = (self.backbone.layout.end,) if ended else ()
        everywhere = torch.ones_like(inputs.valid[:, 0])
        segments = self._text(self.backbone.layout.before, everywhere, block=0)
        for step in range(count):
            valid = inputs.valid[:, step]
            shown = [camera[step] for camera in cameras]
            segments += self._pictures([(p, valid[:, None].expand(p.tokens.shape[:2])) for p in shown], step)
            segments += self._words(inputs, step, step)
            if step < len(answers):
                mask = valid[:, None].expand(answers[step].shape[:2])
                segments.append(Segment(answers[step], mask, ANSWER))
        return assemble(segments + self._text(end, everywhere, role=END))

    def clip(self, inputs: Inputs, answers: list[Tensor], ended: bool) -> Sequence:
        """W frames as one clip, the words and state of the last step, and its answer if there is one."""
        end = (self.backbone.layout.end,) if ended else ()
        everywhere = torch.ones_like(inputs.valid[:, 0])
        segments = self._text(self.backbone.layout.before, everywhere, block=0)
        for camera in self.cameras(inputs):
            segments += self._pictures(self.backbone.encode_clip(camera, inputs.valid), block=0)
        segments += self._words(inputs, -1, block=0)
        segments += [Segment(a, everywhere[:, None].expand(a.shape[:2]), ANSWER) for a in answers]
        return assemble(segments + self._text(end, everywhere, role=END))
