"""ONNX Runtime on a GPU: the fake one of fake_gpu.py, where its CPU provider computes, and a real one."""

import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.bundle.bundle import load_bundle
from edge.engines import onnx_cuda
from edge.engines.onnx import open_session
from edge.engines.onnx_cuda import OnnxCudaEngine
from edge.engines.open import graph_engine, open_engine
from edge.errors import BundleRefused, EngineFault, HardwareMissing
from edge.model.actions import ActionModel
from edge.model.grounding import GroundingModel
from tests.edge.engines.fake_gpu import FakeGpu
from tests.edge.engines.test_tensorrt import X, _image, _model

CUDA = "CUDAExecutionProvider"
SHIPPED = ("default", "head", "token")


class FakeProvider:
    """ONNX Runtime's CUDA provider: its CPU provider, which reads and writes the fake GPU's memory."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu, self.opened, self.runs = gpu, [], 0
        self.captures, self.begins, self.failing = True, True, False

    def open(self, model: bytes, options: Any, providers: list[Any]) -> "FakeProvider":
        (name, settings), _ = providers
        assert name == CUDA and settings["use_tf32"] == "0" and settings["user_compute_stream"] == "42"
        self.opened.append(settings)
        if not self.captures and "enable_cuda_graph" in settings:
            raise BundleRefused("not all of it is on the GPU")
        self.session = open_session(model, options, ["CPUExecutionProvider"])
        self.get_inputs, self.get_outputs = self.session.get_inputs, self.session.get_outputs
        return self

    def get_providers(self) -> list[str]:
        return [CUDA, "CPUExecutionProvider"] if self.begins else ["CPUExecutionProvider"]

    def io_binding(self) -> Any:
        binding = self.session.io_binding()

        def bound(bind: Any) -> Any:
            def to_memory(name: str, device: str, number: int, *spec: Any) -> None:
                assert device == "cuda" and spec[-1] in self.gpu.memory
                bind(name, "cpu", number, *spec)

            return to_memory

        return SimpleNamespace(
            real=binding, bind_input=bound(binding.bind_input), bind_output=bound(binding.bind_output)
        )

    def run_with_iobinding(self, binding: Any) -> None:
        if self.failing:
            raise RuntimeError("CUDA failure 700")
        self.runs += 1
        self.gpu._put(lambda: self.session.run_with_iobinding(binding.real))
        self.gpu.cudaStreamSynchronize(42)  # as the provider does behind each run


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    fake = FakeGpu()
    fake.install(monkeypatch)
    yield fake
    fake.forget()


@pytest.fixture
def provider(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    fake = FakeProvider(gpu)
    monkeypatch.setattr(onnx_cuda, "open_session", fake.open)
    monkeypatch.setattr(onnx_cuda, "_ort", SimpleNamespace(get_available_providers=lambda: [CUDA]))
    return fake


def test_it_computes_as_on_the_cpu_and_gives_all_memory_back(gpu: FakeGpu, provider: FakeProvider):
    engine = OnnxCudaEngine(_model("Sqrt"))
    assert engine.captured and provider.runs == 1
    taken = gpu.taken
    first = engine.run({"x": X})["y"]
    second = engine.run({"x": X + 1})["y"]
    np.testing.assert_array_equal(first, np.sqrt(X))  # stays valid through the next call
    np.testing.assert_array_equal(second, np.sqrt(X + 1))
    assert gpu.taken == taken
    engine.close()
    assert not gpu.memory


def test_what_can_not_be_captured_warns_and_runs(provider: FakeProvider):
    provider.captures = False
    with pytest.warns(UserWarning, match="can't be captured"):
        engine = OnnxCudaEngine(_model("Sqrt"))
    assert not engine.captured and "enable_cuda_graph" not in provider.opened[-1]
    np.testing.assert_array_equal(engine.run({"x": X})["y"], np.sqrt(X))


def test_a_graph_that_does_not_load_is_refused_and_not_called_uncaptured(provider: FakeProvider):
    with warnings.catch_warnings(), pytest.raises(BundleRefused, match="cannot load"):
        warnings.simplefilter("error")
        OnnxCudaEngine(b"no graph")


def test_a_provider_that_does_not_begin_is_missing_and_never_the_cpu(provider: FakeProvider):
    provider.begins = False
    with pytest.raises(HardwareMissing, match="CUDA provider"):
        OnnxCudaEngine(_model("Sqrt"))


def test_a_fault_of_the_gpu_is_one_of_the_engine(provider: FakeProvider):
    engine = OnnxCudaEngine(_model("Sqrt"))
    provider.failing = True
    with pytest.raises(EngineFault, match="CUDA failure 700"):
        engine.run({"x": X})
    provider.failing = False
    with pytest.raises(EngineFault, match="NaN or infinity in 'y'"):
        engine.run({"x": -X})


def test_without_cuda_nothing_falls_back(gpu: FakeGpu):
    """This machine's own ONNX Runtime has no CUDA provider."""
    if CUDA in onnx_cuda._ort.get_available_providers():
        pytest.skip("it has one here")
    with pytest.raises(HardwareMissing, match="on the CPU alone") as refused:
        OnnxCudaEngine(_model("Sqrt"))
    assert "onnxruntime-gpu" in refused.value.hint


def test_a_bundle_answers_the_same_and_keeps_its_cache_on_the_gpu(
    gpu: FakeGpu, provider: FakeProvider, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnx_cuda, "open_session", lambda *opened: FakeProvider(gpu).open(*opened))
    with (
        GroundingModel(load_bundle(tiny_bundle)) as wanted,
        GroundingModel(load_bundle(tiny_bundle, engine="cuda")) as model,
    ):
        cache_bytes = [
            int(np.prod(spec.shape)) * spec.dtype.itemsize
            for spec in model._engines.decode.outputs
            if spec.name == "cache"
        ]
        for seed in range(3):
            gpu.copies.clear()
            found, expected = (each.ground(_image(seed), "detect cup", "cup") for each in (model, wanted))
            assert (found.text, found.confidence) == (expected.text, pytest.approx(expected.confidence))
            moved = [copy for copy in gpu.copies if copy[2] == cache_bytes[0]]
            assert moved and not gpu.pinned & {address for to, source, _ in moved for address in (to, source)}


@pytest.mark.gpu
@pytest.mark.parametrize("name", SHIPPED)
def test_on_a_gpu_a_shipped_bundle_decides_as_on_the_cpu(name: str):
    wanted, bundle = load_bundle(name, engine="cpu"), load_bundle(name, engine="cuda")
    for stage in bundle.manifest.graphs:
        graph, engine = graph_engine(wanted, stage), open_engine(bundle, stage)
        inputs = {
            spec.name: np.random.default_rng(0).normal(size=spec.shape).astype(spec.dtype)
            if spec.dtype.kind == "f"
            else np.ones(spec.shape, spec.dtype)
            for spec in graph.inputs
        }
        expected, found = graph.run(inputs), engine.run(inputs)
        for output, value in expected.items():
            np.testing.assert_allclose(np.asarray(found[output]), value, rtol=1e-3, atol=1e-4)
        engine.close()
    make = GroundingModel if bundle.manifest.head is None else ActionModel
    with make(wanted) as on_cpu, make(bundle) as on_gpu:
        for seed in range(20):
            image = _image(seed)
            if isinstance(on_cpu, GroundingModel) and isinstance(on_gpu, GroundingModel):
                one, other = (each.ground(image, "detect cup", "cup") for each in (on_cpu, on_gpu))
                assert one.text == other.text
            elif isinstance(on_cpu, ActionModel) and isinstance(on_gpu, ActionModel):
                one, other = (each.step(image, "find the cup") for each in (on_cpu, on_gpu))
                np.testing.assert_allclose(one.actions, other.actions, atol=1e-3)


def test_an_engine_that_is_asked_for_needs_no_plans(tiny_bundle: Path):
    bundle = load_bundle(tiny_bundle, engine="cpu")
    plan = bundle.manifest.model_copy(
        update={"target": bundle.manifest.target.model_copy(update={"engine": "tensorrt"})}
    )
    engine = open_engine(dataclasses.replace(bundle, manifest=plan), "vision")
    assert bundle.origin()["engine"] == "cpu"
    engine.close()
