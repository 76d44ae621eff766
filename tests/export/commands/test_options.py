"""Options of `vla-edge export` that don't go together, and what it prints of a bundle."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.bundle.bundle import load_bundle
from edge.bundle.manifest import AnswerSpec, TokenRules
from edge.errors import UsageError
from export.commands.export import main
from export.commands.options import parse_options
from export.commands.report import followed
from export.sources.find import ModelKind

GATED = ["--precision", "int8", "--calibration", "set"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int8"], "int8 needs --calibration DIR"),
        (
            ["--precision", "auto", "--calibration", "set", "--engine", "tensorrt"],
            "needs to know the board's",
        ),
        (["--precision", "fp8", "--calibration", "set"], "ONNX Runtime computes no fp8"),
        (
            ["--precision", "fp16", "--calibration", "set", "--method", "entropy"],
            "--method is for precisions",
        ),
        (
            ["--precision", "bf16", "--calibration", "set", "--budget-db", "0"],
            "--budget-db is for precisions",
        ),
        (["--calibration", "set", "--force"], "--calibration, --force are for other precisions than fp32"),
        (["--method", "entropy"], "--method is for other precisions"),
        (["--plot", "gate.png"], "--plot is for other precisions"),
        (["--against-seed", "head"], "--against-seed is for other precisions"),
        (["--episodes", "3"], "--episodes is for other precisions"),
        (["--engine", "tensorrt"], "--engine tensorrt is for other precisions"),
        ([*GATED, "--plot", "gate.jpg"], "is not a .png file"),
        ([*GATED, "--board", "orin-nano", "--precision", "fp8"], "has no fp8"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_the_model_is_looked_for(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        main([str(tmp_path / "no model"), "--out", str(tmp_path / "out"), *arguments])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("bundle", [], "is an fp32 bundle already"),
        ("bundle", [*GATED, "--floor", "floor.onnx"], "--floor is for checkpoints"),
        ("bundle", [*GATED, "--images", "pictures"], "--images is for checkpoints"),
        ("bundle", ["--engine", "torch2trt"], "this model is a bundle"),
        ("large", ["--engine", "torch2trt"], "this model is a large checkpoint"),
        ("large", ["--images", "pictures"], "--images is for models of up to 1 GiB"),
        ("large", [*GATED, "--method", "minmax"], "--method is for models of up to 1 GiB"),
        ("large", [*GATED, "--budget-db", "0"], "--budget-db is for models of up to 1 GiB"),
        ("large", [*GATED, "--against-seed", "head"], "--against-seed is for models of up to 1 GiB"),
    ],
)
def test_options_that_do_not_go_with_the_model_are_refused(
    kind: ModelKind, arguments: list[str], message: str
) -> None:
    options = parse_options(["MODEL", "--out", "out", *arguments])
    options.validate()
    with pytest.raises(UsageError, match=message):
        options.validate(kind)


@pytest.mark.parametrize("kind", ["family", "tiny", "policy"])
def test_a_small_checkpoint_takes_all_options(kind: ModelKind) -> None:
    options = [
        *GATED,
        "--method",
        "minmax",
        "--budget-db",
        "0",
        "--images",
        "pictures",
        "--floor",
        "floor.onnx",
    ]
    taken = parse_options(["MODEL", "--out", "out", *options])
    taken.validate(kind)
    assert (taken.method, taken.budget_db, str(taken.floor)) == ("minmax", 0.0, "floor.onnx")


def test_what_answers_follow_is_said(tiny_bundle: Path, tmp_path: Path) -> None:
    manifest = load_bundle(tiny_bundle).manifest
    assert followed(manifest) == []
    rules = TokenRules(
        repetition_penalty=1.25, suppress_tokens=(5, 6), bad_words_ids=((1, 2), (3,)), start=(1,)
    )
    many = rules.model_copy(update={"suppress_tokens": tuple(range(90))})
    answers = AnswerSpec(max_tokens=8, end_ids=(2, 30), rules=rules)
    ends = "answers end with token 2 or 30, or after 8 tokens"
    assert followed(manifest.model_copy(update={"answer": answers})) == [
        "repetition_penalty 1.25", "bad_words_ids 1-2 or 3", "suppress_tokens 5 or 6", ends,
    ]  # fmt: skip
    answers = answers.model_copy(update={"rules": many})
    assert "suppress_tokens (90 of them)" in followed(manifest.model_copy(update={"answer": answers}))
    answers = answers.model_copy(update={"rules": None})
    assert followed(manifest.model_copy(update={"answer": answers})) == [ends]


@pytest.fixture
def export(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> Callable:
    monkeypatch.setattr("export.sources.build.build_bundle", lambda *_: load_bundle(tiny_bundle))
    return lambda *more: main([str(tiny_checkpoint), "--out", str(tmp_path / "out"), *more])


def test_parity_is_printed_for_people_and_for_programs(
    export: Callable[..., int], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parity = load_bundle(tiny_bundle).manifest.parity
    assert export() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("MB, fp32") and lines[1] == "parity with torch:"
    assert [line.split() for line in lines[2:]] == [
        ["answers", "8"],
        ["equal", "100%", "of", "them"],
        ["max", "logit", "error", f"{parity['max_logit_error']:.4g}"],
    ]
    assert export("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"out", "bytes", "parity", "precision", "unproved", "notes"}
    assert told["parity"] == parity
