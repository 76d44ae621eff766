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
from edge.engines.onnx import OnnxEngine
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
        self._net = _Net(bundle, threads)
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
        allowed = _softmax(np.append(logits[first:last], logits[self._text.none]))
        none = float(allowed[-1])
        if none > 0.5:
            return Grounding("none", none, answer.stages_ms)
        bins: list[int] = []
        near = 0.0
        for step in range(_COORDINATES):
            places = _softmax(logits[first:last])
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
            probability = _softmax(logits[allowed])
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
        for engine in (self._net.vision, self._net.prefill, self._net.decode):
            engine.close()

    def __enter__(self) -> "GroundingModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Net:
    """The engines and what their shapes say."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.image = bundle.manifest.image
        self.text = Text(bundle.read("tokenizer"))
        self.vision = _open_engine(bundle, "vision", threads)
        self.prefill = _open_engine(bundle, "prefill", threads)
        self.decode = _open_engine(bundle, "decode", threads)
        shapes = {spec.name: spec.shape for spec in self.prefill.inputs + self.prefill.outputs}
        self.image_tokens = shapes["image_features"][1]
        self.prompt_tokens = shapes["ids"][1]
        self.slots = shapes["cache"][3]


class Answer:
    """One answer in the making: the cache, the next free slot, and the time that each stage took."""

    def __init__(self, net: _Net) -> None:
        self._net = net
        self.stages_ms: dict[str, float] = {"preprocess": 0.0, "vision": 0.0, "prefill": 0.0, "decode": 0.0}
        self.position = 0
        self._cache: Tensor = np.empty(0)
        self._clock_s = time.perf_counter()

    def start(self, image: Image, prompt: str) -> Logits:
        """Reads image and prompt; the logits (V,) of the first token of the answer."""
        net = self._net
        ids = net.text.prompt_ids(prompt)
        if len(ids) > net.prompt_tokens:
            raise UsageError(f"the prompt '{prompt}' has {len(ids)} tokens, at most {net.prompt_tokens} fit")
        padded = np.full((1, net.prompt_tokens), net.text.pad, np.int64)
        padded[0, : len(ids)] = ids
        pixels = image_to_tensor(image, net.image)
        self._lap("preprocess")
        features = net.vision.run({"pixel_values": pixels})["image_features"]
        self._lap("vision")
        length = np.array([len(ids)], np.int64)
        outputs = net.prefill.run({"image_features": features, "ids": padded, "length": length})
        self._lap("prefill")
        self.position = net.image_tokens + len(ids)
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
        self._lap("decode")
        return outputs["logits"][0]

    def _lap(self, stage: str) -> None:
        now_s = time.perf_counter()
        self.stages_ms[stage] += (now_s - self._clock_s) * 1000
        self._clock_s = now_s


def _open_engine(bundle: Bundle, role: str, threads: int) -> OnnxEngine:
    engine = OnnxEngine(bundle.read(role), threads)
    info = bundle.manifest.graphs[role]
    for listed, actual in ((info.inputs, engine.inputs), (info.outputs, engine.outputs)):
        if [(t.name, t.dtype, t.shape) for t in listed] != [(t.name, str(t.dtype), t.shape) for t in actual]:
            raise BundleRefused(f"{info.file}: inputs or outputs are not those that the manifest lists")
    return engine


def _softmax(logits: Logits) -> Logits:
    scaled = np.exp(logits - logits.max())
    return scaled / scaled.sum()
