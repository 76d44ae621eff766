"""Trains the net that sees where the floor ends, in minutes on one core.

    python -m sim.dataset data/floor --pictures 12000 --seed 20000000
    python -m sim.dataset data/floor_val --pictures 600 --seed 25000000
    python -m training.recipes.floor --data data/floor --val data/floor_val --out checkpoints/floor

For each image column the net gives a distribution over rows. The exported graph gives a row below the median:
an obstacle that seems nearer costs a detour, one that seems farther a collision.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge.commands.output import ProgressLine
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, UsageError
from edge.perception.floor_scan import FLOOR_IMAGE, FLOOR_INPUT, FLOOR_OUTPUT, scan_of
from edge.perception.geometry import View
from edge.records import CameraMount
from sim.render import CameraSpec

BINS = 64
TOP = 0.25  # the first bin's row, above the horizon; the last bin is the bottom row
NEAR_M = 2.0  # obstacles that the robot has to plan around now
ERROR_M = 0.3  # a larger error is a wrong range


@dataclass(frozen=True)
class FloorRecipe:
    """Every number of the run; saved beside the checkpoint."""

    seed: int = 0
    steps: int = 2400
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_steps: int = 50
    sigma_bins: float = 0.8  # width of the soft targets
    quantile: float = 0.2  # share of the probability, from the bottom: smaller is more careful


class FloorNet(nn.Module):
    """(B, 3, 72, 96) in [-1, 1] -> logits (B, COLUMNS, BINS) of the row where the floor ends."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.rows = nn.Sequential(
            _conv2d(3, 16, 5, (2, 2)),
            _conv2d(16, 32, 3, (2, 1)),
            _conv2d(32, 48, 3, (2, 1)),
            nn.Flatten(1, 2),
        )
        self.mix = _conv1d(48 * FLOOR_IMAGE.height // 8, width, 1, 1)
        self.context = nn.ModuleList(_conv1d(width, width, 3, dilation) for dilation in (1, 2, 4, 8))
        self.out = nn.Conv1d(width, BINS, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.mix(self.rows(pixels))
        for block in self.context:
            x = x + block(x)
        return self.out(x).transpose(1, 2)


def _conv2d(inputs: int, outputs: int, size: int, stride: tuple[int, int]) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _conv1d(inputs: int, outputs: int, size: int, dilation: int) -> nn.Module:
    conv = nn.Conv1d(inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(outputs), nn.ReLU())


class FloorGraph(nn.Module):
    """The net and its quantile, as they are exported."""

    def __init__(self, net: FloorNet, quantile: float) -> None:
        super().__init__()
        self.net, self.quantile = net, quantile

    def forward(self, pixels: Tensor) -> Tensor:
        return quantile_rows(self.net(pixels), self.quantile)


def quantile_rows(logits: Tensor, quantile: float) -> Tensor:
    """Find the row (...) where the probability (..., BINS), summed from below, reaches the quantile."""
    total = logits.softmax(-1).flip(-1).cumsum(-1)
    reached = total >= quantile
    before = torch.where(reached, 0.0, total).amax(-1)
    after = torch.where(reached, total, 1.0).amin(-1)
    bins = (~reached).float().sum(-1) + (quantile - before) / (after - before) - 0.5  # from the bottom
    return (1 - bins * ((1 - TOP) / (BINS - 1))).clamp(0, 1)


def soft_targets(rows: Tensor, sigma_bins: float) -> Tensor:
    """Spread rows (...) to probabilities (..., BINS) around them."""
    at = ((rows - TOP) / (1 - TOP)).clamp(0, 1) * (BINS - 1)
    return (-(((torch.arange(BINS) - at[..., None]) / sigma_bins) ** 2) / 2).softmax(-1)


def augment(pixels: Tensor, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augment uint8 (B, 3, H, W) to float in [-1, 1]: flips, brightness, contrast and tint."""
    x = pixels.float() / 127.5
    b = len(x)
    flip = torch.rand(b, generator=generator) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    rows = torch.where(flip[:, None], rows.flip(-1), rows)
    gain = 1 + 0.25 * (torch.rand(b, 1, 1, 1, generator=generator) * 2 - 1)
    bias = 0.15 * (torch.rand(b, 1, 1, 1, generator=generator) * 2 - 1)
    tint = 1 + 0.04 * torch.randn(b, 3, 1, 1, generator=generator)
    return (x * gain * tint - 1 + bias).clamp(-1, 1), rows


def ranges_m(rows: np.ndarray) -> np.ndarray:
    """Convert rows (N, COLUMNS) to ranges from the base, for the simulated robot's camera."""
    c = CameraSpec()
    mount = CameraMount(c.vertical_fov_rad, c.height_m, c.pitch_rad, c.forward_m)
    view = View(mount, c.width / c.height)
    return np.stack([scan_of(row, view).ranges for row in rows])


def score(rows: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Score the columns whose obstacle is within NEAR_M.

    `over` and `under` are the shares whose range is more than ERROR_M too long or too short; `median_m` is
    the median error.
    """
    true = ranges_m(truth)
    error = (ranges_m(rows) - true)[true < NEAR_M]
    over, under = float((error > ERROR_M).mean()), float((error < -ERROR_M).mean())
    return {"over": over, "under": under, "median_m": float(np.median(np.abs(error)))}


@torch.inference_mode()
def predict(net: FloorNet, pixels: Tensor) -> Tensor:
    """Logits (N, COLUMNS, BINS) for uint8 images (N, 3, H, W)."""
    net.eval()
    return torch.cat([net(part.float() / 127.5 - 1) for part in pixels.split(100)])


def open_data(folder: Path) -> tuple[Tensor, Tensor]:
    """Read images (N, 3, H, W) uint8 at the net's size, and rows (N, COLUMNS). Raises UsageError."""
    if not (folder / "floor.npy").is_file():
        raise UsageError(f"no floor dataset in {folder}", f"make one: python -m sim.dataset {folder}")
    images = np.load(folder / "images.npy", mmap_mode="r")
    size = (FLOOR_IMAGE.width, FLOOR_IMAGE.height)
    small = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    return torch.from_numpy(small).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(
        np.load(folder / "floor.npy")
    )


def train(data: Path, val: Path, out: Path, recipe: FloorRecipe) -> FloorNet:
    """Train, and write recipe, curve and weights to `out`."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    pixels, rows = open_data(data)
    val_pixels, val_rows = open_data(val)
    net = FloorNet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    started = time.monotonic()
    scores = ""
    with (out / "curve.jsonl").open("w") as curve, ProgressLine() as progress:
        for step in range(recipe.steps):
            warm, done = min(1.0, (step + 1) / recipe.warmup_steps), step / recipe.steps
            optimizer.param_groups[0]["lr"] = (
                recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * done))
            )
            at = torch.randint(len(pixels), (recipe.batch,), generator=generator)
            x, y = augment(pixels[at], rows[at], generator)
            net.train()
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(x)
            targets = soft_targets(y, recipe.sigma_bins)
            loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(0, 1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            progress.show("steps", step + 1, recipe.steps, scores)
            if (step + 1) % 200 == 0 or step + 1 == recipe.steps:
                found = quantile_rows(predict(net, val_pixels), recipe.quantile)
                line = {"step": step + 1, "loss": loss.item(), **score(found.numpy(), val_rows.numpy())}
                line["minutes"] = (time.monotonic() - started) / 60
                curve.write(json.dumps({k: round(v, 4) for k, v in line.items()}) + "\n")
                curve.flush()
                scores = ", ".join(f"{name} {value:.4g}" for name, value in line.items() if name != "step")
    torch.save(net.state_dict(), out / "floor.pt")
    return net.eval()


def export_floor(net: FloorNet, quantile: float) -> bytes:
    """Export the net as a bundle's floor graph. Raises BundleRefused if ONNX Runtime and torch disagree."""
    graph = FloorGraph(net, quantile).eval()
    program = torch.onnx.export(
        graph,
        (torch.zeros(FLOOR_INPUT.shape),),
        dynamo=True,
        opset_version=18,
        input_names=[FLOOR_INPUT.name],
        output_names=[FLOOR_OUTPUT.name],
        verbose=False,
    )
    assert program is not None  # dynamo=True always returns one
    model = program.model_proto
    for item in (*model.graph.node, *model.graph.initializer):
        del item.metadata_props[:]  # the exporter's notes name files of this machine
    content: bytes = model.SerializeToString()
    engine = OnnxEngine(content)
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(8):
        coarse = torch.rand(1, 3, 4, 5, generator=generator) * 2 - 1
        x = F.interpolate(coarse, FLOOR_INPUT.shape[2:])
        with torch.inference_mode():
            expected = graph(x).numpy()
        worst = max(worst, float(np.abs(engine.run({FLOOR_INPUT.name: x.numpy()})["rows"] - expected).max()))
    engine.close()
    if worst > 1e-4:
        raise BundleRefused(f"ONNX Runtime and torch disagree about the floor by {worst}")
    return content


def main(argv: list[str] | None = None) -> int:
    """`python -m training.recipes.floor`."""
    p = argparse.ArgumentParser(
        prog="python -m training.recipes.floor", description="train the net that sees the floor"
    )
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--val", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--seed", type=int, default=FloorRecipe.seed)
    p.add_argument("--steps", type=int, default=FloorRecipe.steps)
    p.add_argument("--quantile", type=float, default=FloorRecipe.quantile)
    a = p.parse_args(argv)
    recipe = FloorRecipe(seed=a.seed, steps=a.steps, quantile=a.quantile)
    net = train(a.data, a.val, a.out, recipe)
    graph = a.out / "floor.onnx"
    graph.write_bytes(export_floor(net, recipe.quantile))
    print(f"{graph}: {recipe.steps} steps; the curve is in {a.out / 'curve.jsonl'}")
    print(f"next: vla-edge export CHECKPOINT --floor {graph} --out BUNDLE")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
