"""Turns questions into tensors: prompts, answers, masks and soft targets of a batch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from training.recipes.questions import GroundingQuestion
from vla.backbones.paligemma import prompt_ids
from vla.backbones.tokenizer import EOS, LOC_COUNT, PAD, loc_token

MAX_PROMPT = 5  # bos, three words, newline
MAX_ANSWER = 10
HIDDEN = -1e4  # added to attention scores that the softmax shall drop


@dataclass
class QuestionBatch:
    """N questions. L is the longest possible prompt plus answer, A = MAX_ANSWER."""

    ids: Tensor  # (N, L) prompt + answer + pad
    mask: Tensor  # (N, 1, L, L) bfloat16 added to attention scores: bidirectional prompt, causal answer
    answer_at: Tensor  # (N, A) position whose output predicts answer token i
    answer: Tensor  # (N, A) token ids, -100 where there is none
    location: Tensor  # (N, A) coordinate in [0, 1] of a location token, -1 elsewhere


class QuestionEncoder:
    """Turns questions into batches for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, image_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.image_tokens = image_tokens
        self.length = image_tokens + MAX_PROMPT + MAX_ANSWER  # always the same: no recompilation
        first_location = tokenizer.token_to_id(loc_token(0))
        assert first_location is not None, "the tokenizer has no location tokens"
        self.first_location = first_location
        self._prompts: dict[str, list[int]] = {}
        self._words: dict[str, list[int]] = {}

    def prompt(self, text: str) -> list[int]:
        """Tokenize a prompt, image tokens included."""
        if text not in self._prompts:
            self._prompts[text] = prompt_ids(self.tokenizer, text, self.image_tokens)
        return self._prompts[text]

    def words(self, text: str) -> list[int]:
        """Tokenize the words of an answer."""
        if text not in self._words:
            self._words[text] = self.tokenizer.encode(text).ids
        return self._words[text]

    def batch(self, questions: list[GroundingQuestion]) -> QuestionBatch:
        """Make a batch of N questions."""
        rows = [self._row(q) for q in questions]
        n, longest = len(rows), self.length
        ids = np.full((n, longest), PAD)
        allowed = np.zeros((n, longest, longest), bool)
        answer_at = np.zeros((n, MAX_ANSWER), np.int64)
        answer = np.full((n, MAX_ANSWER), -100)
        location = np.full((n, MAX_ANSWER), -1, np.float32)
        causal = np.tri(longest, dtype=bool)
        for i, (p, a, box) in enumerate(rows):
            ids[i, : len(p) + len(a)] = p + a
            allowed[i] = causal
            allowed[i, : len(p), : len(p)] = True
            answer_at[i, : len(a)] = np.arange(len(p) - 1, len(p) + len(a) - 1)
            answer[i, : len(a)] = a
            if box is not None:
                location[i, :4] = box
        t = torch.from_numpy
        mask = torch.zeros(allowed.shape, dtype=torch.bfloat16).masked_fill_(~t(allowed), HIDDEN)
        return QuestionBatch(t(ids), mask[:, None], t(answer_at), t(answer), t(location))

    def _row(self, q: GroundingQuestion) -> tuple[list[int], list[int], NDArray[np.float32] | None]:
        locations: list[int] = []
        if q.box is not None:
            bins = np.clip(np.rint(q.box * (LOC_COUNT - 1)), 0, LOC_COUNT - 1).astype(int)
            locations = [self.first_location + int(b) for b in bins]
        return self.prompt(q.prompt), locations + self.words(q.words) + [EOS], q.box
