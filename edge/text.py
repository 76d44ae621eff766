"""Text to token ids and back, and the groups of ids that constrain what a PaliGemma may say."""

import re

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge.errors import BundleRefused, UsageError

LOC_COUNT = 1024
_SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>", "<image>")


class Text:
    """A tokenizer.json with PaliGemma's special tokens and places."""

    def __init__(self, tokenizer_json: bytes) -> None:
        """Raises BundleRefused when it is no tokenizer, or lacks a token that grounding needs."""
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer_json.decode())
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleRefused(f"the bundle's tokenizer cannot be read: {error}") from error
        self.pad, self.eos, self.bos, self.unknown, _ = (self._id(token) for token in _SPECIALS)
        self.none = self._tokenizer.encode("none").ids[0]
        self.first_loc = self._id("<loc0000>")
        if self._id(f"<loc{LOC_COUNT - 1:04d}>") != self.first_loc + LOC_COUNT - 1:
            raise BundleRefused("the bundle's tokenizer does not number its places in a row")
        self.words = self._find_words()

    def prompt_ids(self, prompt: str) -> list[int]:
        """`<bos>`, the words, newline; image tokens are the graph's own business.

        Raises UsageError at a word that the vocabulary lacks.
        """
        ids: list[int] = self._tokenizer.encode(prompt + "\n", add_special_tokens=False).ids
        if self.unknown in ids:
            raise UsageError(f"the prompt '{prompt}' has words that the model does not know")
        return [self.bos, *ids]

    def decode(self, ids: list[int]) -> str:
        """The text of ids; special tokens are left out."""
        return self._tokenizer.decode(ids)

    def _id(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise BundleRefused(f"the bundle's tokenizer has no {token}")
        return index

    def _find_words(self) -> NDArray[np.int64]:
        """Ids of all tokens that plain sentences are made of."""
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        control = re.compile(r"<[^<>]*>|\n")
        return np.asarray(
            sorted(i for token, i in vocabulary.items() if not control.fullmatch(token)), np.int64
        )
