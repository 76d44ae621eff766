"""Text to token ids and back: of a PaliGemma that may say only some of them, and of any family."""

import re

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge.bundle.manifest import AnswerSpec, ChatTemplate, Manifest, PromptSpec
from edge.errors import BundleRefused, UsageError
from edge.model.prompt_ids import ids_after_picture, prompt_ids, tokens_of_one

LOC_COUNT = 1024
_SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>", "<image>")
_BEGINS = ("<s>", "<bos>")  # of which families such as Florence-2 say one ahead of an answer


class Text:
    """A tokenizer.json with PaliGemma's special tokens and places."""

    def __init__(self, tokenizer_json: bytes) -> None:
        """Raises BundleRefused when it is no tokenizer, or lacks a token that grounding needs."""
        self._tokenizer = _read(tokenizer_json)
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

    def last_words(self, prompt: str, count: int) -> str:
        """The end of a prompt, `count` tokens of it."""
        return _last_words(self._tokenizer, prompt, count)

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


class OpenText:
    """A tokenizer.json of any family of `edge.model.prompt_ids`, and the family's way to write a prompt."""

    pad = 0  # any id will do behind the prompt's end

    def __init__(
        self,
        tokenizer_json: bytes,
        family: str,
        spec: AnswerSpec,
        image_tokens: int,
        chat: ChatTemplate | None = None,
    ) -> None:
        """`image_tokens` as the vision graph gives; `chat` None: the family's. Raises BundleRefused when it
        is no tokenizer or lacks the token that the family shows images by, UsageError for a family that is
        not known."""
        self._tokenizer = _read(tokenizer_json)
        self.spec = spec
        self._family, self._image_tokens, self._chat = family, image_tokens, chat
        self._begins = {self._tokenizer.token_to_id(token) for token in _BEGINS}
        self.prompt_ids("")

    def prompt_ids(self, prompt: str) -> list[int]:
        """What follows the image; what stands ahead of it is the graph's own business."""
        return ids_after_picture(self._tokenizer, self._family, prompt, self._image_tokens, self._chat)

    def seen_ids(self, prompt: str) -> list[int]:
        """What an answer goes on from, as the rules of its tokens count it: the whole prompt with its image,
        or the start of a decoder that has an encoder."""
        if self.spec.rules is not None and self.spec.rules.start:
            return list(self.spec.rules.start)
        picture = tokens_of_one(self._family, self._image_tokens)
        return prompt_ids(self._tokenizer, self._family, prompt, picture, self._chat)

    def last_words(self, prompt: str, count: int) -> str:
        """The end of a prompt, `count` tokens of it."""
        return _last_words(self._tokenizer, prompt, count)

    def decode(self, ids: list[int]) -> str:
        """The text of an answer, its places such as <loc0001> included."""
        begun = bool(ids) and ids[0] in self._begins
        return self._tokenizer.decode(ids[begun:], skip_special_tokens=False)

    def plain(self, ids: list[int]) -> str:
        """The text of an answer for people, without special tokens."""
        return self._tokenizer.decode(ids).strip()


class PolicyText:
    """A tokenizer.json of a policy that takes any words, and how it was taught to read a prompt."""

    pad = 0  # any id will do behind the prompt's end

    def __init__(self, tokenizer_json: bytes, spec: PromptSpec) -> None:
        """Raises BundleRefused when it is no tokenizer."""
        self._tokenizer = _read(tokenizer_json)
        self._spec = spec

    def prompt_ids(self, prompt: str) -> list[int]:
        """What follows the image; what stands ahead of it is the graph's own business."""
        words: list[int] = self._tokenizer.encode(prompt + self._spec.end, add_special_tokens=False).ids
        return [*self._spec.after_image, *words]

    def last_words(self, prompt: str, count: int) -> str:
        """The end of a prompt, `count` tokens of it."""
        return _last_words(self._tokenizer, prompt, count)


def text_of(manifest: Manifest, tokenizer_json: bytes, image_tokens: int) -> Text | OpenText | PolicyText:
    """The text of a bundle's model. Raises as the classes."""
    if manifest.prompt is not None:
        return PolicyText(tokenizer_json, manifest.prompt)
    if manifest.answer is not None:
        return OpenText(tokenizer_json, manifest.family, manifest.answer, image_tokens, manifest.chat)
    return Text(tokenizer_json)


def _read(tokenizer_json: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_str(tokenizer_json.decode())
    except Exception as error:  # tokenizers raises plain Exception
        raise BundleRefused(f"the bundle's tokenizer cannot be read: {error}") from error


def _last_words(tokenizer: Tokenizer, prompt: str, count: int) -> str:
    ids: list[int] = tokenizer.encode(prompt, add_special_tokens=False).ids
    return tokenizer.decode(ids[-count:]).strip()
