"""`vla-edge recover`: a whole file of what a torn recording still holds."""

from pathlib import Path

from edge.commands.arguments import ArgumentParser
from edge.commands.output import print_json
from edge.replay.recovered import recover


def main(argv: list[str]) -> int:
    """Recover one file; returns the exit code."""
    parser = ArgumentParser("recover", "Make a whole recording of a torn one: all of its whole chunks.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the torn recording")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the whole one (FILE with -recovered in its name)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    target: Path = options.out or options.file.with_stem(f"{options.file.stem}-recovered")
    found = recover(options.file, target)
    if options.json:
        print_json(
            {
                "file": str(target),
                "messages": found.messages,
                "seconds": round(found.seconds, 3),
                "was_whole": found.was_whole,
                "run_ended": found.ended,
            }
        )
        return 0
    print(f"{target}: {found.messages} messages, {found.seconds:.1f} s")
    if found.was_whole:
        print("the file was whole already")
    if not found.ended:
        print("the run has no end record: its runtime or its recorder was killed, or crashed")
    return 0
