"""A bundle's graphs driven as one model: an image and a prompt go in, text comes out."""

from dataclasses import dataclass

import numpy as np

from edge.bundle.bundle import Bundle
from edge.errors import BundleRefused
from edge.interfaces import Closing
from edge.model.decoding import ConstrainedDecoder, GreedyDecoder
from edge.model.generation import DecoderEngines, Generation
from edge.model.tokenizer import GroundingTokenizer, PolicyTokenizer
from edge.records import Image


@dataclass(frozen=True, slots=True)
class Grounding:
    """The model's text about one image. `stages_ms` has preprocess, vision, prefill and decode."""

    text: str
    confidence: float  # [0, 1], see `edge.model.decoding`
    stages_ms: dict[str, float]
    cut: bool = False  # it stopped at the token limit, before its end token


class GroundingModel(Closing):
    """Answers prompts: with a box, or in words. One caller at a time."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Build the engines, each with `threads` threads.

        Raises BundleRefused if the bundle holds another policy or a graph is not what its manifest says.
        """
        manifest = bundle.manifest
        if manifest.policy != "grounding":
            raise BundleRefused(f"bundle '{manifest.name}' holds a {manifest.policy} policy")
        self._engines = DecoderEngines(bundle, threads)
        tokenizer = self._engines.tokenizer
        assert not isinstance(tokenizer, PolicyTokenizer)  # the manifest's schema allows none here
        if isinstance(tokenizer, GroundingTokenizer):
            self._decoder = ConstrainedDecoder(tokenizer)
        else:
            self._decoder = GreedyDecoder(tokenizer)

    def ground(self, image: Image, prompt: str, label: str) -> Grounding:
        """Return the box of what `prompt` ("detect red cup") asks for, as the family writes it.

        `label` is the operator's name for it. Raises UsageError at a prompt with unknown words or too many.
        """
        generation = self.generation()
        decoded = self._decoder.decode_box(generation.prefill(image, prompt), generation, label)
        return Grounding(decoded.text, decoded.confidence, generation.stages_ms, decoded.cut)

    def caption(self, image: Image, prompt: str, max_tokens: int | None = None) -> Grounding:
        """Return the model's words to `prompt` ("caption en"), decoded greedily.

        `max_tokens` None: as many as the bundle allows. Raises UsageError at a prompt with unknown words or
        too many.
        """
        generation = self.generation()
        decoded = self._decoder.decode_words(generation.prefill(image, prompt), generation, max_tokens)
        return Grounding(decoded.text, decoded.confidence, generation.stages_ms, decoded.cut)

    def generation(self) -> Generation:
        """Return a new generation to drive token by token, for decoders other than the model's own."""
        return Generation(self._engines)

    def warm_up(self, prompt: str = "none") -> None:
        """Decode two tokens about a black image, so that the first real answer is not the slow one.

        Raises UsageError at a prompt with unknown words or too many.
        """
        generation = self.generation()
        spec = self._engines.image
        generation.prefill(np.zeros((spec.height, spec.width, 3), np.uint8), prompt)
        generation.decode(self._decoder.any_token)

    def close(self) -> None:
        """Frees the engines."""
        self._engines.close()
