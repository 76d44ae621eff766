"""A bundle's three graphs driven as one model: an image and a prompt go in, constrained text comes out.

Graphs (static shapes; N image tokens, P prompt tokens at most, S cache slots, V words):

    vision   pixel_values (1,3,H,W)                              -> image_features (1,N,D)
    prefill  image_features, ids (1,P) padded, length (1,)       -> logits (1,V), cache
    decode   token (1,1), position (1,) = its slot, past cache   -> logits (1,V), cache

The answer's tokens overwrite the prompt's padding slots, so that the cache is one unbroken sequence.
"""

import time
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engines.factory import open_engine
from edge.errors import BundleRefused, UsageError
from edge.interfaces import Tensor
from edge.preprocess import image_to_tensor
from edge.records import Image
from edge.text import LOC_COUNT, Text

NEAR_BINS = 16  # bins that count as the same place: 1/64 of the image to each side
_COORDINATES = 4  # y0, x0, y1, x1
Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the model said. `stages_ms` has preprocess, vision, prefill and decode."""

    text: str
    confidence: float  # [0, 1]
    stages_ms: dict[str, float]


class GroundingModel:
    """Answers `detect`, `caption` and `main` prompts. One caller at a time."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Builds the engines, each with `threads` threads. Raises BundleRefused when the bundle is no
        grounding bundle or a graph is not what its manifest says."""
        if bundle.manifest.policy != "grounding":
            raise BundleRefused(f"bundle '{bundle.manifest.name}' holds a {bundle.manifest.policy} policy")
        self._net = Net(bundle, threads)
        self._text = self._net.text

    def ground(self, image: Image, prompt: str, label: str) -> Grounding:
        """Where the thing is that `prompt` ("detect red cup") asks for, as PaliGemma writes it.

        The text is `none`, or four places and `label`, which costs no engine call. `none` wins when it is
        more probable than all places together; each coordinate is its most probable bin. Confidence of a box
        is the probability of "a place" at the first token, times the share of the probability that lies
        within +-NEAR_BINS of the chosen bins, averaged over the four; that of `none` is its probability.
        Raises UsageError at a prompt with unknown words or too many.
        """
        answer = self.answer()
        logits = answer.start(image, prompt)
        first, last = self._text.first_loc, self._text.first_loc + LOC_COUNT
        allowed = softmax(np.append(logits[first:last], logits[self._text.none]))
        none = float(allowed[-1])
        if none > 0.5:
            return Grounding("none", none, answer.stages_ms)
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
        return Grounding(text, min(1.0, (1 - none) * near), answer.stages_ms)

    def caption(self, image: Image, prompt: str, max_tokens: int = 8) -> Grounding:
        """What the model says to `prompt` ("caption en") in plain words, greedily, at most `max_tokens`.

        Confidence is the geometric mean of the tokens' probabilities among words and the end. Raises
        UsageError at a prompt with unknown words or too many.
        """
        answer = self.answer()
        logits = answer.start(image, prompt)
        allowed = np.append(self._text.words, self._text.eos)
        said: list[int] = []
        log_probability = 0.0
        for _ in range(min(max_tokens, self._net.slots - answer.position)):
            probability = softmax(logits[allowed])
            token = int(allowed[probability.argmax()])
            log_probability += float(np.log(probability.max()))
            said.append(token)
            if token == self._text.eos:
                break
            logits = answer.step(token)
        confidence = float(np.exp(log_probability / max(len(said), 1)))
        return Grounding(self._text.decode(said), confidence, answer.stages_ms)

    def answer(self) -> "Answer":
        """A new answer, to be driven by hand; grammars other than the ones here are built on it."""
        return Answer(self._net)

    def warm_up(self) -> None:
        """One decision on a black image, so that the first real one is not the slow one."""
        answer = self.answer()
        answer.start(np.zeros((self._net.image.height, self._net.image.width, 3), np.uint8), "none")
        answer.step(self._text.first_loc)

    def close(self) -> None:
        """Frees the engines."""
        self._net.close()

    def __enter__(self) -> "GroundingModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Prefix:
    """The engines that read image and prompt, and what their shapes say."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.image = bundle.manifest.image
        self.text = Text(bundle.read("tokenizer"))
        self.vision = open_engine(bundle, "vision", threads)
        self.prefill = open_engine(bundle, "prefill", threads)
        self._shapes = {spec.name: spec.shape for spec in self.prefill.inputs + self.prefill.outputs}
        self.image_tokens = self.length_of("image_features", 1)
        self.prompt_tokens = self.length_of("ids", 1)

    def length_of(self, tensor: str, axis: int) -> int:
        """A side of a tensor of the prefill graph. Raises BundleRefused when there is none."""
        shape = self._shapes.get(tensor, ())
        if axis >= len(shape):
            raise BundleRefused(f"the prefill graph has no '{tensor}' with axis {axis}")
        return shape[axis]

    def prompt(self, prompt: str) -> dict[str, Tensor]:
        """The graph's inputs `ids` and `length`. Raises UsageError at unknown words or too many."""
        ids = self.text.prompt_ids(prompt)
        if len(ids) > self.prompt_tokens:
            raise UsageError(f"the prompt '{prompt}' has {len(ids)} tokens, at most {self.prompt_tokens} fit")
        padded = np.full((1, self.prompt_tokens), self.text.pad, np.int64)
        padded[0, : len(ids)] = ids
        return {"ids": padded, "length": np.array([len(ids)], np.int64)}

    def read(self, image: Image, question: dict[str, Tensor], watch: "StopWatch") -> dict[str, Tensor]:
        """What the prefill graph says of an image and its other inputs, the question."""
        pixels = image_to_tensor(image, self.image)
        watch.lap("preprocess")
        features = self.vision.run({"pixel_values": pixels})["image_features"]
        watch.lap("vision")
        outputs = self.prefill.run({**question, "image_features": features})
        watch.lap("prefill")
        return outputs

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

    def close(self) -> None:
        super().close()
        self.decode.close()


class Answer:
    """One answer in the making: the cache, the next free slot, and the time that each stage took."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._watch = StopWatch("preprocess", "vision", "prefill", "decode")
        self.stages_ms = self._watch.stages_ms
        self.position = 0
        self._cache: Tensor = np.empty(0)

    def start(self, image: Image, prompt: str, state: Tensor | None = None) -> Logits:
        """Reads image and prompt, and where the model takes one a state (1, S); the logits (V,) of the first
        token of the answer."""
        question = self._net.prompt(prompt)
        self.position = self._net.image_tokens + int(question["length"][0])
        if state is not None:
            question["state"] = state
            self.position += 1
        outputs = self._net.read(image, question, self._watch)
        self._cache = outputs["cache"]
        return outputs["logits"][0]

    def step(self, token: int) -> Logits:
        """Says one token; the logits (V,) of the next."""
        inputs = {
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


def softmax(logits: Logits) -> Logits:
    """Probabilities (n,) of logits (n,)."""
    scaled = np.exp(logits - logits.max())
    return scaled / scaled.sum()
