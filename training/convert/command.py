"""`vla-edge convert`: recorded runs in the formats of others.

What needs pyarrow is imported only for the format that needs it.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from edge.commands.arguments import ArgumentParser, positive_int
from edge.commands.output import counted, print_json
from edge.convert.driven_run import find_runs
from edge.errors import UsageError
from edge.records import BASE_ACTION

FORMATS = ("lerobot", "rosbag2")
ROBOT = "vla-edge"


def main(argv: list[str]) -> int:
    """Convert recordings; returns the exit code."""
    options = _parser().parse_args(argv)
    if options.out.exists():
        raise UsageError(f"{options.out} is there already", "name another folder: nothing is written over")
    paths = find_runs(options.runs)
    return _to_lerobot(options, paths) if options.to == "lerobot" else _to_rosbag2(options, paths)


def _parser() -> ArgumentParser:
    p = ArgumentParser("convert", "Make training data, or a bag of ROS 2, of recorded runs.")
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="recordings, or folders of them")
    p.add_argument("--to", choices=FORMATS, required=True, help="a LeRobotDataset v3, or a bag of ROS 2")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make; must not exist")
    p.add_argument(
        "--rate-hz",
        type=positive_int,
        help=f"rows a second of a LeRobotDataset ({BASE_ACTION.rate_hz:.0f})",
    )
    p.add_argument(
        "--robot-type",
        metavar="NAME",
        help=f"the robot's name in a LeRobotDataset ({ROBOT}); what is trained on together has one name",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p


def _to_lerobot(options: argparse.Namespace, paths: list[Path]) -> int:
    from training.convert.to_lerobot import convert

    made = convert(
        paths, options.out, options.rate_hz or round(BASE_ACTION.rate_hz), options.robot_type or ROBOT
    )
    if options.json:
        print_json({"dataset": str(options.out), **asdict(made)})
        return 0
    for each in made.episodes:
        hand = ""
        if each.interventions:
            hand = f", {counted(each.interventions, 'intervention')} of {each.intervention_s:.1f} s"
        how = f"{each.outcome or 'no end'}, {'a success' if each.success else 'no success'}"
        by = "" if each.judged_by == "run" else f" by the {each.judged_by}"
        print(f'{each.recording}: {counted(each.rows, "frame")}, "{each.task}": {how}{by}{hand}')
        for note in each.notes:
            print(f"  note: {note}")
    for why in made.left_out:
        print(f"left out: {why}")
    frames = sum(each.rows for each in made.episodes)
    print(f"{options.out}: {counted(len(made.episodes), 'episode')}, {counted(frames, 'frame')}")
    return 0


def _to_rosbag2(options: argparse.Namespace, paths: list[Path]) -> int:
    from edge.convert.rosbag2 import convert

    if options.rate_hz or options.robot_type:
        given = "--rate-hz" if options.rate_hz else "--robot-type"
        raise UsageError(f"{given} goes with --to lerobot: a bag keeps what there is", "leave it out")
    if len(paths) > 1:
        raise UsageError(f"these are {len(paths)} recordings, a bag is of one", "name one file")
    made = convert(paths[0], options.out)
    if options.json:
        print_json({"bag": str(options.out), **asdict(made)})
        return 0
    for topic, count in made.topics.items():
        print(f"  {topic}: {counted(count, 'message')}")
    if not made.whole:
        print("note: the file is torn: the bag ends with its last whole chunk")
    if made.part:
        print(f"note: {paths[0]} is {made.part}")
    print(f"{options.out}: {counted(sum(made.topics.values()), 'message')}, {made.seconds:.1f} s")
    return 0
