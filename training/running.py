"""A training run from its first step to its last: curve, checkpoints, the best of them, Ctrl-C."""

import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from edge.commands.output import ProgressLine
from edge.plugins import load_function
from training.opening import count_dropped
from training.processes import any_process
from training.schedule import learning_rate
from training.trainer import Trainer

Success = Callable[[Path], float]  # from a checkpoint's folder (see training.policy) to its success rate
BOARD = "tensorboard"  # folder in `out`
TIMED_STEPS = 3  # steps that a dry run times, after one that it does not


def find_success(target: str) -> Success:
    """Import the function that "module:function" names. Raises UsageError if there is none."""
    return load_function(target, "validation.success")


class TrainingLog:
    """Writes the curve as JSON lines and for TensorBoard, and shows on standard error how far the run is."""

    def __init__(self, trainer: Trainer) -> None:
        self._folder, self._steps = trainer.folder, trainer.config.steps
        self._folder.forget_after(trainer.step)
        self._board = SummaryWriter(str(trainer.config.out / BOARD), purge_step=trainer.step + 1)
        self._progress = ProgressLine()
        self._figures = ""
        self.tick(trainer.step)

    def __enter__(self) -> "TrainingLog":
        self._progress.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)
        self._board.close()

    def tick(self, step: int) -> None:
        """Show the number of steps that are done."""
        self._progress.show("steps", step, self._steps, self._figures)

    def show(self, what: str) -> None:
        """Show what goes on between two steps."""
        self._progress.show(what)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Append a row of figures to the curve."""
        self._folder.log({"step": step, **figures})
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)
        if "loss" in figures:
            self._figures = (
                f"loss {figures['loss']:.4g}, waiting for data {figures['waiting_for_data']:.0%} of the time"
            )


def run(trainer: Trainer, success: Success | None = None) -> bool:
    """Train to the last step. Returns False if Ctrl-C ended it earlier, with a checkpoint of that step.

    The best checkpoint is the one of the highest success, or else the lowest validation. success: the first
    process alone calls it with each checkpoint's folder, but not after Ctrl-C.
    """
    with _ctrl_c(trainer.accelerator.is_main_process) as interrupted:
        if not trainer.accelerator.is_main_process:
            return _train(trainer, None, None, interrupted)
        with TrainingLog(trainer) as log:
            last = trainer.folder.checkpoint("last")
            if last is not None and _is_checked(trainer):  # the run may have ended before it judged this one
                _keep_best(trainer, log, last, success)
            return _train(trainer, log, success, interrupted)


@contextmanager
def _ctrl_c(prints: bool) -> Iterator[list[bool]]:
    """Catch Ctrl-C: the first one fills the list, the second one is a KeyboardInterrupt."""
    interrupted: list[bool] = []

    def handle(number: int, frame: object) -> None:
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(True)
        if prints:
            text = "\nsaving after this step; Ctrl-C again ends at once, with the last checkpoint kept"
            print(text, file=sys.stderr, flush=True)

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def _is_checked(trainer: Trainer) -> bool:
    """Whether this step has validation and a checkpoint that is judged."""
    return trainer.step == trainer.config.steps or trainer.step % trainer.config.validation.every == 0


def _train(
    trainer: Trainer, log: TrainingLog | None, success: Success | None, interrupted: list[bool]
) -> bool:
    config, started, before = trainer.config, time.monotonic(), trainer.step
    since, waited_s = started, trainer.waited_s
    for parts in trainer.batches():
        figures = trainer.update(parts)
        step, checked = trainer.step, _is_checked(trainer)
        ends = any_process(trainer.accelerator, bool(interrupted)) and step < config.steps
        if checked or step % config.log_every == 0:
            row = trainer.mean_figures(figures)
            row["learning_rate"] = learning_rate(step - 1, config.steps, config.optimiser)
            now = time.monotonic()
            row["seconds_per_step"] = (now - started) / (step - before)
            row["waiting_for_data"] = (trainer.waited_s - waited_s) / (now - since)  # since the last row
            if checked and log is not None:
                log.show("validating")
            row |= trainer.validate() if checked else {}
            if log is not None:
                log.write(step, row)
            since, waited_s = time.monotonic(), trainer.waited_s
        folder = trainer.save() if checked or ends else None
        if log is not None and folder is not None and checked:
            _keep_best(trainer, log, folder, success)
        if log is not None:
            log.tick(step)
        if ends:
            return False
    return True


def _keep_best(trainer: Trainer, log: TrainingLog, folder: Path, success: Success | None) -> None:
    """Judge the newest checkpoint, `folder`, unless the curve has its success already."""
    step, rows = trainer.step, trainer.folder.rows()
    if success is not None and not any(row["step"] == step and "success" in row for row in rows):
        log.show(f"measuring the success of step {step}")
        log.write(step, {"success": success(folder)})
        rows = trainer.folder.rows()
    best = _best_row(rows, "validation" if success is None else "success")
    if best is None or best["step"] == step:
        trainer.folder.set_best(folder)
    trainer.folder.prune()


def _best_row(rows: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Return the row of the lowest validation or the highest success, the first one of equals; None: none."""
    sign = -1 if name == "validation" else 1
    return max((r for r in rows if name in r), key=lambda r: (sign * r[name], -r["step"]), default=None)


def outcome(trainer: Trainer) -> dict[str, Any]:
    """Return what `vla-edge train --json` prints of a run: None for what it does not have."""
    rows = trainer.folder.rows()
    judged_by = "validation" if trainer.config.validation.success is None else "success"
    best = _best_row(rows, judged_by)
    checkpoints = {name: trainer.folder.checkpoint(name) for name in ("last", "best")}
    return {
        "out": str(trainer.config.out),
        "steps": trainer.step,
        **{name: None if folder is None else str(folder) for name, folder in checkpoints.items()},
        "loss": next((row["loss"] for row in reversed(rows) if "loss" in row), None),
        "judged_by": judged_by,
        "best_step": None if best is None else best["step"],
        "best_value": None if best is None else best[judged_by],
    }


def estimate(trainer: Trainer) -> dict[str, float]:
    """Estimate memory and time of a run from a few steps that are thrown away."""
    config, accelerator = trainer.config, trainer.accelerator
    parameters = list(trainer.policy.parameters())
    learning = sum(p.numel() for p in parameters if p.requires_grad)
    seconds: list[float] = []
    data_s = trainer.time_batch()
    for parts, _ in zip(trainer.batches(), range(1 + TIMED_STEPS), strict=False):
        started = time.monotonic()
        trainer.mean_figures(trainer.update(parts))
        seconds.append(time.monotonic() - started)
    update_s = sum(seconds[1:] or seconds) / len(seconds[1:] or seconds)
    step_s = max(update_s, data_s / trainer.workers) if trainer.workers else update_s + data_s
    samples, dropped = {n: t.train for n, t in trainer.tasks.items()}, count_dropped(trainer.tasks)
    each = config.optimiser.accumulation * accelerator.num_processes
    on_gpu = accelerator.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else _peak_rss_bytes()
    found = {
        "parameters": sum(p.numel() for p in parameters),
        "learning": learning,
        "weights_bytes": sum(p.numel() * p.element_size() for p in parameters),
        "peak_memory_bytes": peak,  # the GPU's, or this process's
        "processes": accelerator.num_processes,
        "steps": config.steps,
        "workers": trainer.workers,
        "seconds_per_step": step_s,
        "waiting_for_data": 1 - update_s / step_s,  # share of the time
        "hours": step_s * config.steps / 3600,  # without validation
        "encoding_hours": trainer.encoding_s / 3600,  # once, before training
    }
    for name, count in samples.items():
        found[f"{name}_samples"] = count
        if name in dropped:
            found[f"{name}_dropped"] = dropped[name]["dropped"]
        found[f"{name}_epochs"] = config.steps * each * config.sources[name].batch_size / count
    return found


def _peak_rss_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
