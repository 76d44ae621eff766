"""The viewers of `vla-edge run`: what the command line asks for, checked before anything starts."""

import argparse
import errno
import re
import socket
from importlib import metadata
from pathlib import Path

from edge.errors import UsageError, install_hint, write_hint
from edge.runs.live.run_page import port
from edge.runs.tap.options import TapOptions
from edge.runs.viewers.foxglove_server import HOST
from edge.runs.viewers.rerun_log import FILE_ENDING, viewer_address

FOXGLOVE_PORT = 8765
RERUN_PORT = 9876
REACH_S = 3.0
_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+"
_ADDRESS = re.compile(rf"(?:rerun\+http://)?({_HOST})(?::(\d{{1,5}}))?(?:/proxy)?", re.ASCII)


def add_viewers(parser: argparse.ArgumentParser) -> None:
    """Add the options of viewers."""
    parser.add_argument(
        "--rerun",
        type=rerun_target,
        nargs="?",
        const=rerun_target(HOST),
        metavar="ADDRESS|FILE",
        help=f"show the drive in Rerun's viewer, which runs at HOST[:PORT] ({HOST}:{RERUN_PORT}), or write a "
        f"FILE{FILE_ENDING} for it (docs/viewers.md)",
    )
    parser.add_argument(
        "--foxglove",
        type=port,
        nargs="?",
        const=FOXGLOVE_PORT,
        metavar="PORT",
        help=f"let Foxglove's app of this machine look at the drive (port {FOXGLOVE_PORT}; docs/viewers.md)",
    )


def rerun_target(text: str) -> str:
    """Return the URL of a viewer, or the path of a file."""
    if text.endswith(FILE_ENDING):
        return str(Path(text).absolute())
    found = _ADDRESS.fullmatch(text)
    number = int(found[2] or RERUN_PORT) if found else 0
    if found is None or not 0 < number <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text[:60]!r} is neither HOST[:PORT] of a viewer nor a file's path that ends in {FILE_ENDING}"
        )
    return f"rerun+http://{found[1]}:{number}/proxy"


def check_viewers(options: argparse.Namespace) -> None:
    """Raise UsageError if a viewer that was asked for can't be served, reached or written."""
    if options.foxglove is not None:
        _check_package("--foxglove", "foxglove-sdk", "foxglove")
        _check_port(options.foxglove)
    if options.rerun is not None:
        _check_package("--rerun", "rerun-sdk", "rerun")
        if options.rerun.endswith(FILE_ENDING):
            _check_file(Path(options.rerun))
        else:
            _check_viewer(options.rerun)


def viewer_lines(kept: TapOptions) -> list[str]:
    """Return where people find a drive."""
    lines: list[str] = []
    if kept.foxglove_port:
        lines.append(f"foxglove: open a connection to ws://{HOST}:{kept.foxglove_port}")
    if kept.rerun:
        lines.append(f"rerun: {kept.rerun}")
    return lines


def _check_package(option: str, package: str, extra: str) -> None:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"{option} needs the Python package {package}", install_hint(extra)) from error


def _check_port(number: int) -> None:
    """Bind the port and let it go: the process that will listen is started later."""
    if number == 0:
        raise UsageError("--foxglove takes a port from 1 to 65535", f"--foxglove {FOXGLOVE_PORT}")
    try:
        socket.create_server((HOST, number)).close()
    except OSError as error:
        hints = {
            errno.EADDRINUSE: f"--foxglove {number + 1 if number < 65535 else FOXGLOVE_PORT}",
            errno.EACCES: f"ports below 1024 are root's: --foxglove {FOXGLOVE_PORT}",
        }
        raise UsageError(
            f"Foxglove can't be served at {HOST}:{number}: {error.strerror}", hints.get(error.errno or 0, "")
        ) from error


def _check_viewer(url: str) -> None:
    host, number = viewer_address(url)
    try:
        socket.create_connection((host, number), REACH_S).close()
    except OSError as error:
        why = error.strerror or "no answer"
        raise UsageError(
            f"no Rerun viewer answers at {host}:{number}: {why}",
            f"start one there: `rerun --port {number}`; or write a file for it: --rerun drive{FILE_ENDING}",
        ) from error


def _check_file(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} is there already", f"name another file: --rerun FILE{FILE_ENDING}")
    try:
        with path.open("xb"):
            pass
        path.unlink()
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}", write_hint(error)) from error
