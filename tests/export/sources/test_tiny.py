import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge.bundle.bundle import load_bundle
from edge.errors import BundleRefused, UsageError
from export.commands.export import main
from export.sources.compare import random_patches
from export.sources.tiny import read_tiny


def test_the_bundle_records_its_parity(tiny_bundle: Path):
    parity = load_bundle(tiny_bundle).manifest.parity
    assert parity["equal"] == 1
    assert 0 < parity["max_logit_error"] < 1e-3


def test_graphs_are_static_and_complete(tiny_bundle: Path):
    manifest = load_bundle(tiny_bundle).manifest
    assert set(manifest.graphs) == {"vision", "prefill", "decode"}
    caches = [
        tensor for graph in manifest.graphs.values() for tensor in graph.outputs if tensor.name == "cache"
    ]
    assert {cache.shape for cache in caches} == {(4, 1, 1, 6 + 8 + 16, 8)}
    assert {(path.name, path.suffix) for path in tiny_bundle.iterdir()} == {
        ("manifest.json", ".json"),
        ("tokenizer.json", ".json"),
        ("vision.onnx", ".onnx"),
        ("prefill.onnx", ".onnx"),
        ("decode.onnx", ".onnx"),
    }


def test_other_weights_are_found_out(tiny_bundle: Path, tiny_checkpoint: Path):
    checkpoint = read_tiny(tiny_checkpoint, "tiny")
    with torch.no_grad():
        checkpoint.model.model.language_model.norm.weight += 0.1
    parity = checkpoint.compare(load_bundle(tiny_bundle), [random_patches(0, 32, 48)])
    with pytest.raises(BundleRefused, match=r"disagree: .*max_logit_error .* \(at most 0\.001\)"):
        parity.check()


def test_what_is_not_there_is_bad_usage(tiny_checkpoint: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="is not a checkpoint"):
        read_tiny(tmp_path, "tiny")
    with pytest.raises(UsageError, match="not a folder of images"):
        main([str(tiny_checkpoint), "--out", str(tmp_path / "out"), "--images", str(tmp_path / "none")])


@pytest.mark.slow
def test_command_line(tiny_checkpoint: Path, tmp_path: Path):
    command = [sys.executable, "-m", "edge.cli", "export", str(tiny_checkpoint), "--out", str(tmp_path / "b")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "parity" in done.stdout
    assert load_bundle(tmp_path / "b").manifest.name == "b"
