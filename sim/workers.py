"""Processes that simulate side by side."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from typing import Any


@contextmanager
def worker_pool(
    count: int, start: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[Pool]:
    """Start `count` processes, each with `start(*arguments)`; they end with the block.

    A terminal sends Ctrl-C to all of them. They are born deaf to it, so that only the caller, which must be
    the main thread, handles it: each would print a traceback of its own otherwise.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pool = multiprocessing.get_context("spawn").Pool(count, start, arguments)
    finally:
        signal.signal(signal.SIGINT, before)
    with pool:
        yield pool
