"""The net in training, and its scores on held-out images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.commands.output import share
from edge.goals.words import COLOURS, KINDS
from edge.records import Box
from training.recipes.batches import QuestionBatch, QuestionEncoder
from training.recipes.grounding_loss import DenseHead
from training.recipes.questions import GroundingQuestion, find
from vla.backbones.paligemma import TinyConfig, build_paligemma
from vla.backbones.tokenizer import LOC_COUNT


class Grounder(nn.Module):
    """The net and the dense head, which only training uses."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.model = build_paligemma(config)
        self.dense = DenseHead(config.vision_width, config.grid)

    def vision(self, pixels: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [-1, 1] as (B, P, D)."""
        return self.model.model.vision_tower(pixels).last_hidden_state

    def answer(self, features: Tensor, batch: QuestionBatch) -> Tensor:
        """Answer N = B * q questions, in the order of the images: logits (N, A, V) from (B, P, D)."""
        core = self.model.model
        image = core.multi_modal_projector(features)
        image = image.repeat_interleave(len(batch.ids) // len(features), 0)
        patches = image.shape[1]
        words = core.get_input_embeddings()(batch.ids[:, patches:])
        embeds = torch.cat([image.to(words.dtype), words], 1)
        hidden = core.language_model(inputs_embeds=embeds, attention_mask=batch.mask).last_hidden_state
        at = batch.answer_at[..., None].expand(-1, -1, hidden.shape[-1])
        return self.model.lm_head(torch.gather(hidden, 1, at))


@torch.no_grad()
def greedy_boxes(
    net: Grounder, encoder: QuestionEncoder, pixels: Tensor, questions: list[GroundingQuestion]
) -> list[NDArray[np.float64] | None]:
    """Answer one question per image, greedily and constrained: boxes (4,) in [0, 1]; None: not there."""
    features = net.vision(pixels)
    first, none = encoder.first_location, encoder.words("none")[0]
    ids: list[list[int]] = [[] for _ in questions]
    absent = np.zeros(len(questions), bool)
    for step in range(4):
        batch = encoder.batch([GroundingQuestion(q.prompt, "none") for q in questions])
        if step:
            batch = _extend(encoder, questions, ids)
        logits = net.answer(features, batch)[:, step].float()
        if step == 0:
            # The runtime decides alike: "none" against all location tokens together.
            absent = (logits[:, none] > logits[:, first : first + LOC_COUNT].logsumexp(-1)).numpy()
        best = logits[:, first : first + LOC_COUNT].argmax(-1)
        for row, b in zip(ids, best.tolist(), strict=True):
            row.append(b)
    boxes = [np.array(row) / (LOC_COUNT - 1) for row in ids]
    return [None if gone else box for gone, box in zip(absent, boxes, strict=True)]


def _extend(
    encoder: QuestionEncoder, questions: list[GroundingQuestion], ids: list[list[int]]
) -> QuestionBatch:
    boxes = [(np.array((row + [0] * 4)[:4]) / (LOC_COUNT - 1)).astype(np.float32) for row in ids]
    return encoder.batch([GroundingQuestion(q.prompt, "", b) for q, b in zip(questions, boxes, strict=True)])


def validate(
    net: Grounder,
    encoder: QuestionEncoder,
    images: NDArray[np.uint8],
    objects: NDArray[np.float32],
    count: int = 300,
) -> dict[str, float | None]:
    """Score answers on `count` images.

    `found`: share of clear objects found with IoU > 0.5; `found_10px`: of those with a short side >= 10 px;
    `false`: share of absent targets that were "found". None where there were none of them.
    """
    net.eval()
    rng = np.random.default_rng(7)
    hits: list[bool] = []
    large: list[bool] = []
    wrong: list[bool] = []
    height, width = images.shape[1:3]
    for start in range(0, min(count, len(images)), 50):
        at = slice(start, start + 50)
        pixels = torch.from_numpy(np.array(images[at])).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        questions: list[GroundingQuestion] = []
        for rows in objects[at]:
            rows = rows[rows[:, 0] >= 0]
            positive = [q for r in rows if (q := find(rows, int(r[0]), int(r[1]))) and q.box is not None]
            negative = [
                q
                for k in range(len(KINDS))
                for c in range(len(COLOURS))
                if (q := find(rows, k, c)) and q.box is None and (k in rows[:, 0] or c in rows[:, 1])
            ] or [GroundingQuestion("detect red cup", "none")]
            pool = positive if positive and rng.uniform() < 0.65 else negative
            questions.append(pool[int(rng.integers(len(pool)))])
        for q, box in zip(questions, greedy_boxes(net, encoder, pixels, questions), strict=True):
            if q.box is None:
                wrong.append(box is not None)
                continue
            hit = box is not None and Box(*box).iou(Box(*q.box)) > 0.5
            hits.append(hit)
            if min((q.box[2] - q.box[0]) * height, (q.box[3] - q.box[1]) * width) >= 10:
                large.append(hit)
    return {
        "found": share(hits),
        "found_10px": share(large),
        "false": share(wrong),
    }
