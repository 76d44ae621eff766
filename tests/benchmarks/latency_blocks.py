"""Blocks as measured drives leave them, with times that a test chooses."""

from typing import Any

import numpy as np

from benchmarks.drives.blocks import Block
from benchmarks.latency.compare import FORM
from benchmarks.latency.result import figures_of

STAGES_MS = {"camera": 2.0, "vision": 8.0, "prefill": 3.0, "next_frame": 15.0, "plan": 2.0, "write": 0.02}
MACHINE = {
    "board": "Orin", "l4t": "36.4.3", "power_mode": "25W", "cpu": "Arm", "processors": 6,
    "governor": "schedutil", "architecture": "aarch64", "commit": "abc", "load_before": 0.1,
    "versions": {"numpy": "2"},
}  # fmt: skip


def block(
    seed: int, slower: dict[str, float] | None = None, answers: int = 60, seconds: float = 6.0
) -> Block:
    """A drive of `answers` in `seconds`; `slower` gives factors by stage."""
    rng = np.random.default_rng(seed)
    stages = {
        name: (base_ms * (slower or {}).get(name, 1.0) * rng.lognormal(0, 0.03, answers)).tolist()
        for name, base_ms in STAGES_MS.items()
    }
    start_ns = seed * 100_000_000_000
    return {
        "stages": stages,
        "cpu": {"vision": [value * 0.9 for value in stages["vision"]]},
        "threads": 1,
        "end_to_end": np.sum(list(stages.values()), axis=0).tolist(),
        "time_s": np.linspace(0, seconds, answers, endpoint=False).tolist(),
        "start_ns": start_ns,
        "end_ns": start_ns + round(seconds * 1e9),
        "bundle": {"name": "default"},
        "engine": "onnxruntime",
        **dict.fromkeys(("unwritten", "missed_ticks"), 1),
        **dict.fromkeys(("load_ms", "first_infer_ms", "runtime_memory_mb", "motor_memory_mb"), 20.0),
        "start_s": 1.5,
        **dict.fromkeys(("answers", "frames"), answers),
        "ticks": 300,
        "seconds": seconds,
    }  # fmt: skip


def samples(of: Block, watts: float | None = 8.0, hotter_c: float = 0.0) -> list[dict[str, Any]]:
    """Ten looks at the machine meanwhile, which gets `hotter_c` warmer and slower."""
    span_ns = of["end_ns"] - of["start_ns"]
    return [
        {"stamp_ns": of["start_ns"] + round((part + 0.5) / 10 * span_ns), "celsius": 50 + hotter_c * part / 9,
         "cpu_mhz": 1500 - 50 * hotter_c * part / 9, "gpu_mhz": None, "watts": watts, "load": 1.0,
         "throttled": "", "throttle_count": part}
        for part in range(10)
    ]  # fmt: skip


def document(blocks: list[Block], **changes: Any) -> dict[str, Any]:
    """A result of one bundle; `changes` are of its machine."""
    figures = figures_of(blocks, [samples(each) for each in blocks], {"vision": 4.0}) | {"stopped": []}
    return {
        "form": FORM,
        "bundles": {"default": figures},
        "differences": {},
        "frames_from": "pictures at 30 Hz",
        "power_from": "INA3221: VDD_IN",
        "bound_from": "102 GB/s: data sheet",
        "machine": {**MACHINE, **changes},
    }
