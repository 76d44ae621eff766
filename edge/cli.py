"""The command line: one table of commands, imported only when called.

Nothing heavy may be imported here; `vla-edge --help` answers in under 0.2 s.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import edge
from edge.errors import EdgeError, UsageError

REPORT_TO = "please report it with the output of `VLA_EDGE_DEBUG=1 vla-edge ...`"
OWN_PACKAGES = ("edge", "export", "calibration", "benchmarks", "vla", "training", "sim")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)  # not bugs of ours
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
    "parse": Command("edge.commands.parse:main", "read a model's text as an action for the robot"),
    "eval": Command("benchmarks.success:main", "measure success rates over many simulated episodes"),
    "bench detection": Command(
        "benchmarks.detection:main", "measure how well a bundle detects in fresh scenes"
    ),
    "bench latency": Command("benchmarks.latency:main", "compare bundles by milliseconds a step"),
    "bench precision": Command(
        "benchmarks.precision:main",
        "compare a bundle's stages with their fp32 ones, in one run",
        extra="export",
    ),
    "bench realtime": Command(
        "benchmarks.realtime:main", "measure rates, latency, memory and a SIGKILL in real time"
    ),
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
    "plan": Command(
        "export.planner.command:main", "estimate whether a model fits a board, and how fast it could be"
    ),
    "collect": Command(
        "training.demonstrations.collect:main",
        "collect demonstrations of a scripted expert, as a LeRobotDataset",
        extra="train",
    ),
    "train": Command("training.train:main", "train a policy: CONFIG.yaml", extra="train"),
    "train-grounding": Command("training.recipes.grounding:main", "train the default model", extra="train"),
    "calibrate activations": Command(
        "calibration.activations:main", "choose pictures and prompts that activation ranges are computed from"
    ),
    "export": Command(
        "export.commands.export:main",
        "turn what training wrote into a bundle, in any precision",
        extra="export",
    ),
    "build": Command(
        "export.commands.build:main", "build TensorRT plans for a bundle, on the Jetson that runs it"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code and never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()  # here, so that a closed pipe is met inside this try
        return code
    except EdgeError as error:
        return _report(error.message, error.hint, error.exit_code, arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError as error:
        return PIPE_CLOSED if _stdout_is_closed() else _report_bug(error, arguments)
    except OSError as error:
        if error.errno not in NO_SPACE:
            return _report_bug(error, arguments)
        where = error.filename or "a temporary file (in the folder TMPDIR)"
        hint = "free some space, or write to another folder"
        return _report(f"{where}: {error.strerror}", hint, UsageError.exit_code, arguments)
    except Exception as error:  # noqa: BLE001 - the outermost frame: a bug is reported, in one line
        return _report_bug(error, arguments)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        print(f"vla-edge {edge.__version__}")
        return 0
    name, rest = _split(arguments)
    command = COMMANDS[name]
    try:
        return _load(command.target)(rest)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OWN_PACKAGES:
            raise
        wanted = f"'vla-edge[{command.extra}]'" if command.extra else "vla-edge"
        raise UsageError(
            f"`vla-edge {name}` needs the Python package {package!r}, which is not installed",
            hint=f"pip install {wanted}",
        ) from error
    except SystemExit as stop:  # argparse's --help
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command's name, one or two words, and the arguments behind it."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            return name, arguments[words:]
    raise _unknown(arguments[0][:40])


def _unknown(word: str) -> UsageError:
    from difflib import get_close_matches

    if word.startswith("-"):
        return UsageError(f"unknown option {word!r}", hint="options follow a command: `vla-edge --help`")
    family = [f"`vla-edge {name}`" for name in COMMANDS if name.startswith(f"{word} ")]
    if family:
        return UsageError(f"{word!r} needs a second word", hint=f"there is {', '.join(family)}")
    near = get_close_matches(word, COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean `vla-edge {near[0]}`?" if near else "`vla-edge --help` lists the commands"
    return UsageError(f"unknown command {word!r}", hint=hint)


def _load(target: str) -> Callable[[list[str]], int]:
    module, _, function = target.partition(":")
    return getattr(import_module(module), function)


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "vla-edge drives a robot from a camera with a vision-language model.",
            "",
            "usage: vla-edge COMMAND [options]     vla-edge COMMAND --help     vla-edge --version",
            "",
            *rows,
            "",
            "exit codes: 0 done, 1 bug, 2 bad usage, 3 goal not reached, 4 stopped by safety,",
            "            5 hardware not there, 6 bundle refused",
        ]
    )


def _report_bug(error: Exception, arguments: list[str]) -> int:
    if os.environ.get("VLA_EDGE_DEBUG") == "1":
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    summary = " ".join(str(error).split())[:200]
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
