"""Fuses a policy's images, instruction, state and answers into the sequence that its backbone reads.

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
from vla.sequence import ANSWER, CONTEXT, END, IMAGE, EncodedImages, Segment, Sequence, assemble

_STEPWISE = ("images", "valid", "hand_images", "state", "tokens", "hand_tokens", "features")  # (B, W, ...)


@dataclass(frozen=True)
class Inputs:
    """What a policy sees in W steps, oldest first, B rows.

    Where nets are frozen, what they compute from the images may be given in the images' place.
    """

    images: Tensor | None  # (B, W, 3, height, width), preprocessed as the family does
    ids: Tensor  # (B, N) int64, the instruction in the family's tokens, to the end of its prompt
    ids_mask: Tensor  # (B, N) bool: the id is there
    valid: Tensor  # (B, W) bool: the step happened; steps before the episode, on the left, repeat its first
    hand_images: Tensor | None = None  # (B, W, 3, height, width)
    state: Tensor | None = None  # (B, W, pose dims + 1): pose, then the gripper's bit (0 or 1)
    tokens: Tensor | None = None  # (B, W, P, D), `Backbone.encode` of images, of any float type
    hand_tokens: Tensor | None = None  # (B, W, P, D), the same of hand_images
    features: Tensor | None = None  # (B, W, L, D), the output of `VLA.features`: a head needs no more

    def stepwise(self) -> dict[str, Tensor]:
        """Fields that have a value for each step and are not None, (B, W, ...) each, by name."""
        found = {name: getattr(self, name) for name in _STEPWISE}
        return {name: value for name, value in found.items() if value is not None}

    def steps(self, first: int, end: int) -> "Inputs":
        """Select steps `first` to `end` (excluded), counted from the oldest."""
        return replace(self, **{name: value[:, first:end] for name, value in self.stepwise().items()})

    def last(self) -> "Inputs":
        """Select the newest step."""
        return self.steps(self.valid.shape[1] - 1, self.valid.shape[1])

    def as_single_steps(self) -> "Inputs":
        """Reshape (B, W) steps to (B * W, 1)."""
        steps = self.valid.shape[1]
        single = {name: value.flatten(0, 1)[:, None] for name, value in self.stepwise().items()}
        # Steps that did not happen are computed all the same; the head masks them.
        single["valid"] = torch.ones_like(single["valid"])
        ids = self.ids.repeat_interleave(steps, dim=0)
        return replace(self, ids=ids, ids_mask=self.ids_mask.repeat_interleave(steps, dim=0), **single)


def join_steps(steps: list[Inputs], window: int) -> Inputs:
    """Join an episode's last steps, at most `window`, to a window padded on the left with the first."""
    missing = window - len(steps)
    padded = [*(replace(steps[0], valid=torch.zeros_like(steps[0].valid)) for _ in range(missing)), *steps]
    found = [step.stepwise() for step in padded]
    joined = {name: torch.cat([step[name] for step in found], dim=1) for name in found[-1]}
    return replace(steps[-1], **joined)


class StateToken(nn.Module):
    """Embeds pose and gripper bit as a token, (B, S, pose dims + 1) -> (B, S, D)."""

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

    def _image_segments(self, image_tokens: list[tuple[EncodedImages, Tensor]], block: int) -> list[Segment]:
        layout, segments = self.backbone.layout, []
        for image, mask in image_tokens:
            there = mask.any(1)
            segments += self._text(layout.image_start, there, block)
            segments.append(Segment(image.tokens, mask, IMAGE, block, image))
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
        """List the cameras' images in the order of the sequence, (B, W, 3, height, width) each."""
        return self._camera_values(inputs, "images", "hand_images")

    def encoded_images(self, inputs: Inputs) -> list[EncodedImages]:
        """Encode each camera's N = B * W images, or take the tokens that `inputs` has; not for a clip."""
        if inputs.tokens is None:
            return [self.backbone.encode(camera.flatten(0, 1)) for camera in self.cameras(inputs)]
        return [
            EncodedImages(tokens.flatten(0, 1))
            for tokens in self._camera_values(inputs, "tokens", "hand_tokens")
        ]

    def _camera_values(self, inputs: Inputs, static: str, hand: str) -> list[Tensor]:
        found: list[Tensor] = []
        for name in (hand, static) if self.hand_camera else (static,):
            value = getattr(inputs, name)
            if value is None:
                raise ValueError(f"this policy has a camera for Inputs.{name}, which is missing")
            found.append(value.to(self.backbone.dtype))
        return found

    def steps(self, inputs: Inputs, answers: list[Tensor], ended: bool) -> Sequence:
        """Build one sequence of W steps.

        answers: (B, K, D) for each step; the last one is missing where it is still to be generated.
        """
        count = inputs.valid.shape[1]
        cameras = [image.split(count) for image in self.encoded_images(inputs)]
        end = (self.backbone.layout.end,) if ended else ()
        everywhere = torch.ones_like(inputs.valid[:, 0])
        segments = self._text(self.backbone.layout.before, everywhere, block=0)
        for step in range(count):
            valid = inputs.valid[:, step]
            shown = [camera[step] for camera in cameras]
            images = [(image, valid[:, None].expand(image.tokens.shape[:2])) for image in shown]
            segments += self._image_segments(images, step)
            segments += self._words(inputs, step, step)
            if step < len(answers):
                mask = valid[:, None].expand(answers[step].shape[:2])
                segments.append(Segment(answers[step], mask, ANSWER))
        return assemble(segments + self._text(end, everywhere, role=END))

    def clip(self, inputs: Inputs, answers: list[Tensor], ended: bool) -> Sequence:
        """Build a sequence of W frames as one clip, with instruction, state and answer of the last step."""
        end = (self.backbone.layout.end,) if ended else ()
        everywhere = torch.ones_like(inputs.valid[:, 0])
        segments = self._text(self.backbone.layout.before, everywhere, block=0)
        for camera in self.cameras(inputs):
            segments += self._image_segments(self.backbone.encode_clip(camera, inputs.valid), block=0)
        segments += self._words(inputs, -1, block=0)
        segments += [Segment(a, everywhere[:, None].expand(a.shape[:2]), ANSWER) for a in answers]
        return assemble(segments + self._text(end, everywhere, role=END))
