"""`vla-edge parse`: a model's text in, the action that the robot would make of it out."""

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from edge.commands.arguments import ArgumentParser
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.records import ParsedAction

MAX_LINE_BYTES = 1 << 16  # 4 KiB of text, each byte of it escaped, fits several times


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = ArgumentParser("parse", "Show which action a text asks the robot for. Nothing moves.")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the model's text, English or Korean")
    parser.add_argument(
        "--family",
        default="",
        metavar="FAMILY",
        help="model family whose locations are read, such as paligemma",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--stdin-json",
        action="store_true",
        help="many texts: each line of the input is one as a JSON string in UTF-8, such as "
        '"turn left" with its quotes, of at most 64 KiB; for each line, one JSON object as with --json is '
        "printed at once. Another line gets type unknown and a reason, and does not end it",
    )
    args = parser.parse_args(argv)
    if (args.text is None) != args.stdin_json:
        raise UsageError(
            "give one TEXT, or --stdin-json and no TEXT", 'for example: vla-edge parse "turn left slowly"'
        )
    # Only now: --help answers without numpy and the parser's tables.
    from edge.goals.prompts import FAMILIES
    from edge.parsing import parse_action

    if args.family not in ("", *FAMILIES):
        raise UsageError(
            f"unknown family '{ascii(args.family[:40])[1:-1]}'", f"choose one of {', '.join(FAMILIES)}"
        )
    try:
        if args.stdin_json:
            for line in _lines(sys.stdin.buffer):
                _print(json.dumps(_parse_line(line, args.family)))
        else:
            action = parse_action(args.text, args.family)
            _print(json.dumps(_fields(action)) if args.json else _table(action))
    except BrokenPipeError:
        # The reader has gone, which is its right; the interpreter's own flush at exit must not fail on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their end; a line that is too long is cut right after the limit."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        yield line.rstrip(b"\r\n")


def _parse_line(line: bytes, family: str) -> dict[str, str | float]:
    if len(line) > MAX_LINE_BYTES:
        return _refusal(f"line is longer than {MAX_LINE_BYTES} bytes")
    from edge.parsing import parse_action

    text = line.decode("utf-8", "replace").strip()
    if not text.startswith('"'):
        return _refusal("line is not a JSON string")
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        return _refusal(f"line is not a JSON string: {error.msg} at character {error.pos}")
    return _fields(parse_action(answer, family))


def _refusal(reason: str) -> dict[str, str | float]:
    from edge.records import ActionType, ParsedAction

    return _fields(ParsedAction(ActionType.UNKNOWN, 0.0, 0.0, 0.0, "", 0.0, reason, ""))


def _fields(action: "ParsedAction") -> dict[str, str | float]:
    return {
        "type": action.type.value,
        "linear_x": action.linear_x_m_s,
        "linear_y": action.linear_y_m_s,
        "angular_z": action.angular_z_rad_s,
        "target": action.target,
        "confidence": action.confidence,
        "reason": action.reason,
    }


def _table(action: "ParsedAction") -> str:
    units = {"linear_x": " m/s", "linear_y": " m/s", "angular_z": " rad/s"}
    return "\n".join(f"{name:<11}{value}{units.get(name, '')}" for name, value in _fields(action).items())


def _print(text: str) -> None:
    """Write a line at once, whatever the terminal's encoding can or cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.buffer.write(text.encode(encoding, "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()
