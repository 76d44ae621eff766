"""Actions in [-1, 1] to the token ids of a language model, and back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.actions.arrays import Floats, finite
from edge.errors import SafetyStop, UsageError

RESERVED = 10  # ids left free between the action tokens and the special tokens, as RoboVLMs does


class NotAnAction(SafetyStop):
    """A model decoded a token that is not an action token."""


@dataclass(frozen=True, slots=True)
class ActionTokenizer:
    """Uniform bins over [-1, 1], one token id each, at the rarely used end of the vocabulary.

    The edges are linspace(-1, 1, bins), so that there are bins - 1 intervals of width 2 / (bins - 1). A value
    falls into bin digitize(value, edges), 1 to bins, and gets the id base - bin: the lowest action has the
    highest id. The last bin holds the value 1.0 alone and decodes like its neighbour. The scheme is
    OpenVLA's (arXiv 2406.09246), with the base of RoboVLMs (arXiv 2412.14058).

    Raises UsageError if the ids don't fit into the vocabulary.
    """

    base: int  # one above the highest action id
    bins: int = 256

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise UsageError(f"action tokens of {self.bins} bins: there must be 2 or more")
        if self.base < self.bins:
            raise UsageError(f"{self.bins} action tokens do not fit below the id {self.base}")

    @staticmethod
    def for_vocabulary(vocab_size: int, special_tokens: int, bins: int = 256) -> "ActionTokenizer":
        """Return the tokenizer below the special tokens: base = vocab_size - special_tokens - RESERVED."""
        return ActionTokenizer(vocab_size - special_tokens - RESERVED, bins)

    @property
    def ids(self) -> range:
        """All action ids, ascending; logits are masked to them."""
        return range(self.base - self.bins, self.base)

    def encode(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Return the token ids of normalised actions, in the same shape; these are clipped to [-1, 1].

        Raises ValueError for NaN and infinity.
        """
        edges = np.linspace(-1.0, 1.0, self.bins)
        clipped = np.minimum(np.maximum(finite(actions), -1.0), 1.0)
        return self.base - np.digitize(clipped, edges).astype(np.int64)

    def decode(self, ids: ArrayLike) -> Floats:
        """Return the middle of each id's bin, in the same shape: within 1 / (bins - 1) of what was encoded.

        Raises NotAnAction for any id that is not in `ids`: clipping it would be a move at nearly full scale.
        """
        given = np.asarray(ids)
        if not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"token ids are whole numbers, got {given.dtype} of shape {given.shape}")
        tokens = given.astype(np.int64)
        unknown = (tokens < self.base - self.bins) | (tokens >= self.base)
        if unknown.any():
            index = tuple(int(i) for i in np.argwhere(unknown)[0])
            raise NotAnAction(
                f"token {tokens[index]} at {index} is not an action, {self.ids[0]} to {self.ids[-1]}",
                "was the model trained with this base, and its answer masked to the action ids?",
            )
        edges = np.linspace(-1.0, 1.0, self.bins)
        centres = (edges[:-1] + edges[1:]) / 2
        return centres[np.minimum(self.base - tokens - 1, self.bins - 2)]
