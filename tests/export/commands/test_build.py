"""`vla-edge build` around the builder, which tests/export/tensorrt tests; the GPU is a fake."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edge.bundle.bundle import load_bundle
from edge.cli import main
from edge.engines.onnx import OnnxEngine
from edge.engines.tensorrt import TensorRTEngine
from edge.errors import BundleRefused, HardwareMissing, UsageError
from edge.model.grounding import GroundingModel
from export.commands import build as build_command
from export.sources.policy_files import read_trained_policy
from export.tensorrt import torch2trt
from export.tensorrt.layers import Layer
from export.tensorrt.plans import Plan
from export.tensorrt.proof import compare
from tests.edge.engines.fake_gpu import FakeGpu

PLAN = Plan(b"", 0, 1.5, 0, (), (Layer("gemm", "gemm", ("node",), ("fp16",), ("fp16",)),))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    fake = FakeGpu()
    fake.install(monkeypatch)
    # The fake's plans are the graphs themselves.
    monkeypatch.setattr(
        build_command,
        "build_plan",
        lambda role, onnx, *_: replace(PLAN, content=onnx, onnx_bytes=len(onnx)),
    )
    yield fake
    fake.forget()


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def test_plans_are_added_beside_the_graphs(
    gpu: FakeGpu, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["build", str(folder), "--out", str(tmp_path / "new"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["plans"]) == {"vision", "prefill", "decode"}
    bundle = load_bundle(tmp_path / "new", whole=True)
    assert bundle.read("vision") == (folder / "vision.onnx").read_bytes()
    target = bundle.manifest.target
    assert (target.engine, target.device, target.tensorrt) == ("tensorrt", "Orin, sm_87", "10.3.0")
    assert {name for name in bundle.manifest.parity if name.startswith("plan_")} == {
        "plan_error_vision",
        "plan_error_prefill",
        "plan_error_decode",
    }
    with GroundingModel(load_bundle(tmp_path / "new")) as model:
        assert isinstance(model._engines.vision, TensorRTEngine)
        model.warm_up()


def test_a_bundle_is_built_again_in_its_place(gpu: FakeGpu, folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["build", str(folder)]) == 0
    assert "1 traced to ONNX nodes" in capsys.readouterr().out
    gpu.__version__ = "10.13.3"
    with pytest.raises(BundleRefused, match=r"built for TensorRT '10\.3\.0'"):
        GroundingModel(load_bundle(folder))
    assert main(["build", str(folder), "--json"]) == 0
    assert load_bundle(folder).manifest.target.tensorrt == "10.13.3"
    GroundingModel(load_bundle(folder)).close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"engine": (Layer("slow", "gemm", ("node",), ("fp32",), ("fp32",)),)},
            "1 of 1 layers in wider types .*: slow",
        ),
        ({"content": bytes(20 << 20)}, "wider than the graph's"),
    ],
)
def test_plans_that_became_wider_are_refused_unless_accepted(
    change: dict[str, Any], says: str, gpu: FakeGpu, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = replace(PLAN, onnx_bytes=1000, **change)
    with pytest.raises(BundleRefused, match=says) as refusal:
        plan.check("vision")
    assert "--accept-wider" in refusal.value.hint
    monkeypatch.setattr(build_command, "build_plan", lambda role, onnx, *_: replace(plan, content=onnx))
    monkeypatch.setattr(Plan, "check", lambda self, role: pytest.fail("checked"))
    assert main(["build", str(folder), "--accept-wider"]) == 0


def test_a_plan_that_computes_something_else_is_refused(tiny_bundle: Path):
    bundle = load_bundle(tiny_bundle)
    graph, plan = OnnxEngine(bundle.read("vision")), OnnxEngine(bundle.read("vision"))
    assert compare("vision", graph, plan) == 0
    right = plan.run
    plan.run = lambda inputs: {name: 1.2 * value for name, value in right(inputs).items()}
    with pytest.raises(BundleRefused, match=r"vision is 0\.200 off"):
        compare("vision", graph, plan)


def test_without_tensorrt_the_hint_says_what_to_install(folder: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "tensorrt", None)
        assert main(["build", str(folder)]) == HardwareMissing.exit_code
    assert "apt install python3-libnvinfer" in capsys.readouterr().err
    assert load_bundle(folder).manifest.target.engine == "onnxruntime"


@pytest.mark.parametrize("name", ["default", "default-int8"])
def test_a_bundle_by_name_is_not_replaced(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["build", name]) == UsageError.exit_code
    assert "--out" in capsys.readouterr().err


def test_int8_for_onnx_runtime_is_refused_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["build", "default-int8", "--out", str(tmp_path / "built")]) == BundleRefused.exit_code
    told = capsys.readouterr().err
    assert "vision, prefill, decode of 'default-int8' are int8 for ONNX Runtime" in told
    assert "--engine tensorrt" in told and not (tmp_path / "built").exists()


def test_torch2trt_gets_small_nets_alone(checkpoints: dict[str, Path]):
    image = read_trained_policy(checkpoints["fc"]).image
    assert torch2trt.small_nets(checkpoints["fc"], image).keys() == {"vision", "head"}
    assert torch2trt.small_nets(checkpoints["lstm"], image).keys() == {"vision"}
    with pytest.raises(UsageError, match="for fp32 and fp16, not int8"):
        torch2trt.check_torch2trt("int8")


@pytest.mark.parametrize(
    ("version", "says"), [("11.4.0", "knows TensorRT up to 10"), ("10.3.0", "torch2trt")]
)
def test_torch2trt_is_asked_for_where_it_is_missing(version: str, says: str, gpu: FakeGpu):
    gpu.__version__ = version
    with pytest.raises(UsageError, match=says):
        torch2trt.convert(torch.nn.Linear(2, 2), {"x": torch.zeros(1, 2)}, ["y"])
