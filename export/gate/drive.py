"""The last word of the gate: does the bundle still reach what the fp32 one reaches, in the same rooms?

Rooms are a simulation's; a package offers them by the entry point `vla_edge.episodes`.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge.bundle.bundle import Bundle, write_bundle
from edge.errors import UsageError
from edge.plugins import EPISODES
from export.gate.records import LIMITS, Parity, Success
from export.measure.progress import OnProgress

SEED = 9000  # of the first room; rooms that nothing was trained or tuned on
MANY = 100  # fewer episodes prove little


class Episodes(Protocol):
    """Drives each bundle through the same rooms; says for each whether it was right to claim its goal."""

    def __call__(
        self, folders: Sequence[Path], episodes: int, seed: int, told: Callable[[int], None]
    ) -> list[list[bool]]: ...


def find_episodes() -> tuple[str, Episodes]:
    """The simulation that is installed, and its name. Raises UsageError when there is none."""
    known = EPISODES.names()
    if not known:
        raise UsageError(
            f"no simulation is installed (entry point {EPISODES.entry_points})",
            "leave --episodes out, or install one",
        )
    return known[0], EPISODES.load(known[0])


def with_success(
    parity: Parity, base: Bundle, other: Bundle, episodes: int, on_progress: OnProgress
) -> Parity:
    """The parity with the closed loop of both, and with what fails in it."""
    name, drive = find_episodes()
    with tempfile.TemporaryDirectory(prefix="vla-edge-") as place:
        folders = [Path(place) / "fp32", Path(place) / parity.precision]
        for folder, bundle in zip(folders, (base, other), strict=True):
            write_bundle(folder, bundle)
        told = lambda done: on_progress("driving in simulation", done, 2 * episodes)  # noqa: E731
        before, after = drive(folders, episodes, SEED, told)
    pairs = list(zip(range(SEED, SEED + episodes), before, after, strict=True))
    success = Success(
        name,
        episodes,
        SEED,
        sum(before) / episodes,
        sum(after) / episodes,
        [seed for seed, a, b in pairs if a and not b],
        [seed for seed, a, b in pairs if b and not a],
    )
    return replace(parity, success=success, failures=[*parity.failures, *_failures(success)])


def _failures(said: Success) -> list[str]:
    if said.base - said.other <= LIMITS.success_points + 1e-9:
        return []
    few = f"; {said.episodes} episodes prove little, {MANY} would tell more" * (said.episodes < MANY)
    return [
        f"success in simulation: {said.other:.3f} of {said.episodes} rooms, {said.base:.3f} in fp32, at most "
        f"{LIMITS.success_points:g} less allowed (lost: rooms {', '.join(map(str, said.lost[:8]))}{few})"
    ]
