"""Tiny bundles of every family: real ONNX graphs as the exporter wires them, real tokenizers, random weights.

Such a model's text depends on image, prompt, and everything that the graphs pass to each other: `TinyModel`
computes it once more in numpy. A script on top of that makes it answer with a given text.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer

from edge.bundle.bundle import Bundle, file_info, make_bundle
from edge.bundle.manifest import AnswerSpec, GraphInfo, ImageSpec, Manifest, Target, TensorInfo, Vocabulary
from edge.engines.onnx import OnnxEngine
from edge.model.prompt_ids import ids_after_image
from tests.edge.model import family_processors
from tests.edge.model.family_processors import HALF
from tests.made_once import made_once

SIDE, WIDTH, SLOTS, PROMPT = 16, 8, 200, 160  # pixels, features, of the cache, tokens of a prompt
SCRIPTED = 50.0  # added to the logit of what the script says
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@dataclass(frozen=True)
class Family:
    """The parts of a bundle that differ between families."""

    name: str
    processor: Callable[[], tuple]
    box: str  # that it says; of a cup in the middle of what it sees
    end: str
    tokens: int = 4  # tokens of the image
    fit: str = "stretch"
    more: tuple[str, ...] = ()  # outputs of vision that prefill takes
    handed: tuple[str, ...] = ()  # what decode takes of vision, prefill or the caller
    first: int = 7  # slot of the answer's first token, behind the prompt's
    begins: bool = False  # does the decoder begin by itself, with an <s> that it says first?
    places: tuple[str, ...] = ()  # tokens that the tiny tokenizers lack


_LOCS = tuple(f"<loc{i:04d}>" for i in range(1024))
_PATCHES = tuple(f"<patch_index_{i:04d}>" for i in range(1024))
_KOSMOS = ("<grounding>", "<phrase>", "</phrase>", "<object>", "</object>", "<image>", "</image>", *_PATCHES)
FAMILIES = {
    family.name: family
    for family in (
        Family(
            "paligemma",
            family_processors.paligemma,
            "<loc0256><loc0256><loc0768><loc0768> red cup",
            "<eos>",
            first=4,
            places=_LOCS,
        ),
        Family(
            "kosmos-2",
            family_processors.kosmos,
            "<object><patch_index_0264><patch_index_0759></object>",
            "</s>",
            places=_KOSMOS,
        ),
        Family(
            "qwen2.5-vl",
            lambda: family_processors.qwen(14),
            '[{"bbox_2d": [4, 4, 12, 12], "label": "red cup"}]',
            "<|im_end|>",
            more=("deep",),
        ),
        Family("llava", family_processors.llava, "[0.25, 0.25, 0.75, 0.75]", "</s>", fit="crop"),
        Family("flamingo", family_processors.idefics, "yes", "</s>", handed=("image_features", "length")),
        Family("smolvlm", lambda: family_processors.smolvlm(False), "yes", "<end_of_utterance>"),
        Family(
            "florence-2",
            family_processors.florence,
            "red cup<loc_250><loc_250><loc_750><loc_750>",
            "</s>",
            more=("memory",),
            handed=("memory", "cross", "length"),
            first=1,
            begins=True,
            places=tuple(f"<loc_{i}>" for i in range(1000)),
        ),
    )
}
BOXED = [name for name, family in FAMILIES.items() if family.box != "yes"]


@cache
def tokenizer_of(family: Family) -> Tokenizer:
    """Return the checkpoint's tokenizer, location tokens included.

    One process imports transformers and torch for it, for 3 s; the others read its file.
    """

    def save(folder: Path) -> None:
        (folder / "tokenizer.json").write_text(family.processor()[0].tokenizer.backend_tokenizer.to_str())

    with tempfile.TemporaryDirectory() as alone:
        folder = made_once(f"tokenizer-{family.name}", Path(alone), save)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in family.places])
    return tokenizer


class TinyModel:
    """The weights of a tiny model, its graphs, and the same in numpy."""

    def __init__(self, family: Family, words: int, slots: int, script: list[int], asked: int) -> None:
        """Draw the weights; `asked` is the length of the prompt that `script` answers, if there is one."""
        rng = np.random.default_rng(5)

        def weights(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(np.float32)

        self.family, self.words, self.slots = family, words, slots
        self.see = weights(3, family.tokens * WIDTH)
        self.embedding, self.places = weights(words, WIDTH), weights(slots, WIDTH)
        self.out = weights(WIDTH, words)
        self.script = np.zeros((max(len(script), 1), words), np.float32)
        self.script[np.arange(len(script)), script] = SCRIPTED
        self.first = self.first_slot(asked)

    def first_slot(self, length: int) -> int:
        """Return the slot of the first token of the answer to a prompt of that length."""
        return 1 if self.family.begins else self.family.first + length

    def say(self, pixels: np.ndarray, ids: list[int], count: int) -> tuple[list[int], list[float]]:
        """Return the most probable token `count` times, and the probability of each."""
        features = (pixels.mean((2, 3)) @ self.see).reshape(-1, WIDTH)
        more = [features * (index + 2) for index in range(len(self.family.more))]
        state = sum((each.mean(0) for each in (features, *more)), self.embedding[ids].sum(0) / PROMPT)
        given = {"image_features": features, "cross": state[None], "length": np.full((1, 1), len(ids))}
        given |= dict(zip(self.family.more, more, strict=True))
        carried = sum(np.float32(given[name].mean()) for name in self.family.handed)
        logits, position, said, sure = state @ self.out + self.script[0], self.first_slot(len(ids)), [], []
        for index in range(count):
            token = int(logits.argmax())
            said.append(token)
            sure.append(float(1 / np.exp((logits - logits[token]).astype(np.float64)).sum()))
            state = 0.5 * state + self.embedding[token] + self.places[position] + carried / 100
            logits = state @ self.out + self.script[min(index + 1, len(self.script) - 1)]
            position += 1
        return said, sure

    def graphs(self) -> dict[str, onnx.ModelProto]:
        return {"vision": self._vision(), "prefill": self._prefill(), "decode": self._decode()}

    @property
    def _features(self) -> list[int]:
        return [1, self.family.tokens, WIDTH]

    @property
    def _cache(self) -> list[int]:
        return [2, 1, 1, self.slots, WIDTH]

    def _vision(self) -> onnx.ModelProto:
        nodes = [
            helper.make_node("ReduceMean", ["pixel_values", "sides"], ["means"], keepdims=0),
            helper.make_node("MatMul", ["means", "see"], ["seen"]),
            helper.make_node("Reshape", ["seen", "features"], ["image_features"]),
        ]
        constants = {"sides": np.array([2, 3]), "see": self.see, "features": np.array(self._features)}
        for index, name in enumerate(self.family.more):
            constants[f"times_{name}"] = np.float32(index + 2)
            nodes.append(helper.make_node("Mul", ["image_features", f"times_{name}"], [name]))
        outputs = dict.fromkeys(("image_features", *self.family.more), (FLOAT, self._features))
        return _model(nodes, {"pixel_values": (FLOAT, [1, 3, SIDE, SIDE])}, outputs, constants)

    def _prefill(self) -> onnx.ModelProto:
        """Make a state of the sum of the means of all inputs; it fills the whole cache."""
        inputs = dict.fromkeys(("image_features", *self.family.more), (FLOAT, self._features))
        nodes = [
            helper.make_node("Gather", ["embedding", "ids"], ["embedded"]),
            helper.make_node("Less", ["range", "length"], ["real"]),
            helper.make_node("Cast", ["real"], ["weight"], to=FLOAT),
            helper.make_node("MatMul", ["weight", "embedded"], ["read"]),  # (1, 1, WIDTH)
            helper.make_node("Div", ["read", "all"], ["mean_ids"]),
            *(helper.make_node("ReduceMean", [name, "one"], [f"mean_{name}"], keepdims=1) for name in inputs),
            helper.make_node("Sum", ["mean_ids", *(f"mean_{name}" for name in inputs)], ["states"]),
            helper.make_node("Squeeze", ["states", "one"], ["state"]),
            helper.make_node("MatMul", ["state", "out"], ["plain"]),
            helper.make_node("Add", ["plain", "script"], ["logits"]),
            helper.make_node("Expand", ["state", "cache_shape"], ["cache"]),
            helper.make_node("Mul", ["length", "times"], ["read_length"]),
            helper.make_node("Add", ["read_length", "offset"], ["position"]),
        ]
        constants = {
            "embedding": self.embedding,
            "range": np.arange(PROMPT)[None, None],
            "all": np.float32(PROMPT),
            "one": np.array([1]),
            "out": self.out,
            "script": self.script[:1],
            "cache_shape": np.array(self._cache),
            "times": np.array([0 if self.family.begins else 1]),
            "offset": np.array([self.first_slot(0)]),
        }
        outputs = {
            "logits": (FLOAT, [1, self.words]),
            "position": (INT64, [1]),
            "cache": (FLOAT, self._cache),
        }
        if "cross" in self.family.handed:
            outputs["cross"] = (FLOAT, [1, 1, WIDTH])
            nodes.append(helper.make_node("Identity", ["states"], ["cross"]))
        inputs |= {"ids": (INT64, [1, PROMPT]), "length": (INT64, [1])}
        return _model(nodes, inputs, outputs, constants)

    def _decode(self) -> onnx.ModelProto:
        """Make the new state of half the old one, the token, its position, and the means of `handed`.

        The script is read at the index in the answer, which only a runtime that keeps `position` gets right.
        """
        kinds = {"cross": (FLOAT, [1, 1, WIDTH]), "length": (INT64, [1])}
        handed = {name: kinds.get(name, (FLOAT, self._features)) for name in self.family.handed}
        inputs = {"token": (INT64, [1, 1]), "position": (INT64, [1]), "past": (FLOAT, self._cache), **handed}
        nodes = [
            helper.make_node("Gather", ["past", "slot"], ["old"], axis=3),
            helper.make_node("ReduceMean", ["old", "axes"], ["old_state"], keepdims=0),  # (1, WIDTH)
            helper.make_node("Mul", ["old_state", "half"], ["kept"]),
            helper.make_node("Squeeze", ["token", "one"], ["tokens"]),
            helper.make_node("Gather", ["embedding", "tokens"], ["embedded"]),
            helper.make_node("Gather", ["places", "position"], ["place"]),
        ]
        parts = ["kept", "embedded", "place"]
        for name in handed:
            nodes += [
                helper.make_node("Cast", [name], [f"float_{name}"], to=FLOAT),
                helper.make_node("ReduceMean", [f"float_{name}"], [f"mean_{name}"], keepdims=0),
                helper.make_node("Div", [f"mean_{name}", "hundred"], [f"part_{name}"]),
            ]
            parts.append(f"part_{name}")
        nodes += [
            helper.make_node("Sum", parts, ["state"]),
            helper.make_node("MatMul", ["state", "out"], ["plain"]),
            helper.make_node("Expand", ["state", "cache_shape"], ["cache"]),
            helper.make_node("Sub", ["position", "before"], ["after"]),
            helper.make_node("Clip", ["after", "zero", "last"], ["at"]),
            helper.make_node("Gather", ["script", "at"], ["said"]),
            helper.make_node("Add", ["plain", "said"], ["logits"]),
        ]
        constants = {
            "slot": np.array([0]),
            "axes": np.array([0, 1, 2]),
            "half": np.float32(0.5),
            "hundred": np.float32(100),
            "one": np.array([1]),
            "embedding": self.embedding,
            "places": self.places,
            "out": self.out,
            "cache_shape": np.array(self._cache),
            "script": self.script,
            "before": np.array([self.first - 1]),
            "zero": np.array(0),
            "last": np.array(len(self.script) - 1),
        }
        outputs = {"logits": (FLOAT, [1, self.words]), "cache": (FLOAT, self._cache)}
        return _model(nodes, inputs, outputs, constants)


def _model(nodes: list, inputs: dict, outputs: dict, constants: dict) -> onnx.ModelProto:
    def values(specs: dict) -> list:
        return [helper.make_tensor_value_info(name, *spec) for name, spec in specs.items()]

    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", values(inputs), values(outputs), weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def open_bundle(
    name: str, says: str | None = None, to: str = "", *, slots: int = SLOTS, max_tokens: int = 60, **changes
) -> tuple[Bundle, TinyModel, Tokenizer]:
    """Return a bundle of a family; with `says`, it answers the prompt `to` with that."""
    family = FAMILIES[name]
    tokenizer = tokenizer_of(family)
    end: int | None = tokenizer.token_to_id(family.end)
    assert end is not None, family.end
    script: list[int] = []
    if says is not None:
        script = [*tokenizer.encode(says, add_special_tokens=False).ids, end]
        if family.begins:
            script = [tokenizer.token_to_id("<s>"), *script]
    asked = len(ids_after_image(tokenizer, name, to, family.tokens))
    net = TinyModel(family, tokenizer.get_vocab_size(), slots, script, asked)
    contents = {role: graph.SerializeToString() for role, graph in net.graphs().items()}
    infos = {role: graph_info(role, content) for role, content in contents.items()}
    contents["tokenizer"] = tokenizer.to_str().encode()
    manifest = Manifest(
        schema_version=1,
        name=f"open-{name}",
        family=name,
        policy="grounding",
        goals=("find_object", "follow_object", "describe_scene"),
        prompts={},
        vocabulary=Vocabulary(),
        image=ImageSpec(height=SIDE, width=SIDE, resize="bicubic", mean=HALF, std=HALF, fit=family.fit),
        action=None,
        graphs=infos,
        files={"tokenizer": file_info("tokenizer.json", contents["tokenizer"])},
        target=Target(engine="onnxruntime"),
        provenance={},
        parity={},
        answer=AnswerSpec(max_tokens=max_tokens, end_ids=(end,)),
    )
    return make_bundle(manifest.model_copy(update=changes), contents), net, tokenizer


def graph_info(role: str, content: bytes) -> GraphInfo:
    """Return the manifest's entry for a graph."""
    engine = OnnxEngine(content)
    inputs, outputs = (
        tuple(TensorInfo(name=spec.name, dtype=str(spec.dtype), shape=spec.shape) for spec in specs)
        for specs in (engine.inputs, engine.outputs)
    )
    engine.close()
    file = file_info(f"{role}.onnx", content)
    return GraphInfo(**file.model_dump(), inputs=inputs, outputs=outputs, precision="fp32")
