"""`vla-edge parse`: a model's text in, the action that the robot would make of it out."""

import json
import math
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from edge.commands.arguments import ArgumentParser
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.records import ParsedAction

MAX_LINE_BYTES = 1 << 16  # 4 KiB of text, each byte of it escaped, fits several times
DECIMALS = 4  # more digits of a number mean nothing


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
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: m/s, rad/s, m, rad and s, with four decimals at most; "
        "distance, angle and duration only where the text names them",
    )
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
    """Return an action for JSON: metres, radians and seconds, to a tenth of a millimetre and the like."""
    amounts = {"distance": action.distance_m, "angle": action.angle_rad, "duration": action.duration_s}
    return {
        "type": action.type.value,
        "linear_x": round(action.linear_x_m_s, DECIMALS),
        "linear_y": round(action.linear_y_m_s, DECIMALS),
        "angular_z": round(action.angular_z_rad_s, DECIMALS),
        "target": action.target,
        "confidence": round(action.confidence, DECIMALS),
        "reason": action.reason,
        **{name: round(value, DECIMALS) for name, value in amounts.items() if value is not None},
    }


def _table(action: "ParsedAction") -> str:
    """Return an action for people: to three significant digits, angles in degrees."""
    units = {
        "linear_x": " m/s",
        "linear_y": " m/s",
        "angular_z": " rad/s",
        "distance": " m",
        "duration": " s",
    }
    fields = _fields(action)
    if action.angle_rad is not None:
        fields["angle"], units["angle"] = math.degrees(action.angle_rad), " degrees"
    rows = [(name, f"{value:.3g}" if isinstance(value, float) else value) for name, value in fields.items()]
    return "\n".join(f"{name:<11}{value}{units.get(name, '')}" for name, value in rows)


def _print(text: str) -> None:
    """Write a line at once, whatever the terminal's encoding can or cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.buffer.write(text.encode(encoding, "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()
