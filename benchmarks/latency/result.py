"""Blocks become figures: stages, end to end, against the bound, over time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks.drives.blocks import Block
from benchmarks.drives.stamps import STAGES, WAITS
from benchmarks.drives.telemetry import energy
from benchmarks.latency.statistics import (
    interval,
    jitter,
    percentiles,
    sketch,
)
from edge.errors import EdgeError, UsageError
from edge.motor.limits import MotorLimits
from export.planner.boards import Board
from export.planner.bounds import estimate
from export.planner.sources import find_model

WARM_UP = 10  # answers at the start of a drive that count apart
START_SHARE, SUSTAINED_SHARE = 0.1, 1 / 3  # the begin of a long drive, and its end
WINDOWS = 60
PARTS = 8

Samples = list[dict[str, Any]]
Figures = dict[str, Any]


def figures_of(
    blocks: Sequence[Block], samples: Sequence[Samples], bounds_ms: Mapping[str, float]
) -> Figures:
    """Return the figures of one side; `samples` are those of each block, `bounds_ms` by stage.

    Raises EdgeError if no answer reached the motors.
    """
    warm = [_without_warm_up(block) for block in blocks]
    by = _compared_by(blocks[0])
    joined = {name: _joined(each["stages"][name] for each in warm) for name in _stages(warm)}
    end_to_end = _joined(each["end_to_end"] for each in warm)
    _check_answers(blocks, end_to_end)
    seconds = sum(block["seconds"] for block in blocks)
    actions = sum(len(block["end_to_end"]) for block in blocks)
    watts, joules = energy([each for part in samples for each in part], actions, seconds)
    return {
        "bundle": blocks[0]["bundle"],
        "engine": blocks[0]["engine"],
        "answers": len(end_to_end),
        "blocks": len(blocks),
        "seconds": round(seconds, 2),
        "stages": {name: _stage(name, values, bounds_ms) for name, values in joined.items()},
        "end_to_end": _end_to_end(end_to_end, joined),
        "warm_up": _warm_up(blocks),
        "deadlines": _deadlines(blocks),
        "throughput": {
            "answers_per_s": round(sum(block["answers"] for block in blocks) / seconds, 2),
            "actions_per_s": round(actions / seconds, 2),
            "frames_per_s": round(sum(block["frames"] for block in blocks) / seconds, 2),
        },
        "memory_mb": {
            name: round(max(block[f"{name}_memory_mb"] for block in blocks), 1)
            for name in ("runtime", "motor")
        },
        "power_w": None if watts is None else round(watts, 3),
        "energy_j_per_action": None if joules is None else round(joules, 4),
        "heat": _heat([each for part in samples for each in part]),
        "compared_by": by,
        "by_block": _by_block(warm, by),
        "over_time": _over_time(blocks[0], samples[0]) if len(blocks) == 1 else None,
    }


def _check_answers(blocks: Sequence[Block], end_to_end: Sequence[float]) -> None:
    if not end_to_end:
        raise EdgeError(
            f"none of {sum(block['answers'] for block in blocks)} answers reached the motors",
            "give it longer (--seconds); pictures of a folder are shown in real time with ?rate=30 behind it",
        )


def bounds_of(bundle: str, board: Board, passes: float) -> dict[str, float]:
    """Return the bound of each stage of a bundle on a board, ms, as `vla-edge plan` has it.

    `passes` of decode make one answer. Empty if the board was not measured in the bundle's precision.
    """
    source = find_model(bundle)
    request = source.request
    if passes:
        request = replace(request, tokens=round(passes) + 1)
    try:
        found = estimate(source.name, source.build(request), board, "auto")
    except UsageError:
        return {}
    return {stage.name: stage.bound_ms for stage in found.stages}


def _stages(blocks: Sequence[Block]) -> list[str]:
    return [name for name in STAGES if all(name in block["stages"] for block in blocks)]


def _joined(parts: Any) -> list[float]:
    return [value for part in parts for value in part]


def _without_warm_up(block: Block) -> Block:
    skip = min(WARM_UP, len(block["end_to_end"]) // 2)
    stages = {name: values[skip:] for name, values in block["stages"].items()}
    cpu = {name: values[skip:] for name, values in block["cpu"].items()}
    return {"stages": stages, "cpu": cpu, "end_to_end": block["end_to_end"][skip:]}


def _stage(name: str, values: Sequence[float], bounds_ms: Mapping[str, float]) -> Figures:
    row: Figures = {**percentiles(values), "mean": round(float(np.mean(values)), 4)}
    if name in WAITS:
        row["waits"] = True
    bound_ms = bounds_ms.get(name)
    if bound_ms:
        row |= {"bound_ms": round(bound_ms, 4), "times_bound": round(row["p50"] / bound_ms, 2)}
    return row


def _end_to_end(values: Sequence[float], stages: Mapping[str, Sequence[float]]) -> Figures:
    mean_ms = float(np.mean(values))
    summed_ms = sum(float(np.mean(each)) for each in stages.values())
    return {
        **percentiles(values),
        "mean": round(mean_ms, 4),
        "p50_interval": [round(each, 3) for each in interval(values)],
        "p99_interval": [round(each, 3) for each in interval(values, 99.0)],
        "jitter_ms": round(jitter(values), 4),
        "unaccounted_share": round(1 - summed_ms / mean_ms, 5),
    }


def _warm_up(blocks: Sequence[Block]) -> Figures:
    first = [value for block in blocks for value in block["end_to_end"][:WARM_UP]]
    return {
        "start_s": round(median(block["start_s"] for block in blocks), 2),  # until the first frame
        "load_ms": round(median(block["load_ms"] for block in blocks), 1),
        "first_inference_ms": round(median(block["first_infer_ms"] for block in blocks), 2),
        "answers": WARM_UP,
        "end_to_end_p50": round(median(first), 2),
    }


def _deadlines(blocks: Sequence[Block]) -> Figures:
    limit_ms = MotorLimits().follow_age_s * 1e3
    late = sum(value > limit_ms for block in blocks for value in block["end_to_end"])
    return {
        "missed_ticks": sum(block["missed_ticks"] for block in blocks),
        "ticks": sum(block["ticks"] for block in blocks),
        "late_answers": late,  # that reached the motors when their frame was older than a guard follows one
        "late_ms": limit_ms,
        "never_reached_the_motors": sum(block["unwritten"] for block in blocks),
    }


def _heat(samples: Samples) -> Figures:
    def of(name: str, choose: Any) -> Any:
        values = [each[name] for each in samples if each[name] is not None]
        return choose(values) if values else None

    counts = [each["throttle_count"] for each in samples]
    return {
        "hottest_c": of("celsius", max),
        "cpu_mhz_lowest": of("cpu_mhz", min),
        "gpu_mhz_lowest": of("gpu_mhz", min),
        "throttled": sorted({each["throttled"] for each in samples} - {""}),
        "throttle_events": counts[-1] - counts[0] if counts else 0,
        "load_highest": of("load", max),
    }


def _compared_by(block: Block) -> str:
    """Return by which times stages are compared: their thread's own, if one thread computes them all.

    What else runs on a machine makes a stage late, and its thread's own time hardly longer.
    """
    alone = block["engine"] == "onnxruntime" and block["threads"] == 1
    return "thread's own time" if alone else "time"


def _by_block(blocks: Sequence[Block], by: str) -> dict[str, list[list[float]]]:
    """Return the sketch of each block's times by stage, without waits.

    One long drive counts as PARTS blocks.
    """
    own = [block["cpu"] if by != "time" else {} for block in blocks]
    rows = {
        name: [cpu.get(name, block["stages"][name]) for cpu, block in zip(own, blocks, strict=True)]
        for name in _stages(blocks)
        if name not in WAITS
    }
    rows["end_to_end"] = [block["end_to_end"] for block in blocks]
    if len(blocks) == 1 and len(blocks[0]["end_to_end"]) >= PARTS:
        rows = {
            name: [part.tolist() for part in np.array_split(each[0], PARTS)] for name, each in rows.items()
        }
    return {name: [sketch(times) for times in each] for name, each in rows.items()}


def _over_time(block: Block, samples: Samples) -> Figures:
    """Return one long drive in windows, and its end against its begin."""
    times_s, values = np.asarray(block["time_s"]), np.asarray(block["end_to_end"])
    width_s = block["seconds"] / WINDOWS
    windows: list[Figures] = []
    for number in range(WINDOWS):
        begin_s = number * width_s
        within = values[(times_s >= begin_s) & (times_s < begin_s + width_s)]
        begin_ns = block["start_ns"] + begin_s * 1e9
        there = [each for each in samples if begin_ns <= each["stamp_ns"] < begin_ns + width_s * 1e9]
        if len(within):
            p50, p99 = (round(float(each), 3) for each in np.percentile(within, [50, 99]))
            windows.append({"t_s": round(begin_s, 2), "p50": p50, "p99": p99, **_mean_sample(there)})
    start = values[times_s < START_SHARE * block["seconds"]]
    end = values[times_s > (1 - SUSTAINED_SHARE) * block["seconds"]]
    if not len(start) or not len(end):
        raise EdgeError("too few answers to see what the machine sustains", "measure for longer: --minutes")
    return {
        "windows": windows,
        "start": percentiles(start.tolist()),
        "sustained": percentiles(end.tolist()),
        "sustained_ratio": round(float(np.median(end) / np.median(start)), 4),
    }


def _mean_sample(samples: Samples) -> Figures:
    row: Figures = {}
    for name in ("celsius", "cpu_mhz", "gpu_mhz", "watts", "load"):
        values = [each[name] for each in samples if each[name] is not None]
        row[name] = round(sum(values) / len(values), 3) if values else None
    row["throttled"] = any(each["throttled"] for each in samples)
    return row
