"""Text to token ids and back, for the default model's closed vocabulary, for any family and for policies."""

import re

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge.bundle.manifest import AnswerSpec, ChatTemplate, Manifest, PromptSpec
from edge.errors import BundleRefused, UsageError, reason_of
from edge.model.prompt_ids import ids_after_image, prompt_ids, tokens_of_image

LOC_COUNT = 1024
_SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>", "<image>")
_BEGINS = ("<s>", "<bos>")  # families such as Florence-2 generate one of them ahead of an answer


class GroundingTokenizer:
    """The tokenizer of a PaliGemma of few words: its special tokens, words and location tokens."""

    def __init__(self, tokenizer_json: bytes) -> None:
        """Read a tokenizer.json. Raises BundleRefused if it is broken or lacks a needed token."""
        self._tokenizer = _read(tokenizer_json)
        self.pad, self.eos, self.bos, self.unknown, _ = (self._id(token) for token in _SPECIALS)
        self.none = self._tokenizer.encode("none").ids[0]
        self.first_loc = self._id("<loc0000>")
        if self._id(f"<loc{LOC_COUNT - 1:04d}>") != self.first_loc + LOC_COUNT - 1:
            raise BundleRefused("the bundle's tokenizer does not number its location tokens in a row")
        self.word_ids = self._find_words()

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids of `<bos>`, the words and a newline; the graph puts in the image's tokens itself.

        Raises UsageError at a word that the vocabulary lacks.
        """
        ids: list[int] = self._tokenizer.encode(prompt + "\n", add_special_tokens=False).ids
        if self.unknown in ids:
            raise UsageError(f"the prompt '{prompt}' has words that the model does not know")
        return [self.bos, *ids]

    def last_words(self, prompt: str, count: int) -> str:
        """Return the text of the last `count` tokens of a prompt."""
        return _last_words(self._tokenizer, prompt, count)

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids; special tokens are left out."""
        return self._tokenizer.decode(ids)

    def _id(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise BundleRefused(f"the bundle's tokenizer has no {token}")
        return index

    def _find_words(self) -> NDArray[np.int64]:
        """Return the ids of all tokens that plain sentences are made of."""
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        control = re.compile(r"<[^<>]*>|\n")
        return np.asarray(
            sorted(i for token, i in vocabulary.items() if not control.fullmatch(token)), np.int64
        )


class FamilyTokenizer:
    """The tokenizer of a family in `edge.model.prompt_ids`, with the family's way to write a prompt."""

    pad = 0  # any id will do behind the prompt's end

    def __init__(
        self,
        tokenizer_json: bytes,
        family: str,
        spec: AnswerSpec,
        image_tokens: int,
        chat: ChatTemplate | None = None,
    ) -> None:
        """Read a tokenizer.json; `image_tokens` as the vision graph gives, `chat` None: the family's.

        Raises BundleRefused if it is broken or lacks the token that the family shows images
        by, UsageError if the family is unknown.
        """
        self._tokenizer = _read(tokenizer_json)
        self.spec = spec
        self._family, self._image_tokens, self._chat = family, image_tokens, chat
        self._begins = {self._tokenizer.token_to_id(token) for token in _BEGINS}
        self.prompt_ids("")

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids that follow the image; those ahead of it are fixed in the graph."""
        return ids_after_image(self._tokenizer, self._family, prompt, self._image_tokens, self._chat)

    def context_ids(self, prompt: str) -> list[int]:
        """Return the ids that a generation continues, as the rules for its tokens count them.

        Those are the whole prompt with its image, or the first ids of the decoder of a model with an encoder.
        """
        if self.spec.rules is not None and self.spec.rules.start:
            return list(self.spec.rules.start)
        image = tokens_of_image(self._family, self._image_tokens)
        return prompt_ids(self._tokenizer, self._family, prompt, image, self._chat)

    def last_words(self, prompt: str, count: int) -> str:
        """Return the text of the last `count` tokens of a prompt."""
        return _last_words(self._tokenizer, prompt, count)

    def decode(self, ids: list[int]) -> str:
        """Return the text of an answer, its location tokens such as <loc0001> included."""
        begun = bool(ids) and ids[0] in self._begins
        return self._tokenizer.decode(ids[begun:], skip_special_tokens=False)

    def plain(self, ids: list[int]) -> str:
        """Return the text of an answer for people, without special tokens."""
        return self._tokenizer.decode(ids).strip()


class PolicyTokenizer:
    """The tokenizer of a policy that takes any words, with the layout of the prompts that it learned from."""

    pad = 0  # any id will do behind the prompt's end

    def __init__(self, tokenizer_json: bytes, spec: PromptSpec) -> None:
        """Read a tokenizer.json. Raises BundleRefused if it is broken."""
        self._tokenizer = _read(tokenizer_json)
        self._spec = spec

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids that follow the image; those ahead of it are fixed in the graph."""
        words: list[int] = self._tokenizer.encode(prompt + self._spec.end, add_special_tokens=False).ids
        return [*self._spec.after_image, *words]

    def last_words(self, prompt: str, count: int) -> str:
        """Return the text of the last `count` tokens of a prompt."""
        return _last_words(self._tokenizer, prompt, count)


def model_tokenizer(
    manifest: Manifest, tokenizer_json: bytes, image_tokens: int
) -> GroundingTokenizer | FamilyTokenizer | PolicyTokenizer:
    """Return the tokenizer of a bundle's model. Raises what the classes raise."""
    if manifest.prompt is not None:
        return PolicyTokenizer(tokenizer_json, manifest.prompt)
    if manifest.answer is not None:
        return FamilyTokenizer(tokenizer_json, manifest.family, manifest.answer, image_tokens, manifest.chat)
    return GroundingTokenizer(tokenizer_json)


def _read(tokenizer_json: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_str(tokenizer_json.decode())
    except Exception as error:  # tokenizers raises plain Exception
        raise BundleRefused(f"the bundle's tokenizer cannot be read: {reason_of(error)}") from error


def _last_words(tokenizer: Tokenizer, prompt: str, count: int) -> str:
    ids: list[int] = tokenizer.encode(prompt, add_special_tokens=False).ids
    return tokenizer.decode(ids[-count:]).strip()
