"""Time that parsing takes, without what else the process does."""

import time
from collections.abc import Callable


def thread_seconds(parse: Callable[[], object]) -> float:
    """Return the least processor time of this thread in three calls: a pause to collect garbage is in one."""
    seconds: list[float] = []
    for _ in range(3):
        start = time.thread_time()
        parse()
        seconds.append(time.thread_time() - start)
    return min(seconds)
