"""Graphs with weights outside in other precisions: the same numbers as of graphs that hold their own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto
from transformers import PaliGemmaForConditionalGeneration

from benchmarks.large import questions, small
from edge.bundle.bundle import load_bundle, write_bundle
from edge.engines.onnx import OnnxEngine
from edge.engines.open import open_engine
from edge.errors import UsageError
from export.graphs.family import paligemma_sources
from export.graphs.graph import Graph, read_values
from export.graphs.stream import hollow
from export.graphs.weights import FILE, WeightStore, is_outside, outside, weights_in
from export.large.bundle import large_bundle
from export.large.change import LargeGraphs, change_large, nearest_int4
from export.measure.ranges import compute_ranges
from export.measure.stages import RangeObserver, tokens, walk
from export.precision.int8 import Int8
from tests.export.precision.precision_net import feeds, net

IMAGE_TOKENS = 16
STEPS = 2


@pytest.fixture(scope="module")
def config():
    return small(text_width=256, vocabulary=1024)


@pytest.fixture(scope="module")
def model(config) -> PaliGemmaForConditionalGeneration:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return PaliGemmaForConditionalGeneration(config).eval()


def exported(model, config, folder: Path) -> LargeGraphs:
    side = config.vision_config.image_size
    store = WeightStore(folder, 1024)
    with weights_in(store):
        sources = paligemma_sources(model, side, side)
        return LargeGraphs({n: Graph.parse(s.to_onnx(), store) for n, s in sources.items()}, store)


@pytest.fixture(scope="module")
def base(model, config, tmp_path_factory: pytest.TempPathFactory) -> LargeGraphs:
    return exported(model, config, tmp_path_factory.mktemp("base"))


def quiet(what: str, done: int, total: int) -> None:
    pass


def outside_of(graph: Graph, folder: Path) -> Graph:
    """The same graph with its weights in a file."""
    store = WeightStore(folder, 64)
    model = graph.model
    kept = [store.put(tensor.name, np.array(read_values(tensor))) for tensor in model.graph.initializer]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    assert outside(model)
    return Graph(model, store)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_change_of_precision_is_the_same_wherever_weights_lie(kind: str, tmp_path: Path):
    ranges = compute_ranges(net(), feeds(), "minmax")
    change: Callable[[Graph], Graph] = (
        (lambda graph: nearest_int4(graph, "onnxruntime"))
        if kind == "int4"
        else Int8(ranges, "onnxruntime").apply
    )
    graph = outside_of(net(), tmp_path)
    assert graph.store is not None
    changed = change(graph)
    first = OnnxEngine(change(net()).content)
    second = OnnxEngine(changed.content, weights=graph.store.file)
    for feed in feeds():
        np.testing.assert_array_equal(first.run(feed)["features"], second.run(feed)["features"])


def test_ranges_are_those_of_onnxruntimes_calibrator(tmp_path: Path):
    observer = RangeObserver(outside_of(net(), tmp_path), 1)
    for feed in feeds():
        assert set(observer.run(feed)) == {"features"}
    wanted = compute_ranges(net(), feeds(), "minmax")
    assert {"n1", "q", "n2", "up", "active", "down"} <= set(observer.ranges)
    for name, span in observer.ranges.items():
        assert span == pytest.approx(wanted[name], rel=1e-6)


@pytest.mark.slow  # test_families.py exports Qwen3-VL so, whose answers are torch's
def test_a_model_that_is_fetched_weight_by_weight_makes_the_same_graphs(
    model, config, base: LargeGraphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("export.graphs.stream.LATER_BYTES", 1 << 14)
    given = dict(model.named_parameters())
    fetched: list[str] = []

    def source(name: str) -> torch.Tensor:
        fetched.append(name)
        return given[name].detach().to(torch.float64)  # as another type in a checkpoint would be

    empty = hollow(lambda: PaliGemmaForConditionalGeneration(config).eval(), source)
    assert not any("mlp" in name and name.endswith("weight") for name in fetched)
    graphs = exported(empty, config, tmp_path)
    assert any("mlp" in name and name.endswith("weight") for name in fetched)
    for stage in base.graphs:
        a, b = base.open(stage), graphs.open(stage)
        rng = np.random.default_rng(0)
        feed = {
            spec.name: rng.normal(size=spec.shape).astype(spec.dtype)
            if spec.dtype.kind == "f"
            else np.full(spec.shape, 7, spec.dtype)
            for spec in a.inputs
        }
        wanted, found = a.run(feed), b.run(feed)
        for name in wanted:
            np.testing.assert_allclose(wanted[name], found[name], rtol=1e-5, atol=1e-5)


def test_answers_go_from_stage_to_stage_as_in_torch(model, config, base: LargeGraphs):
    prompts = questions(config, 2, 0)
    calls = walk(base.open, prompts, STEPS, lambda stage: None)
    for question, answer in zip(prompts, tokens(calls), strict=True):
        ids = [config.image_token_id] * IMAGE_TOKENS + question["ids"][0][
            : int(question["length"][0])
        ].tolist()
        prompt_tokens = len(ids)
        for token in answer:
            logits = model(
                input_ids=torch.tensor([ids]),
                pixel_values=torch.from_numpy(question["pixel_values"]),
                token_type_ids=torch.tensor([[0] * prompt_tokens + [1] * (len(ids) - prompt_tokens)]),
                attention_mask=torch.ones(1, len(ids)),
            ).logits
            assert int(logits[0, -1].argmax()) == token
            ids.append(token)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_a_large_bundle_in_another_precision_answers_and_shares(
    precision, config, base: LargeGraphs, tmp_path: Path, tiny_bundle: Path
):
    prompts = questions(config, 3, 0)
    change = change_large(base, precision, "onnxruntime", prompts[:2], prompts[2:], quiet, STEPS)
    assert set(change.parity.stages) == {"vision", "prefill", "decode"}
    assert not [failure for failure in change.parity.failures if "stage" in failure]
    assert set(change.ranges) == ({"vision"} if precision == "int4" else {"vision", "prefill", "decode"})
    manifest = load_bundle(tiny_bundle).manifest
    files = {"parity": change.parity.to_json()}
    bundle = large_bundle(manifest, change.graphs, files, tmp_path / FILE, precision)
    write_bundle(tmp_path / "out", bundle)
    again = load_bundle(tmp_path / "out")
    assert {role: info.precision for role, info in again.manifest.graphs.items()} == {
        "vision": "int8",
        "prefill": precision,
        "decode": precision,
    }
    infos = again.manifest.graphs
    held = sum(info.weights_bytes for info in infos.values())
    assert held - len(bundle.contents["weights"]) > 0.8 * infos["decode"].weights_bytes
    twice = walk(lambda stage: open_engine(again, stage), prompts[2:], STEPS, lambda stage: None)
    assert len(tokens(twice)[0]) == 1 + STEPS
    assert json.loads(again.read("parity"))["precision"] == precision


def test_a_stage_that_is_off_is_named(config, base: LargeGraphs, monkeypatch: pytest.MonkeyPatch):
    prompts = questions(config, 2, 0)

    def far(ranges, profile):
        return Int8(dict.fromkeys(ranges, (-1e6, 1e6)), profile)

    monkeypatch.setattr("export.large.change.Int8", far)
    change = change_large(base, "int8", "onnxruntime", prompts[:1], prompts[1:], quiet, 1)
    assert any("stage vision" in failure for failure in change.parity.failures)


def test_no_questions_are_bad_usage(base: LargeGraphs):
    with pytest.raises(UsageError, match="no questions"):
        change_large(base, "int8", "onnxruntime", [], [], quiet)


def test_tables_that_are_looked_up_are_cast_row_by_row(base: LargeGraphs):
    graph = nearest_int4(base.graphs["decode"], "onnxruntime").model.graph
    halves = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    large = {tensor.name for tensor in graph.initializer if is_outside(tensor)}
    read = {name: node.op_type for node in graph.node for name in node.input if name in halves & large}
    assert set(read.values()) == {"Gather"}
