"""Measured drives in processes of their own, taking turns: A B, B A, A B, ..."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.drives.stamps import SLOW
from edge.bundle.bundle import load_bundle
from edge.bundle.manifest import Manifest
from edge.child import child_environment
from edge.errors import BundleRefused, EdgeError, HardwareMissing, SafetyStop, UsageError

TARGET = "cup"
LONG_S = 45.0
MORE_S = 120.0  # for the start and the end of a drive, on a machine that is short of time

Block = dict[str, Any]  # what `benchmarks.drives.drive` writes


@dataclass(frozen=True)
class Side:
    """One of the bundles that take turns."""

    label: str  # the bundle's name, with a number if it was named before
    bundle: str
    slow: str = ""  # see `benchmarks.drives.stamps.Slowed`


@dataclass(frozen=True)
class DriveSettings:
    """How every drive is made."""

    seconds: float
    pictures: Path | None = None  # shown at `rate_hz`, before motors that move nothing
    rate_hz: float = 30.0
    hardware: tuple[str, ...] = ()  # arguments of `vla-edge run` that name a camera or a robot instead
    threads: int = 1
    engine: str = ""  # as `vla-edge run` takes it
    module: str = "benchmarks.drives.drive"


def sides_of(bundles: Sequence[str], slow: str = "") -> list[Side]:
    """Return the sides; the last one is slowed, if `slow` says so."""
    sides: list[Side] = []
    for number, name in enumerate(bundles):
        seen = bundles[:number].count(name)
        label = f"{name} ({seen + 1})" if seen else name
        sides.append(Side(label, name, slow if number == len(bundles) - 1 else ""))
    return sides


def turns(sides: Sequence[Side], blocks: int) -> Iterator[Side]:
    """Yield the sides, each `blocks` times, in an order that a slow drift of the machine does not favour."""
    for number in range(blocks):
        yield from sides if number % 2 == 0 else reversed(sides)


def measure(
    sides: Sequence[Side],
    blocks: int,
    settings: DriveSettings,
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, list[Block]], dict[str, list[str]]]:
    """Return the blocks of each side by its label, and why drives were stopped by a safety rule, if any were.

    A stopped drive is made again, as often as there are blocks; one that is longer than LONG_S is not. Raises
    what a drive failed with.
    """
    found: dict[str, list[Block]] = {side.label: [] for side in sides}
    stops: dict[str, list[str]] = {side.label: [] for side in sides}
    for done, side in enumerate(turns(sides, blocks)):
        on_progress(done)
        while len(found[side.label]) < blocks:
            try:
                found[side.label].append(drive(side, settings))
                break
            except SafetyStop as stop:
                stops[side.label].append(stop.message)
                if len(stops[side.label]) > blocks or settings.seconds > LONG_S:
                    raise
    return found, stops


def drive(side: Side, settings: DriveSettings) -> Block:
    """Make one drive in a process of its own. Raises what it failed with."""
    goal = endless_goal(load_bundle(side.bundle).manifest)
    arguments = ["--goal", goal, "--target", TARGET, "--bundle", side.bundle]
    arguments += ["--max-seconds", str(settings.seconds), "--threads", str(settings.threads)]
    arguments += ["--allow-domain", *settings.hardware]
    arguments += ["--engine", settings.engine] if settings.engine else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", settings.module, "--out", str(out)]
        if settings.pictures is not None:
            command += ["--pictures", str(settings.pictures), "--rate-hz", str(settings.rate_hz)]
        begin_ns = time.monotonic_ns()
        child = subprocess.Popen(
            [*command, "--", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": child_environment()["PYTHONPATH"], SLOW: side.slow},
        )
        try:
            _, trouble = child.communicate(timeout=settings.seconds + MORE_S)
        except subprocess.TimeoutExpired as error:
            raise EdgeError(f"a drive did not end within {error.timeout:.0f} s") from error
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        document: Block = json.loads(out.read_text()) if out.is_file() else {}
    if "end_ns" not in document:
        said = trouble.strip().splitlines()[-1:] or [""]
        raise failure(child.returncode, document or {"error": f"exit code {child.returncode}: {said[0]}"})
    first_frame_s = (document["first_frame_ns"] - begin_ns) / 1e9
    return document | {"start_s": first_frame_s - document["camera_start_s"]}


def endless_goal(manifest: Manifest) -> str:
    """Return the goal that lasts longest: a bundle that follows never arrives."""
    return "follow_object" if "follow_object" in manifest.goals else "find_object"


def failure(exit_code: int, document: dict[str, Any]) -> EdgeError:
    """Return an error with the exit code and the reason of a run that failed, by what it printed."""
    errors = (UsageError, SafetyStop, HardwareMissing, BundleRefused)
    kind = next((each for each in errors if each.exit_code == exit_code), EdgeError)
    reason = document.get("error") or document.get("reason") or f"exit code {exit_code}"
    return kind(f"the run that is measured failed: {reason}", document.get("hint", ""))
