"""What a model says once it has read image and prompt: which tokens it may say, and when it has done.

Logits (V,) are of the next token.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.model.token_rules import Logits, ruled
from edge.model.tokenizer import LOC_COUNT, OpenText, Text

NEAR_BINS = 16  # bins that count as the same place: 1/64 of the image to each side
WORDS = 8  # tokens of a plain sentence, where nobody says how many
_COORDINATES = 4  # y0, x0, y1, x1


class Answering(Protocol):
    """An answer in the making."""

    @property
    def prompt(self) -> str:
        """What was asked."""
        ...

    @property
    def room(self) -> int:
        """How many tokens the cache still takes."""
        ...

    def step(self, token: int) -> Logits:
        """Says one token; the logits of the next."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `cut`: it went on, and nobody knows how."""

    text: str
    confidence: float  # [0, 1]
    cut: bool = False


class Constrained:
    """A PaliGemma of few words: it says a box, `none`, or plain words, and can say nothing else."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self.any_token = text.first_loc  # one that may be said

    def boxes(self, logits: Logits, answer: Answering, label: str) -> Said:
        """The text is `none`, or four places and `label`, which costs no engine call. `none` wins when it is
        more probable than all places together; each coordinate is its most probable bin. Confidence of a box
        is the probability of "a place" at the first token, times the share of the probability that lies
        within +-NEAR_BINS of the chosen bins, averaged over the four; that of `none` is its probability.
        """
        first, last = self._text.first_loc, self._text.first_loc + LOC_COUNT
        allowed = softmax(np.append(logits[first:last], logits[self._text.none]))
        none = float(allowed[-1])
        if none > 0.5:
            return Said("none", none)
        bins: list[int] = []
        near = 0.0
        for step in range(_COORDINATES):
            places = softmax(logits[first:last])
            chosen = int(places.argmax())
            near += float(places[max(chosen - NEAR_BINS, 0) : chosen + NEAR_BINS + 1].sum()) / _COORDINATES
            bins.append(chosen)
            if step < _COORDINATES - 1:
                logits = answer.step(first + chosen)
        text = "".join(f"<loc{place:04d}>" for place in bins) + " " + label
        return Said(text, min(1.0, (1 - none) * near))

    def words(self, logits: Logits, answer: Answering, max_tokens: int | None) -> Said:
        """Plain words, greedily, at most WORDS tokens if `max_tokens` is None. Confidence is the geometric
        mean of the tokens' probabilities among words and the end."""
        allowed = np.append(self._text.words, self._text.eos)
        said: list[int] = []
        log_probability = 0.0
        for _ in range(min(WORDS if max_tokens is None else max_tokens, answer.room)):
            probability = softmax(logits[allowed])
            token = int(allowed[probability.argmax()])
            log_probability += float(np.log(probability.max()))
            said.append(token)
            if token == self._text.eos:
                break
            logits = answer.step(token)
        confidence = float(np.exp(log_probability / max(len(said), 1)))
        return Said(self._text.decode(said), confidence)


class Open:
    """A model of any family: it says what it finds most probable of all that it knows and its bundle's rules
    leave.

    Confidence is the geometric mean of the probabilities of what it said, the end included.
    """

    def __init__(self, text: OpenText) -> None:
        self._text, self._spec = text, text.spec
        self.any_token = text.spec.end_ids[0]  # one that may be said

    def boxes(self, logits: Logits, answer: Answering, label: str) -> Said:
        """What it says of a target, as `edge.parsing` reads the family. `label` is the operator's word for
        it, which the model is not held to."""
        ids, confidence, cut = self._say(logits, answer, self._spec.max_tokens)
        return Said(self._spec.prefix + self._text.decode(ids), confidence, cut)

    def words(self, logits: Logits, answer: Answering, max_tokens: int | None) -> Said:
        """Words for people, at most as many tokens as the bundle says."""
        limit = self._spec.max_tokens if max_tokens is None else min(max_tokens, self._spec.max_tokens)
        ids, confidence, cut = self._say(logits, answer, limit)
        return Said(self._text.plain(ids), confidence, cut)

    def _say(self, logits: Logits, answer: Answering, limit: int) -> tuple[list[int], float, bool]:
        """Ids without the end, the confidence, and whether it was cut off at the limit or the cache's end."""
        said: list[int] = []
        log_probability = 0.0
        before = [] if self._spec.rules is None else self._text.seen_ids(answer.prompt)
        while True:
            logits = ruled(logits, [*before, *said], len(before), self._spec)
            token = int(logits.argmax())
            log_probability -= float(np.log(np.exp((logits - logits[token]).astype(np.float64)).sum()))
            if token in self._spec.end_ids:
                return said, float(np.exp(log_probability / (len(said) + 1))), False
            said.append(token)
            if len(said) == limit or answer.room == 0:
                return said, float(np.exp(log_probability / len(said))), True
            logits = answer.step(token)


def softmax(logits: Logits) -> Logits:
    """Probabilities (n,) of logits (n,)."""
    scaled = np.exp(logits - logits.max())
    return scaled / scaled.sum()
