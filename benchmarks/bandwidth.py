"""`vla-edge bench bandwidth`: bytes a second that this machine's memory gives, for the bounds of `plan`.

A bound by the data sheet says what a board could do at best; one by its measured bandwidth, in the power mode
that it is in, what it can do now.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.drives.telemetry import describe_machine
from edge.board.steady import one_power_mode
from edge.board.tree import Tree
from edge.commands.arguments import ArgumentParser, parallel_int, positive_int
from edge.commands.output import print_json
from edge.errors import HardwareMissing

ROUNDS = 15
BUSY_SPREAD = 1.5


def main(argv: list[str]) -> int:
    """Run `vla-edge bench bandwidth` and return the exit code."""
    p = ArgumentParser(
        "bench bandwidth",
        "Measure how many bytes a second are copied in memory, read and written, by the CPU and by an NVIDIA "
        "GPU if there is one.",
    )
    p.add_argument("--megabytes", type=positive_int, default=256, help="size of the copy (%(default)s)")
    p.add_argument("--threads", type=parallel_int, help="threads of the CPU; default: one for each processor")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    described = describe_machine(Tree())
    threads = a.threads or described["processors"]
    with one_power_mode() as machine:
        cpu = cpu_copies(a.megabytes * 1_000_000, threads)
        gpu, lacks = gpu_copies(a.megabytes * 1_000_000)
    document = {
        "cpu_gb_s": max(cpu),
        "cpu_spread": round(max(cpu) / sorted(cpu)[len(cpu) // 2], 2),  # the best one over the median one
        "threads": threads,
        "gpu_gb_s": max(gpu, default=None),
        "machine": {**described, **machine},
    }
    if a.json:
        print_json(document)
        return 0
    print(f"CPU   {document['cpu_gb_s']:.1f} GB/s, {threads} threads, the best of {ROUNDS} copies")
    if document["cpu_spread"] > BUSY_SPREAD:
        print(f"      its median copy took {document['cpu_spread']:.1f} times as long: this machine is busy")
    print(f"GPU   {document['gpu_gb_s']:.1f} GB/s" if gpu else f"GPU   {lacks}")
    best = document["gpu_gb_s"] or document["cpu_gb_s"]
    print(f"next: `vla-edge plan --model NAME --board this --bandwidth-gb-s {best:.1f}`")
    return 0


def cpu_copies(size_bytes: int, threads: int) -> list[float]:
    """Return GB/s of each copy of so many bytes, which are read and written, by so many threads."""
    source = np.ones(size_bytes // 8)
    parts = list(
        zip(np.array_split(np.zeros_like(source), threads), np.array_split(source, threads), strict=True)
    )
    found: list[float] = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS + 1):
            begin_s = time.perf_counter()
            list(pool.map(lambda part: np.copyto(*part), parts))
            found.append(round(2 * source.nbytes / (time.perf_counter() - begin_s) / 1e9, 2))
    return found[1:]  # the first one also starts threads and touches memory


def gpu_copies(size_bytes: int) -> tuple[list[float], str]:
    """Return GB/s of each copy within the GPU's memory, and why there are none."""
    from edge.engines.cuda import cuda

    try:
        gpu: Any = cuda()
        source, target = gpu.allocate(size_bytes), gpu.allocate(size_bytes)
    except HardwareMissing as error:
        return [], error.message
    found: list[float] = []
    for _ in range(ROUNDS + 1):
        gpu.synchronize()
        begin_s = time.perf_counter()
        gpu.copy(target, source, size_bytes)
        gpu.synchronize()
        found.append(round(2 * size_bytes / (time.perf_counter() - begin_s) / 1e9, 2))
    gpu.free(source)
    gpu.free(target)
    return found[1:], ""
