"""Training in this process, as each run finds it."""

from collections.abc import Iterator

import pytest
import torch
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
