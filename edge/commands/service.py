"""`vla-edge service install|show|uninstall`: a run as a service of systemd, with its watchdog.

The service never drives again by itself after a stop by safety: a person looks first, then starts it.
"""

import argparse
import getpass
import os
import shlex
import subprocess
import sys
from pathlib import Path

from edge.bundle.bundle import find_bundle, read_manifest
from edge.commands.arguments import ArgumentParser
from edge.commands.run_arguments import choose_hardware, run_arguments
from edge.errors import HardwareMissing, UsageError
from edge.files import whole_file
from edge.goals.goals import parse_goal
from edge.runtime.service import LOADING_S

NAME = "vla-edge"
UNITS = Path("/etc/systemd/system")
WATCHDOG_S = 5
STOP_LIMIT_S = 10  # braking takes 0.25 s, the summary and its pictures a second or two
RESTARTS, RESTARTS_WITHIN_S = 3, 300

UNIT = """\
[Unit]
Description=vla-edge: {about}
After=network.target nvargus-daemon.service jtop.service
StartLimitIntervalSec={within_s}
StartLimitBurst={restarts}

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={folder}
ExecStart={command}
WatchdogSec={watchdog_s}
TimeoutStartSec={start_s}
TimeoutStopSec={stop_s}
# The motor process gets SIGTERM as well and brakes to zero; only what is left after {stop_s} s is killed.
KillMode=control-group
# Hardware that is not there yet is tried again; after anything else, a hang too, a person looks first.
Restart=no
RestartForceExitStatus={again}
RestartSec=5
SuccessExitStatus=3 130
LimitRTPRIO=20
{install}"""
AT_BOOT = """
[Install]
WantedBy=multi-user.target
"""


def install(argv: list[str]) -> int:
    """Write the unit and have systemd read it. Without the right to, say what to type."""
    options = _arguments("install", "make a service of a run").parse_args(argv)
    text = unit(options.run, options.user, options.at_boot)
    path = _path(options)
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "is this machine run by systemd?")
    try:
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except PermissionError as error:
        command = shlex.join(["sudo", sys.executable, "-m", "edge.cli", "service", "install", *argv])
        raise UsageError(f"{path}: {error.strerror}", f"as root: {command}") from error
    print(f"wrote {path}")
    if options.units == UNITS:
        _systemctl("daemon-reload")
        if options.at_boot:
            _systemctl("enable", f"{NAME}.service")
    print(f"start it: sudo systemctl start {NAME}; watch it: journalctl -fu {NAME}")
    return 0


def show(argv: list[str]) -> int:
    """Print the unit that `install` would write."""
    options = _arguments("show", "print the unit of a run").parse_args(argv)
    print(unit(options.run, options.user, options.at_boot), end="")
    return 0


def uninstall(argv: list[str]) -> int:
    """Stop the service and remove its unit."""
    parser = ArgumentParser("service uninstall", "stop the service and remove it")
    _add_units(parser)
    options = parser.parse_args(argv)
    path = _path(options)
    if not path.exists():
        raise UsageError(f"there is no {path}", "`vla-edge service install` writes it")
    if options.units == UNITS:
        _systemctl("disable", "--now", f"{NAME}.service")
    try:
        path.unlink()
    except PermissionError as error:
        command = shlex.join(["sudo", sys.executable, "-m", "edge.cli", "service", "uninstall"])
        raise UsageError(f"{path}: {error.strerror}", f"as root: {command}") from error
    print(f"removed {path}")
    return 0


def unit(run: list[str], user: str, at_boot: bool) -> str:
    """Return the text of the unit.

    Raises UsageError for options that `vla-edge run` would refuse, BundleRefused if there is no such bundle.
    """
    run = run[1:] if run[:1] == ["--"] else run
    options = run_arguments().parse_args(run)
    goal = parse_goal(options.goal, options.target)
    choose_hardware(options)
    read_manifest(find_bundle(options.bundle))
    words = [sys.executable, "-m", "edge.cli", "run", *run]
    for word in (*words, user, str(Path.cwd())):
        if any(ord(letter) < 32 for letter in word):
            raise UsageError(f"{word[:40]!r} has a control character, which a unit can't hold")
    return UNIT.format(
        about=f"{goal.kind} {goal.target}".strip().replace("%", "%%"),
        user=user,
        folder=str(Path.cwd()).replace("%", "%%"),
        command=" ".join(map(_quoted, words)),
        within_s=RESTARTS_WITHIN_S,
        restarts=RESTARTS,
        watchdog_s=WATCHDOG_S,
        start_s=LOADING_S,
        stop_s=STOP_LIMIT_S,
        again=HardwareMissing.exit_code,
        install=AT_BOOT if at_boot else "",
    )


def _quoted(word: str) -> str:
    """Return a word as systemd.syntax(7) reads it back: no specifiers, no variables, quoted if need be."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if word and not set(word) & set(" ';\\\"") else f'"{word}"'


def _arguments(name: str, about: str) -> ArgumentParser:
    parser = ArgumentParser(f"service {name}", about)
    parser.add_argument("--user", default=_user(), help="who runs it (%(default)s)")
    parser.add_argument("--at-boot", action="store_true", help="start it at every boot; else only when told")
    _add_units(parser)
    parser.add_argument(
        "run", nargs=argparse.REMAINDER, metavar="-- RUN OPTIONS", help="what `vla-edge run` gets"
    )
    return parser


def _add_units(parser: ArgumentParser) -> None:
    parser.add_argument("--units", type=Path, default=UNITS, help="systemd's folder for units (%(default)s)")


def _user() -> str:
    """Return who asks, also behind sudo: a drive needs no root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _path(options: argparse.Namespace) -> Path:
    return options.units / f"{NAME}.service"


def _systemctl(*words: str) -> None:
    try:
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"systemctl does not answer: {error}", "is this machine run by systemd?") from error
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise UsageError(f"systemctl {words[0]}: {said}", f"sudo systemctl {' '.join(words)}")
