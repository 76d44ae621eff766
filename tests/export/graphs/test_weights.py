"""Weights outside of their graphs: stored once, the same numbers, whole or not at all."""

import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx import TensorProto

from edge import cli
from edge.bundle.bundle import Bundle, load_bundle, write_bundle
from edge.errors import BundleRefused, UsageError
from edge.model.grounding import GroundingModel
from export.graphs.edit import constant
from export.graphs.family import paligemma_sources
from export.graphs.graph import Graph, read_values
from export.graphs.weights import (
    FILE,
    WeightStore,
    byte_span,
    gather,
    is_outside,
    outside,
    refer,
    referred_bytes,
    weights_in,
    work_folder,
)
from export.large.bundle import large_bundle
from export.large.change import LargeGraphs
from export.sources.compare import random_patches
from export.tensorrt.plans import build_plan
from tests.export.tensorrt.rtx import RTX
from tests.small_disk import small_files
from vla.backbones.paligemma import load

LEAST_BYTES = 256
TYPES = [np.float32, np.float16, np.int8, np.uint8, np.int64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]


@pytest.fixture(scope="session")
def graphs(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> LargeGraphs:
    """The tiny bundle's, with all that is not tiny outside."""
    whole = load_bundle(tiny_bundle)
    store = WeightStore(tmp_path_factory.mktemp("store"), LEAST_BYTES)

    def moved(role: str) -> Graph:
        model = Graph.parse(whole.read(role)).model
        kept = [store.put(tensor.name, np.array(read_values(tensor))) for tensor in model.graph.initializer]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        return Graph(model, store)

    return LargeGraphs({role: moved(role) for role in whole.manifest.graphs}, store)


@pytest.fixture
def exported(tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path) -> Bundle:
    """The same from the checkpoint, its weights outside from the start."""
    model, config, _ = load(tiny_checkpoint)
    store = WeightStore(tmp_path, LEAST_BYTES)
    size = config.image_height, config.image_width
    with weights_in(store):
        sources = paligemma_sources(model, *size)
        graphs = LargeGraphs({n: Graph.parse(s.to_onnx(), store) for n, s in sources.items()}, store)
    whole = load_bundle(tiny_bundle)
    (tmp_path / "exported").mkdir()
    return large_bundle(
        whole.manifest, graphs, {"tokenizer": whole.read("tokenizer")}, tmp_path / "exported" / FILE, "fp32"
    )


@pytest.fixture
def bundle(graphs: LargeGraphs, tiny_bundle: Path, tmp_path: Path) -> Bundle:
    whole = load_bundle(tiny_bundle)
    files = {"tokenizer": whole.read("tokenizer")}
    return large_bundle(whole.manifest, graphs, files, tmp_path / FILE, "fp32")


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    write_bundle(tmp_path / "apart", bundle)
    return tmp_path / "apart"


# test_large.py exports so in the quick suite, too, and compares with torch.
@pytest.mark.parametrize("made", ["bundle", pytest.param("exported", marks=pytest.mark.slow)])
def test_answers_are_the_same_to_the_bit(
    made: str, request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path
):
    write_bundle(tmp_path / "apart", request.getfixturevalue(made))
    apart, whole = load_bundle(tmp_path / "apart"), load_bundle(tiny_bundle)
    with GroundingModel(apart) as a, GroundingModel(whole) as b:
        apart.release()
        for seed in range(4):
            image = random_patches(seed, 32, 48)
            first, second = a.generation(), b.generation()
            x, y = first.prefill(image, "detect red cup"), second.prefill(image, "detect red cup")
            for token in (40, 50, 60):
                np.testing.assert_array_equal(x, y)
                x, y = first.decode(token), second.decode(token)


def test_each_tensor_is_stored_once_and_prefill_and_decode_share(folder: Path):
    bundle = load_bundle(folder)
    models = {role: Graph.parse(bundle.read(role)).model for role in bundle.manifest.graphs}
    places = {role: {byte_span(tensor) for tensor in outside(model)} for role, model in models.items()}
    every = sorted(set.union(*places.values()))
    assert all(start + length <= after for (start, length), (after, _) in itertools.pairwise(every))
    assert all(start % 64 == 0 for start, _ in every)
    size_bytes = (folder / FILE).stat().st_size
    assert size_bytes == sum(every[-1])
    assert size_bytes - sum(length for _, length in every) < 64 * len(every)
    content = (folder / FILE).read_bytes()
    assert len({content[start : start + length] for start, length in every}) == len(every)
    shared = sum(length for _, length in places["prefill"] & places["decode"])
    assert shared > 0.9 * referred_bytes(bundle.read("decode"))
    for role, info in bundle.manifest.graphs.items():
        assert info.weights_bytes == referred_bytes(bundle.read(role))
        assert info.bytes < (folder.parent / FILE).stat().st_size


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"",
    ],
)
def test_altered_weights_are_refused(folder: Path, change, capsys: pytest.CaptureFixture[str]):
    (folder / FILE).write_bytes(change((folder / FILE).read_bytes()))
    with pytest.raises(BundleRefused, match=r"weights\.bin"):
        load_bundle(folder)
    assert cli.main(["bundle", "verify", str(folder)]) == 6
    assert "weights.bin" in capsys.readouterr().err


def test_missing_weights_are_refused(folder: Path):
    (folder / FILE).unlink()
    with pytest.raises(BundleRefused, match="cannot read"):
        load_bundle(folder)
    (folder / FILE).symlink_to(folder / "vision.onnx")
    with pytest.raises(BundleRefused, match="cannot read"):
        load_bundle(folder)


def test_weights_by_another_role_are_refused(folder: Path):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["other"] = manifest["files"].pop("weights")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match="for weights alone"):
        load_bundle(folder)


def test_large_bundles_are_verified_shown_packed_and_unpacked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["bundle", "verify", str(folder)]) == 0
    assert cli.main(["bundle", "show", str(folder)]) == 0
    assert "weights.bin" in capsys.readouterr().out
    assert cli.main(["bundle", "pack", str(folder), str(tmp_path / "b.zip")]) == 0
    assert cli.main(["bundle", "pack", str(folder), str(tmp_path / "again.zip")]) == 0
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert cli.main(["bundle", "unpack", str(tmp_path / "b.zip"), str(tmp_path / "c")]) == 0
    assert load_bundle(tmp_path / "c") == load_bundle(folder)
    damaged = bytearray((tmp_path / "b.zip").read_bytes())
    damaged[damaged.index((folder / FILE).read_bytes()[:64])] ^= 1
    (tmp_path / "b.zip").write_bytes(damaged)
    assert cli.main(["bundle", "unpack", str(tmp_path / "b.zip"), str(tmp_path / "d")]) == 6
    assert not (tmp_path / "d").exists()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*TYPES, ml_dtypes.int4]), min_size=1, max_size=6), st.data())
def test_what_is_put_is_read(types: list, data: st.DataObject):
    with tempfile.TemporaryDirectory() as name:
        store = WeightStore(Path(name), least_bytes=1)
        arrays, tensors = [], []
        for index, dtype in enumerate(types):
            shape = data.draw(npst.array_shapes(max_dims=3, max_side=9))
            numbers = data.draw(npst.arrays(np.int8, shape, elements=st.integers(-8, 7)))
            arrays += [numbers.astype(dtype)] * 2
            tensors += [constant(f"{index}{end}", arrays[-1], store) for end in "ab"]
        for array, tensor in zip(arrays, tensors, strict=True):
            assert is_outside(tensor)
            assert read_values(tensor, store).dtype == array.dtype
            np.testing.assert_array_equal(read_values(tensor, store), array)
        model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], tensors))
        moved = Graph.parse(gather({"g": model}, store.file, Path(name) / "moved.bin")["g"]).model
        content = (Path(name) / "moved.bin").read_bytes()
        for tensor in moved.graph.initializer:
            start, length = byte_span(tensor)
            assert content[start : start + length] == store.file.read_bytes()[slice(*_span(tensors, tensor))]
        assert len({byte_span(tensor) for tensor in tensors}) <= len(types)


def _span(tensors: list, moved: onnx.TensorProto) -> tuple[int, int]:
    start, length = byte_span(next(tensor for tensor in tensors if tensor.name == moved.name))
    return start, start + length


@pytest.fixture
def no_large_files() -> Iterator[None]:
    """Writing more than 64 kB into one file fails, as where a disk is full."""
    with small_files(64 << 10):
        yield


@pytest.mark.usefixtures("no_large_files")
def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path):
    store = WeightStore(tmp_path)
    first = store.put("a", np.ones(64 << 10, np.int8))
    with pytest.raises(OSError):
        store.put("b", np.ones(20_000, np.float32))
    assert store.file.stat().st_size == 64 << 10
    np.testing.assert_array_equal(store.read(first), 1)


@pytest.mark.usefixtures("no_large_files")
def test_a_full_disk_on_the_way_is_told_and_leaves_nothing(tmp_path: Path):
    with (
        pytest.raises(UsageError, match=r"cannot write .* GB are free"),
        work_folder(tmp_path / "out") as work,
    ):
        WeightStore(work).put("a", np.ones(20_000, np.float32))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_bundle(bundle: Bundle, tmp_path: Path, no_large_files: None):
    assert len(bundle.contents["weights"]) > 64 << 10
    with pytest.raises(UsageError, match="cannot write") as refusal:
        write_bundle(tmp_path / "new", bundle)
    assert refusal.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_tensorrt_builds_graphs_with_weights_outside(graphs: LargeGraphs, bundle: Bundle, tmp_path: Path):
    pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx (x86-64 Linux)")
    weights = bundle.weights
    assert weights is not None
    info = bundle.manifest.graphs["decode"]
    plan = build_plan("decode", bundle.read("decode"), RTX, tmp_path / "kept", weights, info.weights_bytes)
    plan.check("decode")
    assert plan.onnx_bytes == info.bytes + info.weights_bytes
    assert len(list((tmp_path / "kept").glob("*.plan"))) == 1
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(weights.file, other / FILE)
    with (other / FILE).open("r+b") as file:
        file.write(b"other")
    changed = type(weights).of(other / FILE)
    build_plan("decode", bundle.read("decode"), RTX, tmp_path / "kept", changed, info.weights_bytes)
    assert len(list((tmp_path / "kept").glob("*.plan"))) == 2


def test_numbers_outside_without_their_store_are_an_error(graphs: LargeGraphs):
    (tensor, *_) = outside(graphs.graphs["vision"].model)
    with pytest.raises(ValueError, match="lie outside"):
        read_values(tensor)


def test_a_plan_is_never_built_of_a_graph_that_reads_other_files(tmp_path: Path):
    graph = onnx.GraphProto(initializer=[TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])])
    refer(graph.initializer[0], 0, 16)
    with pytest.raises(BundleRefused, match="not the bundle's weights"):
        build_plan("vision", onnx.ModelProto(graph=graph).SerializeToString(), RTX, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
