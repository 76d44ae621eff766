"""What one update of the weights does: clipped, decayed, recomputed, and spread over processes."""

from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.small_run import config, learn_together, write_dataset
from training.pipeline.stream import BatchStream, Task
from training.trainer import Trainer


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def trainer_of(dataset: Path, tiny_checkpoint: Path, tmp_path: Path) -> Callable[..., Trainer]:
    def make(**changes: Any) -> Trainer:
        return Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes), writes=False)

    return make


def gradient_norm(trainer: Trainer) -> float:
    """Return the norm of the gradients that the optimiser gets in one update."""
    norms: list[float] = []

    def look(optimizer: Any, *_: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in parameters]))))

    hook = trainer.learner.optimiser.optimizer.register_step_pre_hook(look)
    trainer.update(next(trainer.batches()))
    hook.remove()
    [norm] = norms
    return norm


def test_gradients_are_clipped_to_their_norm(trainer_of: Callable[..., Trainer]) -> None:
    free = gradient_norm(trainer_of(optimiser__clip_norm=None))
    assert gradient_norm(trainer_of(optimiser__clip_norm=free / 10)) == pytest.approx(free / 10, rel=1e-3)
    assert gradient_norm(trainer_of(optimiser__clip_norm=free * 10)) == pytest.approx(free, rel=1e-3)


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_weights_decay_but_biases_and_norms_do_not(mode: str, trainer_of: Callable[..., Trainer]) -> None:
    """Without gradients nothing else moves a weight."""
    changes = {"optimiser": {"learning_rate": 0.1, "weight_decay": 0.5, "schedule": "constant"}}
    trainer = trainer_of(backbone__trainable=mode, backbone__lora_rank=2, **changes)
    learning = {name: p for name, p in trainer.policy.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in learning.items()}
    for parameter in learning.values():
        parameter.grad = torch.zeros_like(parameter)
    trainer.learner.optimiser.step()
    spared = {
        f"{place}.{name}"
        for place, module in trainer.policy.named_modules()
        for name, _ in module.named_parameters(recurse=False)
        if name.startswith("bias") or "norm" in type(module).__name__.lower()
    }
    assert spared & learning.keys() and learning.keys() - spared
    for name, parameter in learning.items():
        kept = 1.0 if name in spared else 1 - 0.1 * 0.5
        torch.testing.assert_close(parameter, before[name] * kept, msg=name)


@pytest.mark.parametrize("mode", ["frozen", "last", "lora", "full"])
def test_with_checkpointing_layers_are_computed_again(mode: str, trainer_of: Callable[..., Trainer]) -> None:
    """Once forward, and once more on the way back, instead of being kept."""

    def computed(wanted: bool) -> tuple[int, int]:
        """Layers that an update computed, and layers that there are."""
        trainer = trainer_of(backbone__trainable=mode, backbone__gradient_checkpointing=wanted)
        calls: list[int] = []
        layers: Any = trainer.policy.backbone.decoder.layers
        for layer in layers:
            layer.mlp.register_forward_pre_hook(lambda *_: calls.append(1))
        trainer.update(next(trainer.batches()))
        return len(calls), len(layers)

    plain, layers = computed(False)
    again, _ = computed(True)
    assert plain == layers and again == 2 * layers


class Counted:
    """A task that remembers which samples it was asked for."""

    kept = 0

    def __init__(self, train: int) -> None:
        self.train, self.seen = train, list[int]()

    def batch(self, samples: Any, rngs: Any) -> Any:
        self.seen += list(samples)
        return None, None


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(0, 9))
def test_processes_see_each_sample_once_an_epoch(processes: int, size: int, steps: int, seed: int) -> None:
    train = processes * size * steps
    tasks = [Counted(train) for _ in range(processes)]
    for epoch in range(2):
        for process, task in enumerate(tasks):
            tasks_of_one: dict[str, Task] = {"sim": task}
            batches = BatchStream(tasks_of_one, {"sim": size}, seed, process, processes)
            for number in range(epoch * steps, (epoch + 1) * steps):
                _ = batches[number]
        seen = [task.seen[epoch * steps * size :] for task in tasks]
        assert sorted(sample for each in seen for sample in each) == list(range(train))


@pytest.mark.slow  # two more Pythons with torch: 10 s; above is the same of the numbers alone
def test_two_processes_learn_from_different_samples(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Together one epoch, each half of it."""
    made = config(tmp_path / "out", dataset, tiny_checkpoint, steps=6, validation={"fraction": 0.25})
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = get_context("spawn")  # a fork beside other tests' threads may hang
    answers = context.Queue()
    pair = [context.Process(target=learn_together, args=(made, n, port, answers)) for n in range(2)]
    try:
        for process in pair:
            process.start()
        (count, train, one), (_, _, two) = (answers.get(timeout=100) for _ in pair)
        for process in pair:
            process.join(30)
    finally:
        for process in pair:
            process.kill()
    assert count == 2 and len(one) == len(two) == 24
    assert sorted(one + two) == list(range(train)) == list(range(48))
