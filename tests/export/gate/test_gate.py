"""The gate between an fp32 bundle and its copy in another precision."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from calibration.sample_set import CalibrationSet, Question, read_set, write_set
from edge.bundle.bundle import load_bundle, write_bundle
from edge.bundle.parity import print_parity
from edge.commands.run import main as run_main
from edge.errors import BundleRefused, UsageError
from export.change_precision import change_precision, with_graphs
from export.commands.export import main
from export.gate import judge as gate_module
from export.gate.judge import judge
from export.gate.records import Limits, Parity
from export.graphs.edit import Draft
from export.graphs.fusion.fuse import fuse
from export.graphs.graph import Graph
from export.measure.feeds import collect_feeds
from export.measure.ranges import compute_ranges
from export.precision.candidate import Candidate
from export.precision.half import Half
from export.precision.options import AUTO_BUDGETS_DB, PrecisionOptions
from export.precision.search import PrecisionSearch
from tests.calibration.test_activations import picture
from tests.export.gate.broken import quantize_any


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> CalibrationSet:
    folder = tmp_path_factory.mktemp("sets") / "set"
    words = ["red cup", "blue box", "ball", "green chair"]
    questions = [Question(goal="find_object", target=w, prompt=f"detect {w}") for w in words]
    questions.append(Question(goal="describe_scene", target="", prompt="caption en"))
    parts = [("calibrate" if i < 4 else "held-out", picture(i), questions) for i in range(8)]
    write_set(folder, "paligemma", "test", parts)  # type: ignore[arg-type]
    return read_set(folder, "paligemma")


def export(bundle: Path, out: Path, calibration: CalibrationSet, *more: str) -> int:
    return main([str(bundle), "--out", str(out), "--calibration", str(calibration.folder), *more])


def test_fp16_is_written_with_what_it_was_judged_by(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Random weights see nothing with confidence, and their words are near-ties.
    monkeypatch.setattr(gate_module, "LIMITS", Limits(min_detections=0, iou_median=0.0, words_equal=0.5))
    assert export(tiny_bundle, tmp_path / "half", calibration, "--precision", "fp16") == 0
    manifest = load_bundle(tmp_path / "half").manifest
    assert {role: graph.precision for role, graph in manifest.graphs.items()} == dict.fromkeys(
        ("vision", "prefill", "decode"), "fp16"
    )
    assert manifest.provenance["calibration_sha256"] == calibration.digest
    assert manifest.provenance["fp32_sha256"] == load_bundle(tiny_bundle).sha256
    parity = json.loads((tmp_path / "half" / "parity.json").read_text())
    assert parity["failures"] == []
    assert parity["stages"]["vision"]["cosine"] > 0.99
    assert parity["limits"]["stage_cosine"] == Limits().stage_cosine
    assert manifest.parity["gate_cosine_vision"] == parity["stages"]["vision"]["cosine"]


def test_too_far_from_fp32_writes_nothing_and_force_says_so(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path
):
    # A net with random weights sees nothing with confidence, and that proves nothing.
    with pytest.raises(BundleRefused, match="detections of the fp32 bundle") as refusal:
        export(tiny_bundle, tmp_path / "out", calibration, "--precision", "int8")
    assert refusal.value.exit_code == 6
    assert not (tmp_path / "out").exists()
    export(tiny_bundle, tmp_path / "out", calibration, "--precision", "int4", "--method", "minmax", "--force")
    with pytest.raises(BundleRefused, match="failed the gate of its export") as refusal:
        load_bundle(tmp_path / "out")
    assert "--allow-unproved" in refusal.value.hint
    with pytest.raises(BundleRefused, match="failed the gate"):
        run_main(["--goal", "find_object", "--target", "cup", "--bundle", str(tmp_path / "out")])
    forced = load_bundle(tmp_path / "out", allow_unproved=True)
    precisions = {role: graph.precision for role, graph in forced.manifest.graphs.items()}
    assert precisions == {"vision": "int8", "prefill": "int8", "decode": "int4"}
    about = json.loads(forced.read("calibration"))
    assert about["digest"] == calibration.digest
    assert set(about["graphs"]) == {"vision", "prefill", "decode"}
    assert about["graphs"]["decode"]["ranges"] == {}


@pytest.mark.parametrize("kind", ["LayerNormalization", "Softmax"])
def test_int8_in_norms_or_softmax_is_refused_by_name(
    kind: str, tiny_bundle: Path, calibration: CalibrationSet, monkeypatch: pytest.MonkeyPatch
):
    base = load_bundle(tiny_bundle)
    graph = Graph.parse(base.read("vision"))
    feeds = collect_feeds(base, calibration.calibrate)["vision"]
    wide = {
        name: (50 * low - 50, 50 * high + 50)  # as outliers would make it
        for name, (low, high) in compute_ranges(
            graph, feeds, "minmax", ["LayerNormalization", "Softmax"]
        ).items()
    }
    names = [node.name for node in graph.model.graph.node if node.op_type == kind]
    broken = quantize_any(graph, names, wide)
    monkeypatch.setattr(gate_module, "LIMITS", Limits(stage_cosine=0.9999, stage_sqnr_db=60))
    other = with_graphs(base, {"vision": broken})
    parity = judge(base, other, calibration.held_out, "int8", "ONNX Runtime", {}, quiet)
    (failure,) = (one for one in parity.failures if one.startswith("stage vision"))
    assert kind in failure
    print_parity(parity.to_json())


def test_norms_that_overflow_in_fp16_are_refused_by_name(
    tiny_bundle: Path, calibration: CalibrationSet, monkeypatch: pytest.MonkeyPatch
):
    base = load_bundle(tiny_bundle)
    draft = Draft(Graph.parse(base.read("vision")))
    graph = draft.model.graph
    norm = next(node for node in graph.node if node.op_type == "LayerNormalization")
    scale = next(weight for weight in graph.initializer if weight.name == norm.input[1])
    large = np.full(list(scale.dims), 1e9, np.float32)
    scale.CopyFrom(numpy_helper.from_array(large, scale.name))
    big = draft.graph()
    loud = with_graphs(base, {"vision": big})
    broken = Half("fp16", also=[norm.name]).apply(big)
    parity = judge(
        loud, with_graphs(loud, {"vision": broken}), calibration.held_out, "fp16", "ONNX Runtime", {}, quiet
    )
    (failure,) = parity.failures
    assert "NaN or infinity" in failure
    assert norm.name in failure
    assert parity.answers is None
    assert json.loads(parity.to_json())["worst"]["vision"][0]["added"] is None


def test_what_can_not_be_made_is_bad_usage(tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path):
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(UsageError, match="needs --calibration"):
        main([str(tiny_bundle), *out, "--precision", "int8"])
    with pytest.raises(UsageError, match="no bf16"):
        export(tiny_bundle, tmp_path / "out", calibration, "--precision", "bf16")
    with pytest.raises(UsageError, match="other precisions than fp32"):
        export(tiny_bundle, tmp_path / "out", calibration)
    with pytest.raises(UsageError, match="is an fp32 bundle already"):
        main([str(tiny_bundle), *out])
    half = load_bundle(tiny_bundle)
    graphs = {r: g.model_copy(update={"precision": "fp16"}) for r, g in half.manifest.graphs.items()}
    write_bundle(
        tmp_path / "half",
        type(half)(half.manifest.model_copy(update={"graphs": graphs}), half.contents, half.sha256),
    )
    with pytest.raises(UsageError, match="is not fp32"):
        export(tmp_path / "half", tmp_path / "out", calibration, "--precision", "int8")
    assert not (tmp_path / "out").exists()


def test_auto_says_what_it_chose_and_why(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--precision", "auto", "--method", "minmax", "--budget-db", "35", "--force"]
    assert export(tiny_bundle, tmp_path / "out", calibration, *options) == 0
    assert "layers kept high" in capsys.readouterr().out
    bundle = load_bundle(tmp_path / "out", allow_unproved=True)
    base = load_bundle(tiny_bundle)
    graphs = json.loads(bundle.read("calibration"))["graphs"]
    assert set(graphs) == set(bundle.manifest.graphs) == {"vision", "prefill", "decode"}
    for role, about in graphs.items():
        chosen = about["chosen"]
        assert {one["node"] for one in chosen} == set(fuse(Graph.parse(base.read(role))).layers)
        assert sum(one["noise"] for one in chosen) <= 10**-3.5
        assert all((one["precision"] == "int8") == (one["why"] == "") for one in chosen)


def test_auto_has_tighter_budgets_until_the_gate_passes_one(tiny_bundle: Path, calibration: CalibrationSet):
    def budgets(**options: Any) -> list[float | None]:
        search = PrecisionSearch(
            load_bundle(tiny_bundle),
            PrecisionOptions(profile="onnxruntime", **options),
            calibration,
            quiet,
        )
        return list(search.budgets_db)

    assert budgets(precision="auto") == list(AUTO_BUDGETS_DB) == sorted(AUTO_BUDGETS_DB)
    assert budgets(precision="auto", budget_db=30.0) == [30.0]
    assert budgets(precision="int8") == [None]


def test_auto_goes_on_with_the_next_budget_when_the_gate_refuses(
    tiny_bundle: Path, calibration: CalibrationSet, monkeypatch: pytest.MonkeyPatch
):
    verdicts = iter([["too far"], ["still"], []])
    tried: list[float | None] = []
    found = PrecisionSearch.candidates

    def candidates(self: PrecisionSearch, budget_db: float | None) -> dict[str, Candidate]:
        tried.append(budget_db)
        return found(self, budget_db)

    def verdict(*args: Any, **kwargs: Any) -> Parity:
        return replace(judge(*args, **kwargs), failures=next(verdicts))

    monkeypatch.setattr(PrecisionSearch, "candidates", candidates)
    monkeypatch.setattr("export.change_precision.judge", verdict)
    options = PrecisionOptions("auto", "onnxruntime", method="minmax", smooth="off")
    base = load_bundle(tiny_bundle)
    _, parity, _ = change_precision(base, options, calibration, force=False, on_progress=quiet)
    assert tried == list(AUTO_BUDGETS_DB[:3]) and parity.failures == []


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("fp8", "FLOAT8E4M3FN"), pytest.param("nvfp4", "FLOAT4E2M1", marks=pytest.mark.slow)],
)
def test_floats_of_8_and_4_bits_are_judged_by_their_twin(
    precision: str, kind: str, tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path
):
    options = ["--precision", precision, "--engine", "tensorrt", "--board", "thor", "--method", "minmax"]
    assert export(tiny_bundle, tmp_path / "out", calibration, *options, "--budget-db", "0", "--force") == 0
    bundle = load_bundle(tmp_path / "out", allow_unproved=True)
    assert {graph.precision for graph in bundle.manifest.graphs.values()} == {precision}
    assert bundle.manifest.target.engine == "tensorrt"
    assert bundle.manifest.provenance["for_board"] == "thor"
    parity = json.loads(bundle.read("parity"))
    assert "rounded tensors" in parity["computed"]
    assert min(stage["cosine"] for stage in parity["stages"].values()) > 0.5
    for role in bundle.manifest.graphs:
        held = {weight.data_type for weight in Graph.parse(bundle.read(role)).weights.values()}
        assert getattr(TensorProto, kind) in held
