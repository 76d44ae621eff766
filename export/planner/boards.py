"""Boards: memory, bandwidth, and dense arithmetic of their tensor cores, from the data sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edge.errors import UsageError

# Bits that a weight takes with its scales, from the most exact precision to the least: int4 has 16 bits more
# for each group of 128, nvfp4 8 more for each block of 16.
BITS = {
    "fp32": 32.0,
    "bf16": 16.0,
    "fp16": 16.0,
    "int8": 8.0,
    "fp8": 8.0,
    "nvfp4": 4.5,
    "int4": 4.125,
}

# The first compute capability whose tensor cores have a precision, for those that some lack.
LEAST_SM = {"fp8": 89, "nvfp4": 100}

# An estimate of the memory of the system without a desktop, and of CUDA with TensorRT's libraries.
RESERVED_BYTES = 2e9


@dataclass(frozen=True)
class Board:
    """A board, or this machine."""

    name: str
    title: str
    memory_bytes: float  # shared by the system, the CPU and the GPU
    reserved_bytes: float  # memory of others than the model
    bandwidth_bytes_s: float
    flops_s: Mapping[str, float]  # dense operations by the weights' precision, those that it has
    source: str
    measured: bool = False
    sm: str = ""  # the GPU's compute capability; "" if the board is not known by name
    spread: float = 1.0  # on a measured board, the fastest run over the slowest
    stated_bytes_s: float | None = None  # bandwidth as it was before a measured one took its place

    @property
    def was_busy(self) -> bool:
        """Whether other work made the measurement doubtful."""
        return self.spread > BUSY_SPREAD


def _orin(tensor_cores: int, clock_hz: float) -> dict[str, float]:
    # Ampere: 1024 int8 operations a tensor core and clock, half as many in 16 bits, a quarter in TF32, which
    # TensorRT makes of fp32. This gives the data sheets' dense TOPS, which are half of the sparse ones.
    int8 = 1024.0 * tensor_cores * clock_hz
    # int4 is for weights alone: it is unpacked and multiplied in fp16.
    return {"fp32": int8 / 4, "bf16": int8 / 2, "fp16": int8 / 2, "int8": int8, "int4": int8 / 2}


BOARDS = {
    board.name: board
    for board in (
        Board(
            "orin-nano",
            "Jetson Orin Nano 8 GB (super)",
            8e9,
            RESERVED_BYTES,
            102e9,  # 68 GB/s before JetPack 6.1's super mode
            _orin(32, 1.020e9),
            "Jetson Orin Nano Super Developer Kit data sheet: 102 GB/s, 67 sparse INT8 TOPS",
            sm="87",
        ),
        Board(
            "orin-nx-16",
            "Jetson Orin NX 16 GB (super)",
            16e9,
            RESERVED_BYTES,
            102.4e9,
            _orin(32, 1.173e9),  # the two DLAs have 80 of its 157 sparse TOPS
            "Jetson Orin NX Series data sheet: 102.4 GB/s, 32 tensor cores at up to 1173 MHz",
            sm="87",
        ),
        Board(
            "agx-orin-64",
            "Jetson AGX Orin 64 GB",
            64e9,
            RESERVED_BYTES,
            204.8e9,
            _orin(64, 1.300e9),  # the two DLAs have 105 of its 275 sparse TOPS
            "Jetson AGX Orin Series data sheet: 204.8 GB/s, 170 sparse INT8 TOPS of the GPU",
            sm="87",
        ),
        Board(
            "thor",
            "Jetson AGX Thor (T5000)",
            128e9,
            RESERVED_BYTES,
            273e9,
            # 2070 sparse FP4, 1035 sparse FP8 TFLOPS; dense is half, and each step up in width another half.
            # int8 is taken to run as fast as fp8, int4 to be for weights alone.
            {
                "fp32": 129.4e12,
                "bf16": 258.75e12,
                "fp16": 258.75e12,
                "int8": 517.5e12,
                "fp8": 517.5e12,
                "nvfp4": 1035e12,
                "int4": 258.75e12,
            },
            "Jetson Thor Series data sheet: 273 GB/s, 2070 sparse FP4 TFLOPS",
            sm="110",
        ),
    )
}


def check_board(name: str, precision: str) -> None:
    """Check that the board of this name has the precision. Raises UsageError if it lacks it."""
    board = BOARDS[name]
    if precision in BITS and precision not in board.flops_s:
        has = ", ".join(each for each in BITS if each in board.flops_s)
        raise UsageError(f"{name} (SM {board.sm}) has no {precision}; it has {has}", "give one of those")


# Sizes of the measurement; more than most caches hold is as good as any more.
_LEAST_BYTES, _MOST_BYTES, _BLOCK_BYTES = 2**20, 2**27, 2**23
_RUNS, _ROUNDS, _PAUSE_S = 5, 4, 0.05
BUSY_SPREAD = 1.5

_JETSONS = {  # words of /proc/device-tree/model -> board
    "Orin Nano": "orin-nano",
    "Orin NX": "orin-nx-16",
    "AGX Orin": "agx-orin-64",
    "Thor": "thor",
}


def find_board(name: str, model_bytes: float) -> Board:
    """Find a board by its name; "this" is this machine, which `measure` measures if it is not a Jetson.

    Raises UsageError for a name or a Jetson that is not known.
    """
    if name == "this":
        return this_machine(model_bytes)
    if name not in BOARDS:
        raise UsageError(f"unknown board {name!r}", f"known: {', '.join(BOARDS)}, this, all")
    return BOARDS[name]


def with_bandwidth(board: Board, bytes_s: float) -> Board:
    """Return the board with a measured bandwidth. Raises UsageError if its data sheet has less."""
    if not board.measured and bytes_s > board.bandwidth_bytes_s:
        raise UsageError(
            f"{bytes_s / 1e9:.4g} GB/s is more than {board.title} has ({board.bandwidth_bytes_s / 1e9:.4g})",
            "a copy that stays in caches measures those: give `vla-edge bench bandwidth` more --megabytes",
        )
    return replace(board, bandwidth_bytes_s=bytes_s, stated_bytes_s=board.bandwidth_bytes_s)


def this_machine(model_bytes: float, proc: Path = Path("/proc")) -> Board:
    """Describe this machine: on a Jetson by its board's figures and real memory, elsewhere by measuring."""
    total_bytes, free_bytes = _memory(proc / "meminfo")
    model = proc / "device-tree/model"
    title = model.read_text().strip("\0\n ") if model.is_file() else ""
    if "Jetson" not in title:
        runs = measure(model_bytes)
        bandwidths, rates = zip(*runs, strict=True)
        spread = max(max(bandwidths) / min(bandwidths), max(rates) / min(rates))
        return Board(
            "this",
            "this machine's CPU",
            total_bytes,
            total_bytes - free_bytes,
            max(bandwidths),
            {"fp32": max(rates)},
            "measured just now: float32 matrix times vector and matrix times matrix in numpy, the best of "
            f"{len(runs)} runs that differ by {spread:.1f} times",
            measured=True,
            spread=spread,
        )
    for words, name in _JETSONS.items():
        if words in title:
            return replace(BOARDS[name], name="this", title=title, memory_bytes=total_bytes)
    raise UsageError(f"there are no figures of a {title!r}", f"give one of {', '.join(BOARDS)}")


def _memory(meminfo: Path) -> tuple[float, float]:
    """Bytes of all memory, and of the part that a new process can have."""
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    total, free = (float(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, free


def measure(model_bytes: float) -> list[tuple[float, float]]:
    """Measure bytes and float32 operations a second of this CPU as numpy's BLAS uses it, in some short runs.

    It reads as many bytes as the model has, since a small model stays in caches. The best of many short
    rounds counts: even on a busy machine some of them run undisturbed. The spread of the runs shows if it was
    busy.
    """
    from time import perf_counter, sleep  # the clock of a computation, not of a drive

    import numpy as np

    def time_s(left: np.ndarray, right: np.ndarray) -> float:
        start = perf_counter()
        np.dot(left, right)
        return perf_counter() - start

    vector, square = np.ones(4096, np.float32), np.ones((512, 512), np.float32)
    rows = round(min(max(model_bytes, _LEAST_BYTES), _MOST_BYTES) / vector.nbytes)
    blocks = np.array_split(np.ones((rows, 4096), np.float32), -(-rows * vector.nbytes // _BLOCK_BYTES))
    runs: list[tuple[float, float]] = []
    for _ in range(_RUNS + 1):  # the first also starts threads and touches memory
        sleep(_PAUSE_S)
        speeds = [block.nbytes / time_s(block, vector) for _ in range(_ROUNDS) for block in blocks]
        multiplied_s = min(time_s(square, square) for _ in range(_ROUNDS))
        runs.append((max(speeds), 2 * 512**3 / multiplied_s))
    return runs[1:]
