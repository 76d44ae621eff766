"""One generation by a bundle's graphs: image and prompt are prefilled, then tokens are decoded one by one.

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

import numpy as np

from edge.bundle.bundle import Bundle
from edge.bundle.files import REEXPORT
from edge.engines.open import open_engine
from edge.errors import BundleRefused, UsageError
from edge.interfaces import Engine, Tensor, TensorSpec
from edge.model.images import image_to_tensor
from edge.model.token_rules import Logits
from edge.model.tokenizer import model_tokenizer
from edge.records import Image


class PrefillEngines:
    """The engines that read an image and a prompt, with what their shapes say."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Build the engines. Raises BundleRefused if a graph is missing or does not fit the others."""
        manifest = bundle.manifest
        self.image = manifest.image
        if self.image.fit in ("multiple", "tiles"):
            raise BundleRefused(f"its image has fit {self.image.fit}, and the vision graph takes one picture")
        self.vision = open_engine(bundle, "vision", threads)
        self.prefill = open_engine(bundle, "prefill", threads)
        self._shapes = {spec.name: spec.shape for spec in self.prefill.inputs + self.prefill.outputs}
        self.prompt_tokens = self.length_of("ids", 1)
        self.image_tokens = self.length_of("image_features", 1)
        self.tokenizer = model_tokenizer(manifest, bundle.read("tokenizer"), self.image_tokens)
        pixels = TensorSpec("pixel_values", np.dtype(np.float32), (1, 3, self.image.height, self.image.width))
        _check_inputs("vision", self.vision, (pixels,), ())
        _check_inputs("prefill", self.prefill, self.vision.outputs, ("ids", "length", "state"))

    def length_of(self, tensor: str, axis: int) -> int:
        """Return a prefill tensor's length along an axis. Raises BundleRefused if it has no such axis."""
        shape = self._shapes.get(tensor, ())
        if axis >= len(shape):
            raise BundleRefused(f"the prefill graph has no '{tensor}' with axis {axis}", REEXPORT)
        return shape[axis]

    def prompt_inputs(self, prompt: str) -> dict[str, Tensor]:
        """Return `ids` (1, P) and `length` (1,). Raises UsageError at unknown words or too many."""
        ids = self.tokenizer.prompt_ids(prompt)
        excess = len(ids) - self.prompt_tokens
        if excess > 0:
            raise UsageError(
                f"the prompt '{prompt}' has {len(ids)} tokens, at most {self.prompt_tokens} fit",
                f"say it in fewer words: '{self.tokenizer.last_words(prompt, excess)}' is too many",
            )
        padded = np.full((1, self.prompt_tokens), self.tokenizer.pad, np.int64)
        padded[0, : len(ids)] = ids
        return {"ids": padded, "length": np.array([len(ids)], np.int64)}

    def run(self, image: Image, inputs: dict[str, Tensor], watch: "StopWatch") -> dict[str, Tensor]:
        """Return the outputs of vision and prefill; `inputs` is what prefill takes besides them."""
        pixels = image_to_tensor(image, self.image)
        watch.lap("preprocess")
        features = self.vision.run({"pixel_values": pixels})
        watch.lap("vision")
        outputs = self.prefill.run({**inputs, **features})
        watch.lap("prefill")
        return {**features, **outputs}

    def close(self) -> None:
        """Frees the engines."""
        self.vision.close()
        self.prefill.close()


class DecoderEngines(PrefillEngines):
    """The engines of a model that also decodes tokens."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Build the engines. Raises BundleRefused if a graph is missing or does not fit the others."""
        super().__init__(bundle, threads)
        self.decode = open_engine(bundle, "decode", threads)
        self.slots = self.length_of("cache", 3)
        self.length_of("position", 0)  # refuses bundles from before prefill gave it
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


def _check_inputs(stage: str, engine: Engine, given: Iterable[TensorSpec], own: tuple[str, ...]) -> None:
    """Check that a graph takes only what another gives it, or `own`. Raises BundleRefused if not."""
    for spec in engine.inputs:
        sources = [each for each in given if each.name == spec.name]
        if spec.name in own:
            continue
        if not sources:
            raise BundleRefused(f"the {stage} graph takes '{spec.name}', which nothing gives it")
        for source in sources:
            if (source.dtype, source.shape) != (spec.dtype, spec.shape):
                raise BundleRefused(
                    f"the {stage} graph takes '{spec.name}' {spec.dtype} {spec.shape}, "
                    f"and is given {source.dtype} {source.shape}"
                )


class Generation:
    """One generation under way: its KV cache, the next free slot, and the milliseconds of each stage.

    The outputs of vision and prefill are valid until these run again, so a generation ends when the next one
    on the same engines starts.
    """

    def __init__(self, engines: DecoderEngines) -> None:
        self._engines = engines
        self._watch = StopWatch("preprocess", "vision", "prefill", "decode")
        self.stages_ms = self._watch.stages_ms
        self.position = 0
        self.prompt = ""
        self._kv_cache: Tensor = np.empty(0)
        self._carried: dict[str, Tensor] = {}

    @property
    def free_slots(self) -> int:
        """How many more tokens the KV cache holds."""
        return self._engines.slots - self.position

    def prefill(self, image: Image, prompt: str, state: Tensor | None = None) -> Logits:
        """Read image, prompt and, if the model takes one, a state (1, S); the first token's logits (V,).

        Raises UsageError at a prompt with unknown words or too many.
        """
        inputs = self._engines.prompt_inputs(prompt)
        self.prompt = prompt
        if state is not None:
            inputs["state"] = state
        outputs = self._engines.run(image, inputs, self._watch)
        self.position = int(outputs["position"][0])
        self._kv_cache = outputs["cache"]
        outputs = {**inputs, **outputs}
        self._carried = {name: outputs[name] for name in self._engines.carried}
        return outputs["logits"][0]

    def decode(self, token: int) -> Logits:
        """Append one token and return the logits (V,) of the next."""
        inputs = {
            **self._carried,
            "token": np.array([[token]], np.int64),
            "position": np.array([self.position], np.int64),
            "past": self._kv_cache,
        }
        outputs = self._engines.decode.run(inputs)
        self.position += 1
        self._kv_cache = outputs["cache"]
        self._watch.lap("decode")
        return outputs["logits"][0]


class StopWatch:
    """Milliseconds by stage, in `stages_ms`."""

    def __init__(self, *stages: str) -> None:
        self.stages_ms = dict.fromkeys(stages, 0.0)
        self._last_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to this stage."""
        now_s = time.perf_counter()
        self.stages_ms[stage] += (now_s - self._last_s) * 1000
        self._last_s = now_s
