"""The command line: one table of commands, imported only when called.

Nothing heavy may be imported here; `vla-edge --help` answers in under 0.2 s.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper

import edge
from edge.errors import EdgeError, UsageError, install_hint, reason_of

REPORT_TO = "please report it with the output of `VLA_EDGE_DEBUG=1 vla-edge ...`"
OWN_PACKAGES = ("edge", "export", "calibration", "benchmarks", "vla", "training", "sim")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)  # not bugs of ours
HELP = ("-h", "--help")
INTERRUPTED = 130  # 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE


@dataclass(frozen=True)
class Command:
    """One command. Its function takes `argv`, parses its own arguments and returns the exit code."""

    target: str  # "module:function"
    help: str
    extra: str = ""  # the package's extra that it needs


COMMANDS = {
    "run": Command("edge.commands.run:main", "drive to a goal: --goal find_object --target cup"),
    "stop": Command("edge.commands.stop:main", "stop the drives that run, from another terminal"),
    "replay": Command("edge.replay.command:main", "a recorded run once more: does it decide the same"),
    "watch": Command("edge.replay.watch:main", "show a recorded run in a browser", extra="web"),
    "recover": Command("edge.replay.recover_command:main", "a whole recording of a torn one"),
    "convert": Command(
        "training.convert.command:main", "recorded runs as training data, or as a bag of ROS 2", extra="train"
    ),
    "robot new": Command("edge.commands.robot_new:main", "write a robot file by asking"),
    "robot check": Command("edge.commands.robot:check", "check a robot file and what it names"),
    "doctor": Command("edge.commands.doctor:main", "what this machine lacks for a drive, and the remedy"),
    "field": Command("edge.commands.field.command:main", "drive a sheet of trials, compare its bundles"),
    "report": Command("edge.commands.field.report:main", "one HTML page about runs: what happened, and when"),
    "parse": Command("edge.commands.parse:main", "read a model's text as an action for the robot"),
    "eval": Command("benchmarks.success_command:main", "success rates over many simulated episodes"),
    "bench detection": Command("benchmarks.detection:main", "how well a bundle detects in fresh rooms"),
    "bench latency": Command("benchmarks.latency.command:main", "from exposure to motor, stage by stage"),
    "bench loop": Command("benchmarks.drives.loop:main", "what the runtime costs without a model"),
    "bench compare": Command("benchmarks.peers.command:main", "beside transformers, OpenVINO, LeRobot, ..."),
    "bench accuracy": Command(
        "benchmarks.accuracy.command:main", "bundles beside fp32: decisions, success, latency", extra="export"
    ),
    "bench bandwidth": Command("benchmarks.bandwidth:main", "bytes a second of this machine's memory"),
    "bench precision": Command(
        "benchmarks.precision:main", "compare a bundle's stages with its fp32 ones", extra="export"
    ),
    "bench realtime": Command("benchmarks.realtime:main", "rates, latency, memory, and a SIGKILL at speed"),
    "bundle verify": Command(
        "edge.commands.bundle:verify", "check that a bundle is whole, and who signed it", extra="sign"
    ),
    "bundle show": Command("edge.commands.bundle:show", "show what a bundle holds and can do"),
    "bundle keygen": Command(
        "edge.commands.bundle:keygen", "make a pair of keys to sign bundles with", extra="sign"
    ),
    "bundle sign": Command("edge.commands.bundle:sign", "sign a bundle", extra="sign"),
    "bundle pack": Command("edge.commands.bundle:pack", "pack a bundle into one file to carry"),
    "bundle unpack": Command("edge.commands.bundle:unpack", "unpack such a file into a bundle"),
    "plan": Command("export.planner.command:main", "does a model fit a board, and how fast could it be"),
    "service install": Command("edge.commands.service:install", "drive as a service of systemd"),
    "service show": Command("edge.commands.service:show", "print the unit of such a service"),
    "service uninstall": Command("edge.commands.service:uninstall", "stop such a service and remove it"),
    "collect": Command(
        "training.demonstrations.command:main", "collect demonstrations of a scripted expert", extra="train"
    ),
    "train": Command("training.train:main", "train a policy: CONFIG.yaml", extra="train"),
    "train-grounding": Command(
        "training.recipes.grounding_command:main", "train the default model", extra="train"
    ),
    "calibrate activations": Command(
        "calibration.activations:main", "choose the pictures that --precision needs"
    ),
    "calibrate camera": Command(
        "calibration.camera.command:main", "measure a lens, so that its images are straightened"
    ),
    "calibrate motors": Command(
        "calibration.motors.command:main", "measure what a base makes of commands, and correct it"
    ),
    "calibrate stop-distance": Command(
        "calibration.stop_distance.command:main", "measure how large a target looks, to stop by it"
    ),
    "calibrate latency": Command(
        "calibration.latency.command:main", "measure how late a camera is, so that it counts"
    ),
    "calibrate actions": Command(
        "training.datasets.calibrate:main", "judge a dataset's actions, and how to scale them", extra="train"
    ),
    "export": Command(
        "export.commands.export:main", "make a bundle of a model, in any precision", extra="export"
    ),
    "build": Command("export.commands.build:main", "TensorRT plans for a bundle, on its own Jetson"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code and never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that can't show a character shows its number
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()  # here, so that a closed pipe is met inside this try
        return code
    except EdgeError as error:
        return _report(error.message, error.hint, error.exit_code, arguments)
    except KeyboardInterrupt:
        print("ended by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError as error:
        return PIPE_CLOSED if _stdout_is_closed() else _report_bug(error, arguments)
    except OSError as error:
        if error.errno not in NO_SPACE:
            return _report_bug(error, arguments)
        where = error.filename or "a temporary file (in the folder TMPDIR)"
        denied = error.errno in (errno.EACCES, errno.EROFS)
        hint = "check its permissions" if denied else "free some space"
        hint = f"{hint}, or name another folder"
        return _report(f"{where}: {error.strerror}", hint, UsageError.exit_code, arguments)
    except Exception as error:  # noqa: BLE001 - the outermost frame: a bug is reported, in one line
        return _report_bug(error, arguments)


def _dispatch(arguments: list[str]) -> int:
    arguments = _without_help_command(arguments)
    if not arguments or arguments[0] in HELP:
        print(_help())
        return 0
    if arguments[0] == "--version":
        print(f"vla-edge {edge.__version__}")
        return 0
    if len(arguments) == 2 and arguments[1] in HELP and _family(arguments[0]):
        print(_family_help(arguments[0]))
        return 0
    name, rest = _split(arguments)
    command = COMMANDS[name]
    try:
        return _load(command.target)(rest)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OWN_PACKAGES:
            raise
        raise UsageError(
            f"`vla-edge {name}` needs the Python package {package!r}, which is not installed",
            install_hint(command.extra),
        ) from error
    except SystemExit as stop:  # argparse's --help
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))


def _without_help_command(arguments: list[str]) -> list[str]:
    """Turn `help`, `help run` and `help bench latency` into what ends with --help."""
    if arguments[:1] != ["help"]:
        return arguments
    return [*(word for word in arguments[1:] if word not in ("help", *HELP)), "--help"]


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command's name, one or two words, and the arguments behind it."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            return name, arguments[words:]
    raise _unknown([word[:40] for word in arguments])


def _unknown(words: list[str]) -> UsageError:
    from difflib import get_close_matches

    first = words[0]
    if first.startswith("-"):
        return UsageError(f"unknown option {first!r}", hint="options follow a command: `vla-edge --help`")
    family = _family(first)
    if family and (len(words) == 1 or words[1].startswith("-")):
        known = ", ".join(f"`vla-edge {name}`" for name in family)
        return UsageError(f"{first!r} needs a second word", hint=f"there is {known}")
    parent = f"{first} " if family else ""
    wrong = words[1] if family else first
    firsts = {word for name in COMMANDS for word in (name, name.partition(" ")[0])}
    near = get_close_matches(
        wrong, [name.removeprefix(parent) for name in family or sorted(firsts)], n=1, cutoff=0.5
    )
    lists = f"`vla-edge {parent}--help` lists the commands"
    hint = f"did you mean `vla-edge {parent}{near[0]}`?" if near else lists
    return UsageError(f"unknown command '{parent}{wrong}'", hint=hint)


def _family(word: str) -> list[str]:
    """Return the commands whose first of two words this is."""
    return [name for name in COMMANDS if name.startswith(f"{word} ")]


def _load(target: str) -> Callable[[list[str]], int]:
    module, _, function = target.partition(":")
    return getattr(import_module(module), function)


def _help() -> str:
    return "\n".join(
        [
            "vla-edge drives a robot from a camera with a vision-language model.",
            "",
            "usage: vla-edge COMMAND [options]",
            "       vla-edge COMMAND --help, vla-edge help COMMAND, vla-edge --version",
            "",
            *_rows(COMMANDS),
            "",
            "--json prints one JSON object instead of words.",
            "exit codes: 0 done, 1 bug, 2 bad usage, 3 goal not reached,",
            "            4 stopped by safety, 5 hardware not there, 6 bundle refused,",
            "            130 ended by Ctrl-C, 141 nobody reads the output",
        ]
    )


def _family_help(word: str) -> str:
    usage = [f"usage: vla-edge {word} COMMAND [options]", f"       vla-edge {word} COMMAND --help"]
    return "\n".join([*usage, "", *_rows(_family(word))])


def _rows(names: Iterable[str]) -> list[str]:
    width = max(map(len, COMMANDS))
    return [f"  {name:<{width}}  {COMMANDS[name].help}" for name in names]


def _report_bug(error: Exception, arguments: list[str]) -> int:
    if os.environ.get("VLA_EDGE_DEBUG") == "1":
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    summary = reason_of(error)
    return _report(
        f"unexpected {type(error).__name__}: {summary}", f"this is a bug; {REPORT_TO}", 1, arguments
    )


def _report(message: str, hint: str, exit_code: int, arguments: list[str]) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    if "--json" in arguments:
        import json

        print(
            json.dumps({"error": message, "hint": hint, "exit_code": exit_code}, ensure_ascii=False),
            flush=True,
        )
    return exit_code


def _stdout_is_closed() -> bool:
    """Return True if the reader of our output has gone; then nothing more is written, not even at exit."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


if __name__ == "__main__":
    sys.exit(main())
