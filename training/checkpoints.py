"""The folder of a training run: config, curve and checkpoints; none of these is ever half-written.

config.yaml  statistics.json  data.json  curve.jsonl  tensorboard/
step-00000500/   a checkpoint: a policy (see training.policy) and resume.pt
last -> step-00000500, best -> step-00000400
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from edge.errors import EdgeError, UsageError
from edge.files import whole_file, whole_folder, write_whole
from training.policy import CONFIG

RESUME = "resume.pt"
_MAY_DIFFER = ("out", "workers", "log_every")  # keys that may differ when a run is resumed


class TrainingFolder:
    """Files of a run; only one process may write them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curve = path / "curve.jsonl"

    def begin(self, config: str, resume: bool) -> None:
        """Make the folder, or check that the one that is there holds this very run.

        config: the run's, as YAML. Raises UsageError if the folder is taken, missing or another run's.
        """
        file = self.path / CONFIG
        if not resume:
            if file.exists():
                raise UsageError(
                    f"{self.path} already holds a run",
                    "continue it with --resume, or change `out` in the YAML file",
                )
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                file.write_text(config)
            except OSError as error:
                raise UsageError(f"cannot write {file}: {error.strerror}") from error
            return
        if self.checkpoint("last") is None:
            raise UsageError(f"there is no checkpoint in {self.path} to continue from", "leave out --resume")
        old, new = _flat(yaml.safe_load(file.read_text())), _flat(yaml.safe_load(config))
        key = next((k for k in sorted({*old, *new}) if old.get(k) != new.get(k)), None)
        if key is not None:
            raise UsageError(
                f"{key} is {new.get(key)!r}, but the run in {self.path} has {old.get(key)!r}",
                "--resume keeps a run's settings; for a new run change `out`, and set `start` to this one",
            )

    def write_data(self, losses: dict[str, dict[str, int]]) -> None:
        """Write what became of each source's frames, see `training.opening.count_dropped`."""
        (self.path / "data.json").write_text(json.dumps(losses, indent=1) + "\n")

    def checkpoint(self, name: str) -> Path | None:
        """Find the folder of `last` or `best`; None: there is none yet."""
        link = self.path / name
        return link.resolve() if link.is_dir() else None

    def save(self, step: int, write: Callable[[Path], None]) -> Path:
        """Make a checkpoint of what `write` puts into a folder, and point `last` at it.

        Raises EdgeError if it can't be written.
        """
        folder = self.path / f"step-{step:08d}"
        try:
            for stray in self.path.glob(".step-*"):  # a run that was killed while it saved leaves one
                shutil.rmtree(stray)
            # A run that was stopped before `last` named its checkpoint has left `folder`.
            with whole_folder(folder, replace=True) as draft:
                write(draft)
            self._point("last", folder)
        except OSError as error:
            raise EdgeError(
                f"cannot write {folder}: {error.strerror or error}", "is the disk full?"
            ) from error
        return folder

    def set_best(self, folder: Path) -> None:
        """Point `best` at a checkpoint."""
        self._point("best", folder)

    def prune(self) -> None:
        """Remove checkpoints that are neither last nor best."""
        kept = {self.checkpoint("last"), self.checkpoint("best")}
        for folder in self.path.glob("step-*"):
            if folder.resolve() not in kept:
                shutil.rmtree(folder)

    def log(self, row: dict[str, Any]) -> None:
        """Append a row to the curve."""
        with self.curve.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """Read the curve so far."""
        return [json.loads(line) for line in self.curve.read_text().splitlines()]

    def forget_after(self, step: int) -> None:
        """Cut the curve after a step: a run that was killed had gone further than its last checkpoint."""
        lines = self.curve.read_text().splitlines() if self.curve.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        write_whole(self.curve, "".join(f"{line}\n" for line in kept))

    def _point(self, name: str, folder: Path) -> None:
        with whole_file(self.path / name) as draft:
            draft.symlink_to(folder.name)


def _flat(fields: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to one, by dotted key, without the keys that may differ."""
    if not isinstance(fields, dict):
        return {prefix: fields}
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if prefix or key not in _MAY_DIFFER:
            flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
