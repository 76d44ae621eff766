"""`vla-edge collect`: its options, and what it prints.

What needs pyarrow is imported once the arguments are read: --help answers without it.
"""

import argparse
import os
from pathlib import Path

from edge.bundle.bundle import load_bundle
from edge.commands.arguments import (
    ArgumentParser,
    non_negative_float,
    non_negative_int,
    parallel_int,
    positive_float,
    positive_int,
)
from edge.commands.output import print_json
from edge.errors import UsageError
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from sim.objects import KINDS
from sim.render import CameraSpec
from sim.targets import make_scene

_INTERRUPTED = 130  # 128 + SIGINT


def _share(text: str) -> float:
    value = non_negative_float(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _parser() -> argparse.ArgumentParser:
    p = ArgumentParser("collect", "Record demonstrations by a scripted expert as a LeRobotDataset.")
    p.add_argument("--episodes", type=positive_int, required=True, help="episodes to keep")
    p.add_argument("--out", type=Path, required=True, help="folder to make; it must not exist")
    p.add_argument("--seed", type=non_negative_int, default=0, help="seed of the first room (%(default)s)")
    p.add_argument("--target", help="default: a random kind in each room, half of them with a colour")
    p.add_argument(
        "--noise", type=_share, default=0.0, help="strength of pushes, as a share of full speed, such as 0.3"
    )
    p.add_argument(
        "--decoys",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="share of the episodes that start in front of something else than the target (%(default)g)",
    )
    p.add_argument("--dagger", metavar="BUNDLE", help="the bundle's policy drives, the expert labels")
    p.add_argument("--rate-hz", type=positive_int, default=10, help="frames a second (%(default)s)")
    p.add_argument(
        "--height",
        type=positive_int,
        default=CameraSpec().height,
        help="height of the images, pixels (%(default)s)",
    )
    p.add_argument(
        "--max-seconds",
        type=positive_float,
        default=60.0,
        help="simulated seconds of an episode, at most (%(default)g)",
    )
    p.add_argument("--jobs", type=parallel_int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p


def _check(a: argparse.Namespace) -> None:
    """Refuse what can be refused before the first episode. Raises UsageError."""
    camera = CameraSpec()
    if a.rate_hz > camera.rate_hz:
        raise UsageError(
            f"--rate-hz {a.rate_hz}: the camera takes {camera.rate_hz:.0f} frames per second",
            f"set it to 1..{camera.rate_hz:.0f}",
        )
    if not 8 <= a.height <= camera.height:
        raise UsageError(f"--height {a.height} is not between 8 and the camera's {camera.height}")
    if a.out.exists():
        raise UsageError(f"{a.out} is there already", "name another folder: nothing is written over")
    if a.target is not None:
        make_scene(0, a.target)
    if a.dagger is not None:
        check_target(load_bundle(a.dagger), parse_goal("find_object", a.target or next(iter(KINDS))))


def main(argv: list[str]) -> int:
    """`vla-edge collect`. Ctrl-C returns 130, with the whole episodes kept."""
    a = _parser().parse_args(argv)
    _check(a)
    from training.demonstrations.collect import CollectSettings, collect

    job = CollectSettings(a.target, a.rate_hz, a.height, a.noise, a.decoys, a.dagger, a.max_seconds)
    figures = collect(job, a.episodes, a.seed, a.out, a.jobs)
    if a.json:
        print_json(figures)
    elif figures["out"]:
        rooms = f"{figures['left_out']} room{'s' * (figures['left_out'] != 1)}"
        failed = f", without {rooms} that the expert failed in" * bool(figures["left_out"])
        kept = f"{figures['episodes']} episode{'s' * (figures['episodes'] != 1)}, {figures['frames']} frames"
        print(f"{a.out}: {kept}{failed}")
        print("next: vla-edge train CONFIG.yaml, with this folder as a `path` in its `sources`")
    else:
        print("nothing was kept")
    return _INTERRUPTED if figures["interrupted"] else 0
