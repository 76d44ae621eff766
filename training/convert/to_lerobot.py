"""Recorded runs as a LeRobotDataset: every run an episode, with what a person drove marked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.convert.driven_run import DrivenRun
from edge.convert.sampled import SampledDrive, sample, task_words
from edge.errors import UsageError
from edge.records import BASE_ACTION, Image
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.demonstrations.demonstrator import STATE_NAMES, to_jpeg

INTERVENTION, DONE, SUCCESS = "intervention", "next.done", "next.success"
_SAMPLED_PIXELS = 10  # one image in so many, and one pixel in 8 x 8 of it, is in the statistics
_APART = "convert them into datasets of their own; `vla-edge train` takes several as its sources"


@dataclass(frozen=True, slots=True)
class WrittenEpisode:
    """What became of one run."""

    recording: str
    task: str
    rows: int
    success: bool
    judged_by: str
    outcome: str | None  # None: the run has no end record
    reason: str | None
    interventions: int
    intervention_s: float
    notes: tuple[str, ...]  # for people: what is not as it should be


@dataclass(frozen=True, slots=True)
class WrittenDataset:
    """What was written."""

    episodes: tuple[WrittenEpisode, ...]
    left_out: tuple[str, ...]  # recordings without a drive, and why


def convert(paths: Sequence[Path], out: Path, rate_hz: int, robot: str) -> WrittenDataset:
    """Write the runs of these recordings as a dataset of so many rows a second, of a robot of that name.

    Raises UsageError for a file that is not a recording, for runs that differ in cameras, in the sizes of
    images or in what is measured, and if none of them drove; EdgeError if the disk is full. Then nothing is
    left behind.
    """
    runs: list[tuple[DrivenRun, SampledDrive, dict[str, tuple[int, int]]]] = []
    left_out: list[str] = []
    for path in paths:
        run = DrivenRun(path)
        drive = sample(run, rate_hz)
        if drive is None:
            left_out.append(f"{path}: {_why_not(run)}")
        else:
            runs.append((run, drive, {name: _first_size(run, name) for name in sorted(drive.images)}))
    if not runs:
        raise UsageError(
            f"no run can be converted: {left_out[0] if left_out else 'none was named'}",
            "`vla-edge run --record DIR` records drives, with motors that are armed",
        )
    first, drive, sizes = runs[0]
    for other, its, its_sizes in runs[1:]:
        _check_alike(first, other, (sizes, drive.states.shape[1]), (its_sizes, its.states.shape[1]))
    names = STATE_NAMES if drive.states.shape[1] else ()
    marks = INTERVENTION, DONE, SUCCESS
    with LeRobotWriter(out, robot, rate_hz, sizes, names, BASE_ACTION.names, marks) as writer:
        done = tuple(_add(writer, run, drive, rate_hz) for run, drive, _ in runs)
        about = {"episodes": [asdict(each) for each in done], "left_out": left_out, "rate_hz": rate_hz}
        writer.finish(about, "convert")
    return WrittenDataset(done, tuple(left_out))


def _add(writer: LeRobotWriter, run: DrivenRun, drive: SampledDrive, rate_hz: int) -> WrittenEpisode:
    encoded, pixels = _images(run, drive)
    success, judged_by = run.verdict()
    last = np.arange(drive.rows) == drive.rows - 1
    marks = {INTERVENTION: drive.by_hand, DONE: last, SUCCESS: last & success}
    assert run.goal is not None  # a run without one is refused
    task = task_words(run.goal)
    writer.add(Recording(task, encoded, pixels, drive.states, drive.actions, marks))
    begun = np.diff(drive.by_hand, prepend=False) & drive.by_hand
    return WrittenEpisode(
        str(run.path), task, drive.rows, success, judged_by,
        None if run.end is None else run.end.outcome.value, None if run.end is None else run.end.reason,
        int(begun.sum()), round(float(drive.by_hand.sum()) / rate_hz, 3), _notes(run, drive),
    )  # fmt: skip


def _images(
    run: DrivenRun, drive: SampledDrive
) -> tuple[dict[str, list[bytes]], dict[str, NDArray[np.uint8]]]:
    """Return each row's image, encoded, by camera; and a sample of their pixels (k, 3)."""
    wanted = {(name, int(stamp)) for name, stamps in drive.images.items() for stamp in stamps}
    files: dict[tuple[str, int], bytes] = {}
    pixels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in drive.images}
    sizes: dict[str, tuple[int, ...]] = {}
    seen = dict.fromkeys(drive.images, 0)
    for name, stored in run.images():
        key = name, stored.stamp_ns
        if key not in wanted or key in files:
            continue
        image, jpeg = run.picture(name, stored)
        if sizes.setdefault(name, image.shape) != image.shape:
            raise UsageError(f"{run.path}: the images of camera {name!r} change their size", "leave it out")
        files[key] = jpeg or to_jpeg(image)
        if seen[name] % _SAMPLED_PIXELS == 0:
            pixels[name].append(_some(image))
        seen[name] += 1
    encoded = {name: [files[name, int(at)] for at in stamps] for name, stamps in drive.images.items()}
    return encoded, {name: np.concatenate(some) for name, some in pixels.items()}


def _some(image: Image) -> NDArray[np.uint8]:
    return image[::8, ::8].reshape(-1, 3).copy()


def _first_size(run: DrivenRun, camera: str) -> tuple[int, int]:
    """Return height and width of a camera's images as the file has them."""
    stored = next(each for name, each in run.images() if name == camera)
    height, width = run.picture(camera, stored)[0].shape[:2]
    return height, width


def _check_alike(first: DrivenRun, other: DrivenRun, expected: Any, found: Any) -> None:
    """Check that two runs fit into one dataset. Raises UsageError."""
    (sizes, states), (its_sizes, its_states) = expected, found
    if sizes != its_sizes:
        raise UsageError(
            f"{other.path} has {_said(its_sizes)}, {first.path} has {_said(sizes)}: "
            "the episodes of a dataset have the same cameras and sizes",
            _APART,
        )
    if states != its_states:
        without = other.path if states else first.path
        raise UsageError(f"{without} has no odometry, other runs have: their states differ", _APART)


def _said(sizes: dict[str, tuple[int, int]]) -> str:
    return ", ".join(f"camera {name!r} of {width}x{height}" for name, (height, width) in sizes.items())


def _why_not(run: DrivenRun) -> str:
    torn = "" if run.whole else " in what is whole of the file"
    if not run.statuses:
        return f"the motor process reported nothing{torn}"
    return f"it has no images{torn}" if not run.stamps_ns else f"the base was not armed long enough{torn}"


def _notes(run: DrivenRun, drive: SampledDrive) -> tuple[str, ...]:
    notes: list[str] = []
    if not run.whole:
        notes.append("the file is torn: the episode ends with its last whole chunk")
    elif run.went_on:
        notes.append("its engine was started again after it: not a success, whatever became of the run")
    elif run.end is None:
        notes.append("the run has no end record: its runtime was killed")
    if run.part:
        notes.append(run.part)
    if drive.old_images:
        notes.append(f"{drive.old_images} of {drive.rows} rows see an image older than 0.25 s")
    return tuple(notes)
