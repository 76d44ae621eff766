"""Training in this process, as each run finds it."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch  # not above: a process that only hands out tests reads this file, too
    from accelerate.state import AcceleratorState

    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
