"""Encodes every frame once, before training, by the nets that are frozen.

A frame becomes the tokens of its images, or its features at the action tokens. A file is named by a digest of
all that its numbers depend on, and gets that name when it is whole, so that runs can share a folder.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import Dataset

from edge.commands.output import ProgressLine
from edge.errors import EdgeError, UsageError
from training.datasets.encoded import EncodedFrames, NumbersOnly, Rows, open_rows
from training.datasets.source import EpisodeSource
from training.datasets.windows import Windows
from training.pipeline.augment import prompts
from training.pipeline.loading import choose_workers, load
from training.pipeline.processing import Processing, to_device
from training.pipeline.stream import size_bytes
from vla.fusion import Inputs
from vla.model import VLA

BATCH = 32  # frames
_KEY = "inputs.encode_once"
_LAYOUT = 1  # version of the files' layout


class FrameEncoder(Dataset[Inputs]):
    """Encodes episodes of one source; `episodes` are indices in it."""

    def __init__(self, policy: VLA, processing: Processing, source: EpisodeSource, episodes: Sequence[int],
                 workers: int | None = None) -> None:  # fmt: skip
        """Check that the policy's frames can be encoded once. Raises UsageError if they can't.

        workers: processes that prepare frames; None: by the number of cores.
        """
        self._policy, self._processing, self._source = policy, processing, source
        self._episodes = sorted(episodes)
        self._windows = Windows(source, 1, 1, "segment", self._episodes)
        self._whole = processing.config.inputs.encode_once == "steps"
        self._tokens: Rows | None = None  # tokens of all frames' images, if another run has left them
        self._wanted = workers
        policy.eval()
        if self._whole:
            _check_start(processing.config.start, policy)
            policy.action_token.requires_grad_(False)
            if policy.state is not None:
                policy.state.requires_grad_(False)
        row = self._compute(self[0, 1])
        if row.requires_grad:
            mode = processing.config.backbone.trainable
            raise UsageError(f"{_KEY}: backbone.trainable {mode} trains what encodes the frames", _LEAVE_OUT)
        self.shape = (len(self._windows), *row.shape[1:])
        self.size_bytes = 2 * int(np.prod(self.shape))
        self._frame_rows: dict[int, NDArray[np.int64]] = {}  # row of each frame, by episode; -1: not usable
        first = 0
        for i in self._episodes:
            usable = source.episodes[i].usable
            self._frame_rows[i] = np.where(usable, first + np.cumsum(usable) - 1, -1)
            first += int(usable.sum())

    def __getitem__(self, part: tuple[int, int]) -> Inputs:
        """Prepare the windows from `part[0]` to `part[1]` (excluded); workers of a loader call this."""
        first, end = part
        inputs = self._processing.inputs([self._windows[i] for i in range(first, end)])
        if self._tokens is None:
            return inputs
        rows = torch.from_numpy(np.array(self._tokens[first:end]))[:, None]  # (n, 1, cameras, P, D)
        hand = rows[:, :, 0] if self._processing.config.inputs.hand_camera is not None else None
        return replace(inputs, tokens=rows[:, :, -1], hand_tokens=hand)

    def _compute(self, inputs: Inputs) -> Tensor:
        """Encode frames as (n, cameras, P, D), the hand's camera first, or as (n, L, D)."""
        policy = self._policy
        inputs = to_device(inputs, next(policy.parameters()).device, self._processing.image)
        if self._whole:
            return policy.features(inputs)[:, 0]
        cameras = policy.fusion.encoded_images(inputs)
        if any(c.offsets is not None or c.memory is not None or c.deep is not None for c in cameras):
            family = policy.backbone.family
            raise UsageError(f"{_KEY}: {family} needs more of an image than its tokens", _LEAVE_OUT)
        return torch.stack([camera.tokens for camera in cameras], dim=1)

    @torch.no_grad()
    def _rows(self, inputs: Inputs) -> Rows:
        rows = self._compute(inputs).to(torch.float16)
        if not torch.isfinite(rows).all():
            family = self._policy.backbone.family
            raise UsageError(f"{_KEY}: the numbers of {family} don't fit float16", _LEAVE_OUT)
        return rows.cpu().numpy()

    def file(self, folder: Path) -> Path:
        """Name the file of the rows. The name depends on the weights as they are now."""
        return folder / f"{self._digest(self._whole)}.npy"

    def encoded(self, file: Path) -> EncodedFrames:
        """Open what `write` wrote."""
        return EncodedFrames(file, self._frame_rows)

    def rehearse(self) -> tuple[EncodedFrames, float]:
        """Make a stand-in with one row for all frames, and estimate the seconds that `write` will take."""
        count = min(BATCH, self.shape[0])
        started = time.monotonic()
        rows = self._rows(self[0, count])
        seconds = (time.monotonic() - started) * self.shape[0] / count
        return EncodedFrames(rows[:1], self._frame_rows), seconds

    def write(self, file: Path) -> None:
        """Encode all frames into `file`, unless it is there. Raises UsageError if the disk is too full."""
        if file.exists():
            return
        draft = file.with_suffix(".part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("ab") as out:
                fcntl.flock(out, fcntl.LOCK_EX)  # another run may be at it
                if file.exists():
                    return
                out.truncate(0)
                self._check_disk(file.parent)
                self._use_images(file.parent / f"{self._digest(whole=False)}.npy")
                try:
                    self._fill(out, file)
                except BaseException:
                    out.truncate(0)  # the name stays: others may wait for its lock
                    raise
                draft.rename(file)
        except OSError as error:
            raise EdgeError(f"cannot write {file}: {error.strerror or error}", "is the disk full?") from error

    def _use_images(self, file: Path) -> None:
        """Start from the tokens of an earlier run, if it left them."""
        if self._whole and file.exists():
            self._tokens = open_rows(file)
            numbers = NumbersOnly(self._source)
            self._windows = Windows(numbers, 1, 1, "segment", self._episodes)

    def _check_disk(self, folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        if free < self.size_bytes:
            raise UsageError(
                f"{_KEY}: {self.shape[0]} frames take {self.size_bytes} bytes, {folder} has {free} free",
                "make room, or put `inputs.encoded` on another disk",
            )

    def _fill(self, out: Any, file: Path) -> None:
        count = self.shape[0]
        parts = [(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
        size = f"{self.size_bytes / 2**20:.0f} MiB"
        print(f"encoding {count} frames into {file} ({size})", file=sys.stderr, flush=True)
        np.lib.format.write_array_header_1_0(
            out, {"descr": "<f2", "fortran_order": False, "shape": self.shape}
        )
        done = 0
        with ProgressLine() as progress:
            for inputs in load(self, parts, choose_workers(self._wanted, size_bytes(self[parts[0]]))):
                rows = self._rows(inputs)
                out.write(rows.astype("<f2").tobytes())
                done += len(rows)
                progress.show("frames encoded", done, count)
        out.flush()
        os.fsync(out.fileno())

    def _digest(self, whole: bool) -> str:
        policy, inputs = self._policy, self._processing.config.inputs
        backbone, episodes = policy.backbone, [self._source.episodes[i] for i in self._episodes]
        about: dict[str, Any] = {
            "layout": _LAYOUT,
            "kind": "steps" if whole else "pictures",
            "backbone": [backbone.family, backbone.config, asdict(backbone.layout)],
            "cameras": [inputs.camera, inputs.hand_camera],
            "image": self._processing.image.model_dump(mode="json"),
            "files": _files(self._source.path),
            "episodes": [(episode.number, episode.length) for episode in episodes],
        }
        if whole:
            tasks = sorted({episode.task for episode in episodes})
            about["prompts"] = {task: prompts(task, inputs.instruction)[0] for task in tasks}
            about["state"] = [inputs.state, asdict(self._processing.statistics.state) if inputs.state else {}]
            about["action_tokens"] = policy.config.action_tokens
        digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
        layers: Any = backbone.decoder.layers
        later = set() if whole else {value.data_ptr() for value in layers.state_dict().values()}
        weights = policy.state_dict() if whole else backbone.state_dict()
        for name, value in sorted(weights.items()):
            if not name.startswith("head.") and value.data_ptr() not in later:
                digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}:".encode())
                digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:32]


_LEAVE_OUT = f"leave out {_KEY}"


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of all files below `folder`."""
    found: list[tuple[str, int, int]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        stat = path.stat()
        found.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return found


def _check_start(start: Path | None, policy: VLA) -> None:
    """Check that what never learns here has learnt before: action token and state token."""
    if start is None:
        raise UsageError(
            f"{_KEY} steps: only the head learns, so the action token must be trained already",
            "set `start` to the folder of a policy that was trained with it, such as OUT/best of another run",
        )
    with safe_open(str(start / "model.safetensors"), "pt") as stored:
        found = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    own = {name: tuple(value.shape) for name, value in policy.state_dict().items()}
    wanted = [name for name in own if name == "action_token" or name.startswith("state.")]
    missing = next((name for name in wanted if found.get(name) != own[name]), None)
    if missing is not None:
        raise UsageError(
            f"{_KEY} steps: {start} has no {missing} of shape {own[missing]}, and this run can't train it",
            "start from a policy with a continuous head and the same inputs.state",
        )
