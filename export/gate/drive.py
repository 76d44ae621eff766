"""The last part of the gate: the bundle reaches as many goals as the fp32 one, in the same rooms.

The rooms are a simulation's; a package offers them by the entry point `vla_edge.episodes`.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.bundle.bundle import Bundle, write_bundle
from edge.errors import UsageError
from edge.plugins import EPISODES
from export.gate.records import LIMITS, Parity, Success
from export.measure.progress import OnProgress

SEED = 9000  # the first room's; nothing was trained or tuned on these rooms
MANY = 100  # fewer episodes prove little


class Episodes(Protocol):
    """Drives each bundle through the same rooms."""

    def __call__(
        self, folders: Sequence[Path], episodes: int, seed: int, on_episode: Callable[[int], None], /
    ) -> list[list[bool]]:
        """Return for each bundle one bool a room: whether it claimed its goal, and rightly."""
        ...


def find_episodes() -> tuple[str, Episodes]:
    """Return the name of the installed simulation, and the simulation; one of a package's goes before ours.

    Raises UsageError if there is none, if packages bring two, and if it does not load.
    """
    theirs = EPISODES.names_of_packages()
    known = theirs or EPISODES.names()
    if not known:
        raise UsageError(
            f"no simulation is installed (entry point {EPISODES.entry_points})",
            "leave --episodes out, or install one",
        )
    if len(theirs) > 1:
        raise UsageError(
            f"{len(theirs)} packages bring a simulation: {', '.join(theirs)}",
            "uninstall all but one: nothing chooses",
        )
    name = known[0]
    EPISODES.load(name)
    return name, partial(_reached, name)


def _reached(
    name: str, folders: Sequence[Path], episodes: int, seed: int, on_episode: Callable[[int], None]
) -> list[list[bool]]:
    """Drive in a package's simulation. Raises PluginError if that fails, or judges other than it must."""
    with EPISODES.blaming(name):
        found = [
            [bool(room) for room in each] for each in EPISODES.open(name, folders, episodes, seed, on_episode)
        ]
        if [len(rooms) for rooms in found] != [episodes] * len(folders):
            rooms = ", ".join(str(len(each)) for each in found) or "none"
            raise TypeError(f"it judged {rooms} rooms by bundle, {len(folders)} times {episodes} are wanted")
        return found


def with_success(
    parity: Parity, reference: Bundle, candidate: Bundle, episodes: int, on_progress: OnProgress
) -> Parity:
    """Return `parity` with both bundles' success in simulation, and any failure of it, added."""
    name, drive = find_episodes()
    with tempfile.TemporaryDirectory(prefix="vla-edge-") as folder:
        folders = [Path(folder) / "fp32", Path(folder) / parity.precision]
        for one, bundle in zip(folders, (reference, candidate), strict=True):
            write_bundle(one, bundle)
        on_episode = lambda done: on_progress("driving in simulation", done, 2 * episodes)  # noqa: E731
        before, after = drive(folders, episodes, SEED, on_episode)
    pairs = list(zip(range(SEED, SEED + episodes), before, after, strict=True))
    success = Success(
        simulation=name,
        episodes=episodes,
        seed=SEED,
        base=sum(before) / episodes,
        other=sum(after) / episodes,
        lost=[seed for seed, a, b in pairs if a and not b],
        gained=[seed for seed, a, b in pairs if b and not a],
    )
    return replace(parity, success=success, failures=[*parity.failures, *_failures(success)])


def _failures(success: Success) -> list[str]:
    if success.base - success.other <= LIMITS.success_points + 1e-9:
        return []
    episodes = success.episodes
    few = f"; {episodes} episodes prove little, {MANY} would tell more" * (episodes < MANY)
    return [
        f"success in simulation: {success.other:.3f} of {episodes} rooms, {success.base:.3f} in fp32, "
        f"at most {LIMITS.success_points:g} less allowed "
        f"(lost: rooms {', '.join(map(str, success.lost[:8]))}{few})"
    ]
