"""`vla-edge doctor`: what stands between this machine and a drive, with the command that mends it."""

import argparse
from collections import Counter
from pathlib import Path

from edge.board.tree import Tree
from edge.commands.arguments import ArgumentParser
from edge.commands.output import print_json
from edge.commands.run_arguments import camera
from edge.doctor.cameras import check_cameras
from edge.doctor.check import Check, CheckStatus
from edge.doctor.compute import check_compute
from edge.doctor.container import check_container
from edge.doctor.heat import check_heat
from edge.doctor.ports import check_ports
from edge.doctor.rights import check_rights
from edge.doctor.ros import check_ros
from edge.doctor.system import check_system
from edge.errors import HardwareMissing, UsageError

_COLOURS = {
    CheckStatus.OK: "green",
    CheckStatus.WARN: "yellow",
    CheckStatus.FAIL: "bold red",
    CheckStatus.ABSENT: "dim",
}


def main(argv: list[str]) -> int:
    """Run `vla-edge doctor`; returns 0, or 5 if something fails."""
    options = _arguments().parse_args(argv)
    tree = Tree(options.root)
    if not options.root.is_dir():
        raise UsageError(f"--root {options.root} is not a folder", "leave it out to look at this machine")
    checks = [
        *check_system(tree),
        *check_heat(tree),
        *check_compute(tree, options.bundle),
        *check_cameras(tree, dict(options.camera), options.pictures),
        *check_ports(tree),
        *check_rights(tree),
        *check_ros(tree),
        *check_container(tree),
    ]
    if options.json:
        print_json({"checks": [check.to_json() for check in checks]})
    else:
        _print(checks)
    failed = any(check.status is CheckStatus.FAIL for check in checks)
    return HardwareMissing.exit_code if failed else 0


def _arguments() -> ArgumentParser:
    parser = ArgumentParser(
        "doctor", "Look at what a drive needs of this machine, and say how to mend what it lacks."
    )
    parser.add_argument(
        "--camera",
        action="append",
        type=camera,
        default=[],
        metavar="[NAME=]URI",
        help="take a test picture with this camera; may be repeated. Without it, each V4L2 device is tried",
    )
    parser.add_argument(
        "--pictures", type=Path, default=Path("doctor"), help="folder for the test pictures (%(default)s/)"
    )
    parser.add_argument(
        "--bundle",
        action="append",
        default=[],
        help="a bundle to try, by name or folder; may be repeated (default: all that are installed)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    # Another machine's /proc, /sys and /etc in a folder: programs and devices of this one are left out then.
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    return parser


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "", "found", box=None, pad_edge=False, show_header=False)
    for check in checks:
        found = Text(check.found)
        if check.hint:
            found.append(f"\n→ {check.hint}", style="dim")
        table.add_row(Text(check.status.value, style=_COLOURS[check.status]), Text(check.name), found)
    console = Console()
    console.print(table)
    counts = Counter(check.status for check in checks)
    console.print(", ".join(f"{counts[status]} {status.value}" for status in CheckStatus if counts[status]))
