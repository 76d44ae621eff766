"""A bundle's three graphs driven as one model: an image and a prompt go in, text comes out.

Graphs (static shapes; N image tokens, P prompt tokens at most, S cache slots, V words):

    vision   pixel_values (1,3,H,W)                                   -> image_features (1,N,D), ...
    prefill  image_features, ids (1,P) padded, length (1,), ...       -> logits (1,V), position, cache, ...
    decode   token (1,1), position (1,) = its slot, past cache, ...   -> logits (1,V), cache

What else prefill and decode take is the output of that name of vision or prefill, or `length`. The `position`
(1,) that prefill gives is the slot of the answer's first token: behind the prompt, whose padding the answer
overwrites, so that the cache is one unbroken sequence.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.bundle.bundle import Bundle
from edge.bundle.files import REEXPORT
from edge.engines.open import open_engine
from edge.errors import BundleRefused, UsageError
from edge.interfaces import Closing, Engine, Tensor, TensorSpec
from edge.model.decoding import Constrained, Logits, Open, softmax
from edge.model.images import image_to_tensor
from edge.model.tokenizer import PolicyText, Text, text_of
from edge.records import Image

__all__ = ["Answer", "Grounding", "GroundingModel", "Logits", "Net", "Prefix", "StopWatch", "softmax"]


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the model said. `stages_ms` has preprocess, vision, prefill and decode."""

    text: str
    confidence: float  # [0, 1], see `edge.model.decoding`
    stages_ms: dict[str, float]
    cut: bool = False  # it had not done when it had to stop


class GroundingModel(Closing):
    """Answers prompts: where something is, or in words. One caller at a time."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Builds the engines, each with `threads` threads. Raises BundleRefused when the bundle is no
        grounding bundle or a graph is not what its manifest says."""
        manifest = bundle.manifest
        if manifest.policy != "grounding":
            raise BundleRefused(f"bundle '{manifest.name}' holds a {manifest.policy} policy")
        self._net = Net(bundle, threads)
        text = self._net.text
        assert not isinstance(text, PolicyText)  # the manifest allows none
        self._speech = Constrained(text) if isinstance(text, Text) else Open(text)

    def ground(self, image: Image, prompt: str, label: str) -> Grounding:
        """Where the thing is that `prompt` ("detect red cup") asks for, as the family writes it; `label` is
        what the operator calls it. Raises UsageError at a prompt with unknown words or too many."""
        answer = self.answer()
        said = self._speech.boxes(answer.start(image, prompt), answer, label)
        return Grounding(said.text, said.confidence, answer.stages_ms, said.cut)

    def caption(self, image: Image, prompt: str, max_tokens: int | None = None) -> Grounding:
        """What the model says to `prompt` ("caption en") in words, greedily, at most `max_tokens`, or as many
        as such a model says. Raises UsageError at a prompt with unknown words or too many."""
        answer = self.answer()
        said = self._speech.words(answer.start(image, prompt), answer, max_tokens)
        return Grounding(said.text, said.confidence, answer.stages_ms, said.cut)

    def answer(self) -> "Answer":
        """A new answer, to be driven by hand; grammars other than the ones here are built on it."""
        return Answer(self._net)

    def warm_up(self, prompt: str = "none") -> None:
        """Two tokens about a black image, so that the first real answer is not the slow one. Raises
        UsageError at a prompt with unknown words or too many."""
        answer = self.answer()
        answer.start(np.zeros((self._net.image.height, self._net.image.width, 3), np.uint8), prompt)
        answer.step(self._speech.any_token)

    def close(self) -> None:
        """Frees the engines."""
        self._net.close()


class Prefix:
    """The engines that read image and prompt, and what their shapes say."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        manifest = bundle.manifest
        self.image = manifest.image
        if self.image.fit in ("multiple", "tiles"):
            raise BundleRefused(f"its image has fit {self.image.fit}, and the vision graph takes one picture")
        self.vision = open_engine(bundle, "vision", threads)
        self.prefill = open_engine(bundle, "prefill", threads)
        self._shapes = {spec.name: spec.shape for spec in self.prefill.inputs + self.prefill.outputs}
        self.prompt_tokens = self.length_of("ids", 1)
        self.image_tokens = self.length_of("image_features", 1)
        self.text = text_of(manifest, bundle.read("tokenizer"), self.image_tokens)
        pixels = TensorSpec("pixel_values", np.dtype(np.float32), (1, 3, self.image.height, self.image.width))
        _check_inputs("vision", self.vision, (pixels,), ())
        _check_inputs("prefill", self.prefill, self.vision.outputs, ("ids", "length", "state"))

    def length_of(self, tensor: str, axis: int) -> int:
        """A side of a tensor of the prefill graph. Raises BundleRefused when there is none."""
        shape = self._shapes.get(tensor, ())
        if axis >= len(shape):
            raise BundleRefused(f"the prefill graph has no '{tensor}' with axis {axis}", REEXPORT)
        return shape[axis]

    def prompt(self, prompt: str) -> dict[str, Tensor]:
        """The graph's inputs `ids` and `length`. Raises UsageError at unknown words or too many."""
        ids = self.text.prompt_ids(prompt)
        excess = len(ids) - self.prompt_tokens
        if excess > 0:
            raise UsageError(
                f"the prompt '{prompt}' has {len(ids)} tokens, at most {self.prompt_tokens} fit",
                f"say it in fewer words: '{self.text.last_words(prompt, excess)}' is too many",
            )
        padded = np.full((1, self.prompt_tokens), self.text.pad, np.int64)
        padded[0, : len(ids)] = ids
        return {"ids": padded, "length": np.array([len(ids)], np.int64)}

    def read(self, image: Image, question: dict[str, Tensor], watch: "StopWatch") -> dict[str, Tensor]:
        """What the vision and the prefill graph say of an image and the latter's other inputs, the
        question."""
        pixels = image_to_tensor(image, self.image)
        watch.lap("preprocess")
        seen = self.vision.run({"pixel_values": pixels})
        watch.lap("vision")
        outputs = self.prefill.run({**question, **seen})
        watch.lap("prefill")
        return {**seen, **outputs}

    def close(self) -> None:
        """Frees the engines."""
        self.vision.close()
        self.prefill.close()


class Net(Prefix):
    """The engines that also answer in tokens."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        super().__init__(bundle, threads)
        self.decode = open_engine(bundle, "decode", threads)
        self.slots = self.length_of("cache", 3)
        self.length_of("position", 0)  # a bundle from before graphs gave it is refused
        given = (*self.vision.outputs, *self.prefill.outputs)
        past = tuple(
            TensorSpec("past", spec.dtype, spec.shape)
            for spec in (*self.prefill.outputs, *self.decode.outputs)
            if spec.name == "cache"
        )
        _check_inputs("decode", self.decode, (*given, *past), ("token", "position", "length"))
        own = ("token", "position", "past")
        self.carried = tuple(spec.name for spec in self.decode.inputs if spec.name not in own)

    def close(self) -> None:
        super().close()
        self.decode.close()


def _check_inputs(role: str, engine: Engine, given: Iterable[TensorSpec], own: tuple[str, ...]) -> None:
    """Raises BundleRefused where a graph takes what no other gives it and the runtime does not know."""
    for spec in engine.inputs:
        makers = [each for each in given if each.name == spec.name]
        if spec.name in own:
            continue
        if not makers:
            raise BundleRefused(f"the {role} graph takes '{spec.name}', which nothing gives it")
        for made in makers:
            if (made.dtype, made.shape) != (spec.dtype, spec.shape):
                raise BundleRefused(
                    f"the {role} graph takes '{spec.name}' {spec.dtype} {spec.shape}, "
                    f"and is given {made.dtype} {made.shape}"
                )


class Answer:
    """One answer in the making: the cache, the next free slot, and the time that each stage took.

    What vision and prefill gave stays valid until they run again: an answer ends where the next one starts.
    """

    def __init__(self, net: Net) -> None:
        self._net = net
        self._watch = StopWatch("preprocess", "vision", "prefill", "decode")
        self.stages_ms = self._watch.stages_ms
        self.position = 0
        self.prompt = ""
        self._cache: Tensor = np.empty(0)
        self._carried: dict[str, Tensor] = {}

    @property
    def room(self) -> int:
        """How many tokens the cache still takes."""
        return self._net.slots - self.position

    def start(self, image: Image, prompt: str, state: Tensor | None = None) -> Logits:
        """Reads image and prompt, and where the model takes one a state (1, S); the logits (V,) of the first
        token of the answer."""
        question = self._net.prompt(prompt)
        self.prompt = prompt
        if state is not None:
            question["state"] = state
        outputs = self._net.read(image, question, self._watch)
        self.position = int(outputs["position"][0])
        self._cache = outputs["cache"]
        outputs = {**question, **outputs}
        self._carried = {name: outputs[name] for name in self._net.carried}
        return outputs["logits"][0]

    def step(self, token: int) -> Logits:
        """Says one token; the logits (V,) of the next."""
        inputs = {
            **self._carried,
            "token": np.array([[token]], np.int64),
            "position": np.array([self.position], np.int64),
            "past": self._cache,
        }
        outputs = self._net.decode.run(inputs)
        self.position += 1
        self._cache = outputs["cache"]
        self._watch.lap("decode")
        return outputs["logits"][0]


class StopWatch:
    """Milliseconds by stage, in `stages_ms`."""

    def __init__(self, *stages: str) -> None:
        self.stages_ms = dict.fromkeys(stages, 0.0)
        self._clock_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What went by since the last lap belongs to this stage."""
        now_s = time.perf_counter()
        self.stages_ms[stage] += (now_s - self._clock_s) * 1000
        self._clock_s = now_s
