"""The private copy of a bundle's weights file."""

import fcntl
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edge.bundle import weights as weights_module
from edge.bundle.weights import Weights
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, HardwareMissing


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder in place of the one in memory."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(weights_module, "_MEMORY", folder)
    return folder


def copied(content: bytes, limit_bytes: int | None = None) -> Weights:
    return Weights.copied(io.BytesIO(content), "weights.bin", limit_bytes or len(content))


def test_a_copy_is_private_and_goes_with_its_object(memory: Path):
    weights = copied(b"12345678")
    assert weights.file.read_bytes() == b"12345678"
    assert len(weights) == 8
    assert weights.file.parent.parent == memory
    assert weights.file.parent.stat().st_mode & 0o777 == 0o700
    weights.close()
    assert not list(memory.glob("[!.]*"))


def test_a_copy_ends_one_byte_after_what_it_should_have():
    weights = copied(b"x" * 100, 10)
    assert len(weights) == 11
    weights.close()


def test_a_copy_that_a_killed_process_left_is_removed_and_one_in_use_is_not(memory: Path):
    left, used = (memory / f"vla-edge-weights-{name}" for name in "ab")
    for folder in (left, used):
        folder.mkdir()
        (folder / "weights.bin").write_bytes(b"old")
    other = os.open(used / "weights.bin", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)
    first, second = copied(b"1"), copied(b"2")
    assert not left.exists()
    assert used.exists()
    assert first.file.read_bytes() == b"1"
    os.close(other)
    first.close()
    second.close()


def test_where_memory_is_short_the_copy_is_on_disk_and_nowhere_else_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    free_bytes = {"memory": 3, "disk": 100}
    usage = lambda folder: type("Usage", (), {"free": free_bytes[folder.name]})  # noqa: E731
    monkeypatch.setattr(weights_module.shutil, "disk_usage", usage)
    weights = copied(b"12345")
    assert weights.file.parent.parent == disk
    weights.close()
    free_bytes["disk"] = 5
    with pytest.raises(HardwareMissing, match=r"weights\.bin takes"):
        copied(b"12345")
    assert not list(disk.glob("[!.]*"))


def reading(location: str) -> bytes:
    """Return a graph that adds a tensor that is in a file."""
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[512], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("offset", 0), ("length", 2048)):
        tensor.external_data.add(key=key, value=str(value))
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [512]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", *([s] for s in sides), [tensor]
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def test_an_engine_keeps_what_it_has_mapped(memory: Path):
    numbers = np.random.default_rng(0).normal(size=512).astype(np.float32)
    weights = copied(numbers.tobytes())
    engine = OnnxEngine(reading("weights.bin"), weights=weights.file)
    weights.close()
    assert not list(memory.glob("[!.]*"))
    np.testing.assert_array_equal(engine.run({"x": np.zeros(512, np.float32)})["y"], numbers)
    engine.close()


@pytest.mark.parametrize("given", [True, False])
def test_a_graph_that_reads_other_files_is_refused(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "secret").write_bytes(bytes(2048))
    monkeypatch.chdir(tmp_path)
    weights = copied(bytes(2048))
    for location in ("secret", "../../secret"):
        with pytest.raises(BundleRefused, match="cannot load"):
            OnnxEngine(reading(location), weights=weights.file if given else None)
    weights.close()
