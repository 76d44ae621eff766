from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.bundle.bundle import load_bundle, write_bundle
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, UsageError
from edge.perception.floor_scan import COLUMNS, FLOOR_INPUT, check_floor
from export.graphs.family import GraphSource
from export.sources.build import SourceOptions, build_bundle
from training.recipes.floor import (
    BINS,
    TOP,
    FloorNet,
    FloorRecipe,
    augment,
    export_floor,
    main,
    quantile_rows,
    score,
    soft_targets,
    train,
)


@pytest.fixture(scope="module")
def floor_onnx() -> bytes:
    torch.manual_seed(0)
    return export_floor(FloorNet(8).eval(), 0.35)


def _write_data(folder: Path, pictures: int = 12) -> None:
    """Pictures that are dark above a row, and floor below it."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.uniform(0.4, 0.9, (pictures, 1)), COLUMNS, 1).astype(np.float32)
    images = np.where(np.arange(144)[:, None, None] / 144 < rows[:, :1, None, None], 40, 200)
    folder.mkdir()
    np.save(folder / "images.npy", np.broadcast_to(images, (pictures, 144, 192, 3)).astype(np.uint8))
    np.save(folder / "floor.npy", rows)


@pytest.mark.parametrize("row", [0.3, 0.51, 0.8, 0.97])
def test_the_median_of_a_soft_target_is_its_row(row: float):
    logits = soft_targets(torch.tensor([row]), 0.8).log()
    assert quantile_rows(logits, 0.5).item() == pytest.approx(row, abs=0.003)
    assert quantile_rows(logits, 0.2).item() > row, "less probability from the bottom is nearer"


def test_a_spread_distribution_is_cut_at_the_quantile():
    rows = quantile_rows(torch.zeros(1, BINS), 0.35)
    step = (1 - TOP) / (BINS - 1)
    assert rows.item() == pytest.approx(1 + step / 2 - 0.35 * BINS * step, abs=1e-4)


def test_flips_turn_pictures_and_rows_together():
    pixels = torch.zeros(32, 3, 4, COLUMNS, dtype=torch.uint8)
    pixels[..., :10] = 255
    rows = torch.zeros(32, COLUMNS)
    rows[:, :10] = 1
    x, y = augment(pixels, rows, torch.Generator().manual_seed(0))
    assert 0 < (y[:, 0] == 1).sum() < 32
    assert ((x[:, 0, 0] > 0) == (y == 1)).all()


def test_scores_tell_too_far_from_too_near():
    truth = np.full((1, COLUMNS), 0.6, np.float32)
    assert score(truth, truth) == {"over": 0, "under": 0, "median_m": 0}
    assert score(truth - 0.2, truth)["over"] == 1
    assert score(truth + 0.2, truth)["under"] == 1


def test_learns_and_leaves_its_curve(tmp_path: Path):
    _write_data(tmp_path / "data")
    out = tmp_path / "out"
    train(tmp_path / "data", tmp_path / "data", out, FloorRecipe(steps=3, batch=4))
    assert {path.name for path in out.iterdir()} == {"recipe.json", "curve.jsonl", "floor.pt"}
    with pytest.raises(UsageError, match="no floor dataset"):
        main(["--data", str(tmp_path), "--val", str(tmp_path), "--out", str(out)])


def test_the_graph_is_a_floor_graph(floor_onnx: bytes):
    engine = OnnxEngine(floor_onnx)
    check_floor(engine)
    rows = engine.run({"pixels": np.zeros(FLOOR_INPUT.shape, np.float32)})["rows"]
    assert ((rows >= 0) & (rows <= 1)).all()


def test_a_bundle_can_bring_a_floor_graph(
    floor_onnx: bytes, tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch
):
    exported = load_bundle(tiny_bundle)  # once will do; that it says what torch says is checked again
    graphs = iter([exported.read(stage) for stage in ("vision", "prefill", "decode")])
    monkeypatch.setattr(GraphSource, "to_onnx", lambda _: next(graphs))
    options = SourceOptions("b", random_images=1, floor=floor_onnx)
    write_bundle(tmp_path / "b", build_bundle(tiny_checkpoint, options))
    bundle = load_bundle(tmp_path / "b")
    assert bundle.read("floor") == floor_onnx
    assert set(bundle.manifest.graphs) == {"vision", "prefill", "decode", "floor"}
    with pytest.raises(BundleRefused, match="not a floor graph"):
        build_bundle(tiny_checkpoint, replace(options, floor=bundle.read("vision")))
