"""Processes that prepare batches while the net computes."""

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
_AHEAD = 2  # batches that each worker prepares in advance
_SHARED = Path("/dev/shm")  # memory through which workers hand batches over


def choose_workers(wanted: int | None, batch_bytes: int) -> int:
    """Choose the number of workers: the wanted one, or by the cores and the room in shared memory.

    Raises UsageError if the batches of the wanted number don't fit there.
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
    """Load a dataset's items of those numbers in order; `workers` processes prepare them.

    pin: into pinned memory, which a GPU reads directly. Raises what the dataset raises, in whatever process.
    """
    if workers:
        cv2.setNumThreads(1)  # workers are forks without these threads, and would wait for them for ever
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
    """Returns errors as items: a loader would turn them into tracebacks."""

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
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
