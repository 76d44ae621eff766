"""A tick of the control loop at 30 Hz: this runtime's drive without a model, beside LeRobot's loops."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drives.blocks import DriveSettings, Side, drive
from benchmarks.drives.pictures import noisy_pictures
from benchmarks.peers.turns import Turns

OURS = "vla-edge"
OURS_ALONE = "vla-edge without its motor process"
LEROBOT_LOOPS = {"LeRobot record": "record", "LeRobot teleoperate": "teleoperate"}


class OwnLoop:
    """This runtime's drive of `vla-edge bench loop`."""

    name = OURS

    def __init__(self, folder: Path) -> None:
        self.versions: dict[str, str] = {}
        self._pictures = folder / "pictures.npy"
        np.save(self._pictures, noisy_pictures())

    def ask(self, question: object) -> dict[str, Any]:
        """Drive for so many seconds; return what a frame took of both processes, and of the runtime alone."""
        settings = DriveSettings(float(str(question)), self._pictures, module="benchmarks.drives.no_model")
        block = drive(Side("loop", "default"), settings)
        frames = max(1, block["frames"])
        runtime_ms = block["runtime_cpu_s"] * 1e3 / frames
        ticks = sum(block["start_ns"] <= each <= block["end_ns"] for each in block["writes_ns"])
        # The stamps of the motor process begin before the drive and end after it: a tick's share counts.
        motor_ms = block["motor_cpu_s"] * 1e3 / max(1, len(block["writes_ns"]) - 1) * ticks / frames
        return {"ms": block["turn_ms"], "cpu_ms": runtime_ms + motor_ms, "runtime_cpu_ms": runtime_ms}

    def close(self) -> None:
        """Do nothing: each drive has ended."""


def with_runtime_alone(found: Turns) -> Turns:
    """Return the turns with a row more: our runtime process without the one that holds the motors."""
    alone = [{"ms": turn["ms"], "cpu_ms": turn["runtime_cpu_ms"]} for turn in found[OURS]]
    return {OURS: found[OURS], OURS_ALONE: alone} | {k: v for k, v in found.items() if k != OURS}
