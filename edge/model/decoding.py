"""Decoding: which tokens a model may generate after image and prompt, and when its text has ended.

Logits (V,) are those of the next token.
"""

from dataclasses import dataclass

import numpy as np

from edge.model.generation import Generation
from edge.model.token_rules import Logits, ruled
from edge.model.tokenizer import LOC_COUNT, FamilyTokenizer, GroundingTokenizer

NEAR_BINS = 16  # bins to each side that count as the same coordinate: 1/64 of the image
CAPTION_TOKENS = 8  # tokens of a plain sentence if the caller gives no limit
_COORDINATES = 4  # y0, x0, y1, x1


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A model's text with its confidence. `cut`: it stopped at the token limit, before its end token."""

    text: str
    confidence: float  # [0, 1]
    cut: bool = False


class ConstrainedDecoder:
    """Decodes a PaliGemma of few words: a box, `none`, or plain words, and nothing else."""

    def __init__(self, tokenizer: GroundingTokenizer) -> None:
        self._tokenizer = tokenizer
        self.any_token = tokenizer.first_loc  # for warming up: one that may be generated

    def decode_box(self, logits: Logits, generation: Generation, label: str) -> DecodedText:
        """Return the text `none`, or four location tokens and `label`, which costs no engine call.

        `none` wins if it is more probable than all location tokens together; each coordinate is its most
        probable bin. The confidence of a box is the probability that the first token is a location, times the
        share of the probability that lies within +-NEAR_BINS of the chosen bins, averaged over the four; that
        of `none` is its probability.
        """
        first, last = self._tokenizer.first_loc, self._tokenizer.first_loc + LOC_COUNT
        allowed = softmax(np.append(logits[first:last], logits[self._tokenizer.none]))
        none = float(allowed[-1])
        if none > 0.5:
            return DecodedText("none", none)
        bins: list[int] = []
        near = 0.0
        for step in range(_COORDINATES):
            probability = softmax(logits[first:last])
            chosen = int(probability.argmax())
            around = probability[max(chosen - NEAR_BINS, 0) : chosen + NEAR_BINS + 1]
            near += float(around.sum()) / _COORDINATES
            bins.append(chosen)
            if step < _COORDINATES - 1:
                logits = generation.decode(first + chosen)
        text = "".join(f"<loc{chosen:04d}>" for chosen in bins) + " " + label
        return DecodedText(text, min(1.0, (1 - none) * near))

    def decode_words(self, logits: Logits, generation: Generation, max_tokens: int | None) -> DecodedText:
        """Plain words, greedily, at most CAPTION_TOKENS tokens if `max_tokens` is None.

        The confidence is the geometric mean of the tokens' probabilities among words and the end.
        """
        allowed = np.append(self._tokenizer.word_ids, self._tokenizer.eos)
        ids: list[int] = []
        log_probability = 0.0
        limit = CAPTION_TOKENS if max_tokens is None else max_tokens
        for _ in range(min(limit, generation.free_slots)):
            probability = softmax(logits[allowed])
            token = int(allowed[probability.argmax()])
            log_probability += float(np.log(probability.max()))
            ids.append(token)
            if token == self._tokenizer.eos:
                break
            logits = generation.decode(token)
        confidence = float(np.exp(log_probability / max(len(ids), 1)))
        return DecodedText(self._tokenizer.decode(ids), confidence)


class GreedyDecoder:
    """Decodes a model of any family: the most probable of the tokens that its bundle's rules leave.

    The confidence is the geometric mean of the probabilities of the tokens, the end included.
    """

    def __init__(self, tokenizer: FamilyTokenizer) -> None:
        self._tokenizer, self._spec = tokenizer, tokenizer.spec
        self.any_token = tokenizer.spec.end_ids[0]  # for warming up: one that may be generated

    def decode_box(self, logits: Logits, generation: Generation, label: str) -> DecodedText:
        """Return the model's text about a target, as `edge.parsing` reads the family.

        `label` is the operator's word for the target, which the model is not held to.
        """
        ids, confidence, cut = self._decode(logits, generation, self._spec.max_tokens)
        return DecodedText(self._spec.prefix + self._tokenizer.decode(ids), confidence, cut)

    def decode_words(self, logits: Logits, generation: Generation, max_tokens: int | None) -> DecodedText:
        """Words for people, at most as many tokens as the bundle allows."""
        limit = self._spec.max_tokens if max_tokens is None else min(max_tokens, self._spec.max_tokens)
        ids, confidence, cut = self._decode(logits, generation, limit)
        return DecodedText(self._tokenizer.plain(ids), confidence, cut)

    def _decode(self, logits: Logits, generation: Generation, limit: int) -> tuple[list[int], float, bool]:
        """Ids without the end, the confidence, and whether the limit or the cache's end cut it off."""
        ids: list[int] = []
        log_probability = 0.0
        before = [] if self._spec.rules is None else self._tokenizer.context_ids(generation.prompt)
        while True:
            logits = ruled(logits, [*before, *ids], len(before), self._spec)
            token = int(logits.argmax())
            log_probability -= float(np.log(np.exp((logits - logits[token]).astype(np.float64)).sum()))
            if token in self._spec.end_ids:
                return ids, float(np.exp(log_probability / (len(ids) + 1))), False
            ids.append(token)
            if len(ids) == limit or generation.free_slots == 0:
                return ids, float(np.exp(log_probability / len(ids))), True
            logits = generation.decode(token)


def softmax(logits: Logits) -> Logits:
    """Probabilities (n,) of logits (n,)."""
    scaled = np.exp(logits - logits.max())
    return scaled / scaled.sum()
