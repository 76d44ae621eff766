"""The engine around TensorRT, on the fake GPU of fake_gpu.py.

What TensorRT and CUDA themselves do is not tested here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.bundle.bundle import Bundle, file_info, load_bundle, make_bundle, write_bundle
from edge.bundle.manifest import Manifest, Target
from edge.engines.cuda import cuda, this_machine
from edge.engines.device import OnDevice
from edge.engines.onnx import OnnxEngine
from edge.engines.open import check_plans, open_engine
from edge.engines.tensorrt import TensorRTEngine
from edge.errors import BundleRefused, EngineFault, HardwareMissing
from edge.model.grounding import GroundingModel
from edge.records import Image
from tests.edge.engines.fake_gpu import FakeGpu, Status
from tests.edge.model.open_bundles import WIDTH, open_bundle

DEVICE = "Orin, sm_87"
R36 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
X = np.array([[1, 2, 4]], np.float32)


def _model(operator: str) -> bytes:
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "one", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    fake = FakeGpu()
    fake.install(monkeypatch)
    yield fake
    fake.forget()


def with_plans(
    bundle: Bundle, device: str = DEVICE, tensorrt: str = "10.3.0", target: Target | None = None
) -> Bundle:
    """Return the bundle with its own graphs as plans, as the fake takes them."""
    plans = {role: bundle.contents[role] for role in bundle.manifest.graphs}
    manifest = bundle.manifest.model_copy(
        update={
            "plans": {role: file_info(f"{role}.plan", plan) for role, plan in plans.items()},
            "target": target or Target(engine="tensorrt", device=device, tensorrt=tensorrt, jetpack="none"),
        }
    )
    return make_bundle(
        manifest, {**bundle.contents, **{f"{role}.plan": plan for role, plan in plans.items()}}
    )


def _image(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (32, 48, 3), np.uint8)


def test_runs_as_onnx_runtime_does(gpu: FakeGpu):
    engine = TensorRTEngine(_model("Sqrt"))
    assert [(spec.name, spec.dtype, spec.shape) for spec in engine.inputs] == [("x", np.float32, (1, 3))]
    np.testing.assert_array_equal(engine.run({"x": X})["y"], np.sqrt(X))
    assert engine.captured
    assert gpu.launches == 1


def test_an_output_survives_the_next_call_and_may_be_its_input(gpu: FakeGpu):
    engine = TensorRTEngine(_model("Neg"))
    first = engine.run({"x": X})["y"]
    second = engine.run({"x": first})["y"]
    np.testing.assert_array_equal(first, -X)
    np.testing.assert_array_equal(second, X)
    assert engine.run({"x": second})["y"] is first


def test_no_memory_is_taken_after_opening_and_all_is_given_back(gpu: FakeGpu):
    engine = TensorRTEngine(_model("Neg"), frozenset({"y"}))
    taken = gpu.taken
    for _ in range(5):
        engine.run({"x": X})
    assert gpu.taken == taken
    engine.close()
    assert gpu.memory == {}


@pytest.mark.parametrize("x", [np.ones((1, 3)), np.ones((1, 4), np.float32), np.ones(3, np.float32)])
def test_wrong_inputs_are_named(x: np.ndarray, gpu: FakeGpu):
    with pytest.raises(ValueError, match="x: want"):
        TensorRTEngine(_model("Neg")).run({"x": x})


def test_infinity_is_a_fault(gpu: FakeGpu):
    engine = TensorRTEngine(_model("Reciprocal"))
    with pytest.raises(EngineFault, match="'y'"):
        engine.run({"x": np.zeros((1, 3), np.float32)})


def test_what_stays_on_the_gpu_is_checked_for_its_age(gpu: FakeGpu):
    maker, user = TensorRTEngine(_model("Neg"), frozenset({"y"})), TensorRTEngine(_model("Abs"))
    stayed = maker.run({"x": X})["y"]
    assert isinstance(stayed, OnDevice)
    np.testing.assert_array_equal(user.run({"x": stayed})["y"], X)
    np.testing.assert_array_equal(np.asarray(stayed), -X)
    own = maker.run({"x": stayed})["y"]
    np.testing.assert_array_equal(np.asarray(own), X)
    with pytest.raises(ValueError, match="overwritten"):
        user.run({"x": stayed})


def test_a_cuda_error_ends_all_engines(gpu: FakeGpu):
    engine, other = TensorRTEngine(_model("Neg")), TensorRTEngine(_model("Neg"))
    gpu.next_status = Status.cudaErrorIllegalAddress
    with pytest.raises(EngineFault, match="cudaErrorIllegalAddress in cudaStreamSynchronize"):
        engine.run({"x": X})
    with pytest.raises(EngineFault, match="failed before: cudaErrorIllegalAddress"):
        other.run({"x": X})
    engine.close()
    other.close()


def test_what_cannot_be_captured_warns_and_runs(gpu: FakeGpu):
    gpu.can_capture = False
    with pytest.warns(UserWarning, match="can't be captured"):
        engine = TensorRTEngine(_model("Neg"))
    assert not engine.captured
    np.testing.assert_array_equal(engine.run({"x": X})["y"], -X)
    assert gpu.launches == 0


def test_a_plan_that_does_not_load_is_refused(gpu: FakeGpu):
    with pytest.raises(BundleRefused, match="does not load") as refusal:
        TensorRTEngine(b"broken")
    assert "vla-edge build" in refusal.value.hint


@pytest.mark.parametrize("init", [RuntimeError("no libcuda.so.1"), Status.CUDA_ERROR_NO_DEVICE])
def test_nothing_is_loaded_without_a_driver(gpu: FakeGpu, init: Status | Exception):
    gpu.init = init
    with pytest.raises(HardwareMissing) as missing:
        TensorRTEngine(_model("Neg"))
    assert missing.value.exit_code == 5
    assert gpu.loaded == 0


def test_the_machine_has_a_name(gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert (this_machine().device, this_machine().sm, this_machine().jetpack) == (DEVICE, "87", "none")
    _set_board(tmp_path, monkeypatch)
    assert this_machine().jetpack == "L4T 36.4.3"
    assert this_machine().device == "NVIDIA Jetson AGX Orin Developer Kit, sm_87"
    assert this_machine().multiprocessors == 16


def _set_board(
    root: Path,
    patch: pytest.MonkeyPatch,
    name: str = "NVIDIA Jetson AGX Orin Developer Kit",
    release: str = R36,
) -> None:
    for path, text in (("etc/nv_tegra_release", release), ("proc/device-tree/model", f"{name}\0")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    patch.setattr("edge.engines.cuda._ROOT", root)


@pytest.mark.parametrize(
    "release", ["", "\n", "# R36", "R36 (release)", "# KERNEL_VARIANT: oot\n", "\x00\xff"]
)
def test_row_38_an_odd_release_file_is_unknown(
    release: str, gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _set_board(tmp_path, monkeypatch, release=release)
    assert this_machine().jetpack == "unknown"


def test_row_37_a_plan_stays_good_when_an_update_renames_the_board(
    gpu: FakeGpu, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    board = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit"
    _set_board(tmp_path, monkeypatch, board)
    bundle = with_plans(load_bundle(tiny_bundle), target=this_machine().target("10.3.0"))
    _set_board(tmp_path, monkeypatch, f"{board} Super")
    check_plans(bundle)


def test_row_37_a_plan_for_more_multiprocessors_is_refused(gpu: FakeGpu, tiny_bundle: Path):
    bundle = with_plans(load_bundle(tiny_bundle), target=this_machine().target("10.3.0"))
    gpu.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 8
    with pytest.raises(
        BundleRefused, match=r"sm_87, 16 multiprocessors.*sm_87, 8 multiprocessors"
    ) as refusal:
        check_plans(bundle)
    assert "vla-edge build" in refusal.value.hint


@pytest.mark.parametrize("padding", [b"\0\0\0", b"\0\0   ", b"\0old\0 ", b"  "])
def test_the_name_of_a_gpu_ends_where_the_driver_pads_it(gpu: FakeGpu, padding: bytes):
    gpu.name = b"NVIDIA H100 80GB HBM3" + padding
    assert this_machine().device == "NVIDIA H100 80GB HBM3, sm_87"


def test_a_bundle_with_plans_answers_the_same_and_keeps_its_cache_on_the_gpu(gpu: FakeGpu, tiny_bundle: Path):
    bundle = load_bundle(tiny_bundle)
    with GroundingModel(bundle) as graphs, GroundingModel(with_plans(bundle)) as plans:
        plans.warm_up()
        gpu.copies.clear()
        for seed in range(3):
            wanted, found = (m.ground(_image(seed), "detect red cup", "red cup") for m in (graphs, plans))
            assert (found.text, found.confidence) == (wanted.text, pytest.approx(wanted.confidence))
    cache_bytes = 4 * np.prod((4, 1, 1, 6 + 8 + 16, 8))
    ways = [
        (to in gpu.pinned or source in gpu.pinned) for to, source, size in gpu.copies if size == cache_bytes
    ]
    assert ways
    assert not any(ways)


def test_what_graphs_hand_on_stays_on_the_gpu(gpu: FakeGpu):
    bundle, _, _ = open_bundle("florence-2", max_tokens=6)
    with GroundingModel(bundle) as graphs, GroundingModel(with_plans(bundle)) as plans:
        gpu.copies.clear()
        for seed in range(2):
            wanted, found = (m.ground(_image(seed), "<OD>", "") for m in (graphs, plans))
            assert (found.text, found.confidence) == (wanted.text, pytest.approx(wanted.confidence))
    handed = 4 * WIDTH  # bytes of `cross`; the image's features and `memory` have four times as many
    ways = {
        (size, to in gpu.pinned, source in gpu.pinned)
        for to, source, size in gpu.copies
        if size in (handed, 4 * handed)
    }
    assert ways == {(handed, False, False), (4 * handed, False, False)}


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (
            {"device": "NVIDIA Thor, sm_110"},
            "built for device 'NVIDIA Thor, sm_110', and this is 'Orin, sm_87'",
        ),
        ({"tensorrt": "10.13.3"}, "built for TensorRT '10.13.3', and this is '10.3.0'"),
    ],
)
def test_plans_of_another_place_are_refused_unloaded(
    made: dict[str, str], says: str, gpu: FakeGpu, tiny_bundle: Path
):
    """Row 39."""
    with pytest.raises(BundleRefused, match=says) as refusal:
        open_engine(with_plans(load_bundle(tiny_bundle), **made), "vision")
    assert "vla-edge build" in refusal.value.hint
    assert gpu.loaded == 0


def test_the_manifest_says_which_engine(gpu: FakeGpu, tiny_bundle: Path):
    bundle = load_bundle(tiny_bundle)
    assert isinstance(open_engine(bundle, "vision"), OnnxEngine)
    assert isinstance(open_engine(with_plans(bundle), "vision"), TensorRTEngine)


def test_graphs_are_left_unread_beside_plans(tiny_bundle: Path, tmp_path: Path):
    bundle = with_plans(load_bundle(tiny_bundle))
    write_bundle(tmp_path / "b", bundle)
    whole, lean = load_bundle(tmp_path / "b", whole=True), load_bundle(tmp_path / "b")
    assert whole.contents == bundle.contents
    assert set(lean.contents) == {"tokenizer", "vision.plan", "prefill.plan", "decode.plan"}
    plan = tmp_path / "b/vision.plan"
    plan.write_bytes(plan.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleRefused, match="altered"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("engine", ["tensorrt", "onnxruntime"])
def test_plans_belong_to_tensorrt_and_are_complete(engine: str, tiny_bundle: Path):
    document = load_bundle(tiny_bundle).manifest.model_dump(mode="json")
    document["target"]["engine"] = engine
    document["plans"] = {"vision": file_info("vision.plan", b"").model_dump()}
    with pytest.raises(ValueError, match="wants plans of"):
        Manifest.model_validate_json(json.dumps(document))


def test_a_bundle_without_its_plans_says_how_to_build_them(tiny_bundle: Path):
    bundle = load_bundle(tiny_bundle)
    target = bundle.manifest.target.model_copy(update={"engine": "tensorrt"})
    bundle = replace(bundle, manifest=bundle.manifest.model_copy(update={"target": target}))
    with pytest.raises(BundleRefused, match="no plans yet") as refused:
        open_engine(bundle, "vision")
    assert "vla-edge build" in refused.value.hint


def test_one_stream_for_all(gpu: FakeGpu):
    assert cuda() is cuda()
    assert cuda().stream == 42


def test_the_names_of_cuda_are_real():
    """All that edge/engines/cuda.py calls is in cuda-python; without a driver there is an error message."""
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="pip install cuda-bindings")
    driver = pytest.importorskip("cuda.bindings.driver")
    source = Path("edge/engines/cuda.py").read_text()
    called = [f"cuda{name}" for name in re.findall(r'\.call\(\s*"(\w+)"', source)]
    others = re.findall(r"_api\.(cuda\w+)((?:\.\w+)?)", source)
    assert len(called) > 10
    assert len(others) > 3
    for name in called:
        assert hasattr(runtime, name)
    for name, member in others:
        assert not member or hasattr(getattr(runtime, name), member[1:]), name
        assert hasattr(runtime, name)
    for name in re.findall(r"\bapi\.(\w+)", source):
        assert hasattr(driver, name)
    for name in re.findall(r"CU_DEVICE_ATTRIBUTE\w+", source):
        assert hasattr(driver.CUdevice_attribute, name)
