"""Processes that prepare what a net reads, while it computes."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from edge.errors import EdgeError, UsageError

MOST_WORKERS = 8
_AHEAD = 2  # batches that each prepares beforehand
_SHARED = Path("/dev/shm")  # through which they hand them over


def choose_workers(wanted: int | None, batch_bytes: int) -> int:
    """How many prepare batches: as many as wanted, or as there are cores and room for what they prepare.

    Raises UsageError if there is no room for what the wanted ones prepare.
    """
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # training processes on this machine
    free_bytes = shutil.disk_usage(_SHARED).free // together if _SHARED.is_dir() else None
    fitting = MOST_WORKERS if free_bytes is None else free_bytes // ((_AHEAD + 1) * max(1, batch_bytes))
    if wanted is None:
        return max(0, min(_cores() // together - 1, MOST_WORKERS, fitting))
    if free_bytes is not None and wanted > fitting:
        raise UsageError(
            f"workers: {wanted} need {wanted * (_AHEAD + 1) * batch_bytes / 2**20:.0f} MiB of shared memory, "
            f"{_SHARED} has {free_bytes / 2**20:.0f} MiB free",
            f"set workers to {fitting} or less, or give the container more (docker run --shm-size)",
        )
    return wanted


def load(dataset: Dataset[Any], numbers: Iterable[Any], workers: int, pin: bool = False) -> Iterator[Any]:
    """What a dataset has of those numbers, one after the other; `workers` processes prepare them.

    pin: into memory that a GPU reads by itself. Raises what the dataset raises, in whatever process.
    """
    if workers:
        cv2.setNumThreads(1)  # its threads would be missing in the workers, which wait for them for ever
    loader = DataLoader(
        _ErrorsAsItems(dataset),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        worker_init_fn=_quiet if workers else None,
        pin_memory=pin,
    )
    for found in loader:
        if isinstance(found, EdgeError):
            raise found
        yield found


class _ErrorsAsItems(Dataset[Any]):
    """Hands errors over as they are: a loader would make a traceback of them."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitem__(self, number: Any) -> Any:
        try:
            return self._dataset[number]
        except EdgeError as error:
            return error


def _quiet(worker: int) -> None:
    torch.set_num_threads(1)  # the cores belong to the net


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
