"""A model of PaliGemma-3B's shape with random weights to a bundle, where it does not fit into memory twice.

`python -m benchmarks.large --precision int8 --out DIR` prints seconds, the peak of memory, and how far each
stage is from fp32, with `--json` for machines. Random weights answer nothing that means anything: stages can
be compared, answers not.
"""

import argparse
import json
import resource
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from transformers.models.gemma.configuration_gemma import GemmaConfig
from transformers.models.paligemma.configuration_paligemma import PaliGemmaConfig
from transformers.models.paligemma.modeling_paligemma import PaliGemmaForConditionalGeneration
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig

from edge.bundle.bundle import load_bundle, write_bundle
from edge.bundle.manifest import SCHEMA_VERSION, ImageSpec, Manifest, Target, Vocabulary
from edge.commands.arguments import parallel_int
from edge.commands.output import print_json
from edge.engines.open import open_engine
from edge.records import BASE_ACTION
from export.graphs.family import paligemma_sources
from export.graphs.graph import Graph
from export.graphs.stream import hollow
from export.graphs.weights import FILE, WeightStore, weights_in, work_folder
from export.large.bundle import large_bundle
from export.large.change import METHOD, LargeGraphs, change_large
from export.measure.feeds import Feed
from export.measure.stages import tokens, walk

PATCH = 14  # pixels
PROMPT = 8  # tokens


def paligemma_3b() -> PaliGemmaConfig:
    """SigLIP so400m/14 at 224 px and Gemma 2B, as in google/paligemma-3b-pt-224's config.json."""
    vision = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=27,
        num_attention_heads=16,
        image_size=224,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = GemmaConfig(
        vocab_size=257216,
        hidden_size=2048,
        intermediate_size=16384,
        num_hidden_layers=18,
        num_attention_heads=8,
        num_key_value_heads=1,
        head_dim=256,
    )
    return _config(vision, text)


def small(text_width: int = 512, vocabulary: int = 8192) -> PaliGemmaConfig:
    """Return a small model of the same shape, to try the export on."""
    vision = SiglipVisionConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=56,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = GemmaConfig(
        vocab_size=vocabulary,
        hidden_size=text_width,
        intermediate_size=2 * text_width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=text_width // 4,
    )
    return _config(vision, text)


def _config(vision: SiglipVisionConfig, text: GemmaConfig) -> PaliGemmaConfig:
    settings: dict[str, Any] = {"attn_implementation": "eager"}
    width = text.hidden_size
    return PaliGemmaConfig(
        vision_config=vision, text_config=text, projection_dim=width, hidden_size=width, **settings
    )


def random_weights(model: torch.nn.Module) -> Any:
    """Weights by name, the same each time: what a parameter holds depends on its name alone."""
    shapes = {name: p.shape for name, p in model.named_parameters()}
    norms = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm)}

    def weight(name: str) -> Tensor:
        shape = shapes[name]
        if len(shape) == 1:  # else biases, and of Gemma's norms the difference from 1
            return torch.ones(shape) if name in norms else torch.zeros(shape)
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        return torch.empty(shape).normal_(0, float(np.prod(shape[1:])) ** -0.5, generator=generator)

    return weight


def questions(config: Any, count: int, seed: int) -> list[Feed]:
    """Coarse random pictures, and random tokens."""
    rng = np.random.default_rng(seed)
    side, vocabulary = config.vision_config.image_size, config.text_config.vocab_size
    coarse = rng.uniform(-1, 1, (count, 3, 7, 7)).astype(np.float32).repeat(side // 7, 2).repeat(side // 7, 3)
    return [
        {
            "pixel_values": pixels[None],
            "ids": rng.integers(0, vocabulary, (1, PROMPT)),
            "length": np.array([PROMPT - 1]),
        }
        for pixels in coarse
    ]


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--precision", choices=("fp32", "int8", "int4"), default="int8")
    p.add_argument("--out", type=Path, required=True, help="folder of the bundle; replaced if there")
    p.add_argument("--questions", type=int, default=2, help="to calibrate on, and as many to judge by")
    p.add_argument("--steps", type=int, default=2, help="calls of decode for each")
    p.add_argument("--threads", type=parallel_int, default=2, help="threads of the engines (%(default)s)")
    p.add_argument("--small", action="store_true", help="a small model, to try the way")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    config = small() if a.small else paligemma_3b()
    started_s = time.perf_counter()
    laps: dict[str, float] = {}
    console = Console(stderr=True)

    def on_progress(what: str, done: int = 0, of: int = 1) -> None:
        laps[what] = time.perf_counter() - started_s
        console.print(f"{laps[what]:7.1f} s  {_peak_bytes() / 1e9:5.2f} GB  {what}")

    with work_folder(a.out) as work:
        figures = _export(config, a, work, on_progress)
    on_progress("reading the bundle, and answering")
    answers = _answer(a.out, config, a.steps)
    seconds = time.perf_counter() - started_s
    figures = {**figures, "answers": answers, "seconds": seconds, "peak_bytes": _peak_bytes()}
    print_json(figures) if a.json else print(_table(figures))
    return 0


def _table(figures: dict[str, Any]) -> str:
    width = max(map(len, figures))
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {_shown(figures[name])}" for name in figures)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
    )


def _export(config: PaliGemmaConfig, a: argparse.Namespace, work: Path, on_progress: Any) -> dict[str, Any]:
    torch.set_num_threads(a.threads)
    vision: Any = config.vision_config
    side = vision.image_size
    store = WeightStore(work)
    on_progress("building")
    build = lambda: PaliGemmaForConditionalGeneration(config).eval()  # noqa: E731
    with torch.device("meta"):
        shapes = build()
    source = random_weights(shapes)
    model = hollow(build, source)
    parameters = sum(p.numel() for p in model.parameters())
    on_progress("exporting in fp32")
    with weights_in(store):
        sources = paligemma_sources(model, side, side, PROMPT)
        graphs = {stage: Graph.parse(source.to_onnx(), store) for stage, source in sources.items()}
    del model
    reference = LargeGraphs(graphs, store, a.threads)
    changed, failures, summary, files = reference, [], {}, {}
    if a.precision != "fp32":
        calibrate, held_out = questions(config, a.questions, 0), questions(config, a.questions, 1)
        change = change_large(
            reference, a.precision, "onnxruntime", calibrate, held_out, on_progress, a.steps
        )
        changed, parity = change.graphs, change.parity
        failures, summary = parity.failures, parity.summary()
        about = {"method": METHOD, "source": "random pictures and tokens", "graphs": change.ranges}
        files = {"parity": parity.to_json(), "calibration": json.dumps(about).encode()}
    on_progress("gathering the weights")
    manifest = _manifest(a.out.name, side, parameters, summary, failures)
    (work / "bundle").mkdir()
    bundle = large_bundle(manifest, changed, files, work / "bundle" / FILE, a.precision)
    fp32_bytes = store.file.stat().st_size
    store.file.unlink()  # before there is yet another copy on the disk
    on_progress("writing the bundle")
    write_bundle(a.out, bundle)
    return {
        "parameters": parameters,
        "precision": a.precision,
        "fp32_bytes": fp32_bytes,
        "bundle_bytes": sum(map(len, bundle.contents.values())),
        "failures": failures,
        **summary,
    }


def _manifest(
    name: str, side: int, parameters: int, parity: dict[str, float], failures: list[str]
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        family="paligemma",
        policy="grounding",
        goals=("find_object",),
        prompts={},
        vocabulary=Vocabulary(),
        image=ImageSpec(height=side, width=side, resize="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        action=BASE_ACTION,
        graphs={},
        files={},
        target=Target(engine="onnxruntime"),
        provenance={"weights": f"{parameters} random numbers"},
        parity=parity,
        unproved=tuple(failures),
    )


def _answer(out: Path, config: PaliGemmaConfig, steps: int) -> list[int]:
    """Return the tokens of the written bundle's answer, in ONNX Runtime as on a robot, graph by graph."""
    bundle = load_bundle(out, allow_unproved=True)
    calls = walk(lambda role: open_engine(bundle, role), questions(config, 1, 1), steps, lambda role: None)
    bundle.release()
    return tokens(calls)[0]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
