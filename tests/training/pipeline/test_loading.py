"""Workers that prepare batches: the same numbers, errors as they are, and how long a run waits for them."""

import json
import shutil
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from edge.bundle.manifest import ImageSpec
from edge.errors import UsageError
from edge.model.images import image_to_planes, image_to_tensor
from tests.training.small_run import config, curve, write_dataset
from training.pipeline import loading
from training.pipeline.loading import choose_workers, load
from training.pipeline.processing import to_device
from training.pipeline.stream import RobotTask, TaskBatches
from training.running import run
from training.train import main
from training.trainer import Trainer
from vla.fusion import Inputs
from vla.model import Targets

MIB = 2**20
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, free_mib: int, processes: int = 1) -> None:
    monkeypatch.setattr(loading, "_cores", lambda: cores)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free_mib * MIB))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))


@pytest.mark.parametrize(
    ("cores", "free_mib", "processes", "workers"),
    [
        (1, 1000, 1, 0),
        (2, 1000, 1, 1),
        (6, 1000, 1, 5),
        (64, 1000, 1, loading.MOST_WORKERS),
        (64, 100, 1, 3),  # 30 MiB each
        (64, 20, 1, 0),
        (16, 1000, 4, 3),
        (64, 100, 2, 1),
    ],
)
def test_workers_are_as_many_as_there_are_cores_and_room(
    cores: int, free_mib: int, processes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, cores, free_mib, processes)
    assert choose_workers(None, 10 * MIB) == workers


def test_more_workers_than_fit_into_shared_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would die of a bus error in the middle of a run: containers have 64 MiB unless told otherwise."""
    machine(monkeypatch, 8, 64)
    assert choose_workers(2, 10 * MIB) == 2
    with pytest.raises(UsageError, match=r"workers: 3 need 90 MiB of shared memory, .* has 64 MiB") as caught:
        choose_workers(3, 10 * MIB)
    assert "workers to 2 or less" in caught.value.hint and "--shm-size" in caught.value.hint


class Failing(Dataset[int]):
    def __getitem__(self, number: int) -> int:
        if number == 3:
            raise UsageError("file, frame 3: no readable picture", "copy it again")
        return number


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_is_told_as_it_is(workers: int) -> None:
    stream = load(Failing(), range(6), workers)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UsageError) as caught:
        next(stream)
    assert (caught.value.message, caught.value.hint) == (
        "file, frame 3: no readable picture",
        "copy it again",
    )


def test_workers_prepare_the_batches_that_no_worker_would(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    found = []
    for workers in (0, 2):
        changes = {"augmentation": {"shift_px": 2, "contrast": 0.2}, "workers": workers}
        trainer = Trainer.open(config(tmp_path / "out", dataset, tiny_checkpoint, **changes), writes=False)
        found.append([parts[0]["sim"] for parts in trainer.batches()])
    assert len(found[0]) == len(found[1]) == 6
    for (inputs, targets), (again, same) in zip(*found, strict=True):
        assert torch.equal(inputs.images, again.images) and torch.equal(targets.actions, same.actions)
        assert inputs.images.dtype == torch.uint8 and again.images.is_shared()


class Slow(Dataset[TaskBatches]):
    """Takes its time for the first two batches."""

    def __init__(self, batches: Dataset[TaskBatches]) -> None:
        self._batches = batches

    def __getitem__(self, number: int) -> TaskBatches:
        time.sleep(0.4 * (number < 2))
        return self._batches[number]


def test_the_share_of_time_without_data_is_told(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waiting share covers the steps since the last report."""

    def update(self: Trainer, parts: Any) -> Any:
        time.sleep(0.15)
        return learn(self, parts)

    learn = Trainer.update
    monkeypatch.setattr(Trainer, "update", update)
    made = config(tmp_path / "out", dataset, tiny_checkpoint, steps=4, validation__every=4, log_every=2)
    trainer = Trainer.open(made)
    trainer.stream = Slow(trainer.stream)  # type: ignore[assignment]
    run(trainer)
    early, late = (row["waiting_for_data"] for row in curve(made.out) if "loss" in row)
    assert 0.4 < early < 1 and 0 < late < 0.3
    events = next((made.out / "tensorboard").iterdir()).read_bytes()
    assert b"waiting_for_data" in events


def test_a_dry_run_counts_the_time_that_data_takes(
    dataset: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def batch(self: RobotTask, *given: Any) -> Any:
        time.sleep(0.3)
        return make(self, *given)

    make = RobotTask.batch
    monkeypatch.setattr(RobotTask, "batch", batch)
    made = config(tmp_path / "out", dataset, tiny_checkpoint)
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(made.model_dump(mode="json")))
    assert main([str(file), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds_per_step"] > 0.3 and 0.3 < found["waiting_for_data"] < 1 and found["workers"] == 0


@pytest.mark.parametrize("size", [(20, 30), (32, 48), (64, 96)])
@pytest.mark.parametrize("resize", ["bilinear", "area", "bicubic"])
def test_a_device_makes_of_bytes_what_the_runtime_makes_of_an_image(
    size: tuple[int, int], resize: Any
) -> None:
    spec = ImageSpec(height=32, width=48, resize=resize, mean=(0.48, 0.45, 0.4), std=(0.26, 0.27, 0.3))
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    planes = torch.from_numpy(image_to_planes(image, spec))[None, None]
    none = torch.zeros(1, 1, dtype=torch.int64)
    inputs = Inputs(planes, none, none.bool(), none.bool(), hand_images=planes)
    moved = to_device(inputs, torch.device("cpu"), spec)
    for images in (moved.images, moved.hand_images):
        assert images is not None
        np.testing.assert_array_equal(images[0].numpy(), image_to_tensor(image, spec))
    assert to_device(moved, torch.device("cpu"), spec).images.equal(moved.images)  # type: ignore[union-attr]


def test_the_size_of_a_batch_is_that_of_its_tensors() -> None:
    ids, mask = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.bool)
    inputs = Inputs(torch.zeros(2, 1, 3, 4, 5, dtype=torch.uint8), ids, mask, mask)
    parts = TaskBatches({"sim": (inputs, Targets(torch.zeros(2, 1, 1, 1), mask))})
    assert parts.size_bytes == 120 + 48 + 6 + 6 + 8 + 6
