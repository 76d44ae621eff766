"""`vla-edge parse`: a model's text in, the action that the robot would make of it out."""

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, BinaryIO

from edge.commands.arguments import ArgumentParser, image_size
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.records import Detection, ParsedAction

MAX_LINE_BYTES = 1 << 16  # 4 KiB of text, each byte of it escaped, fits several times

Fields = dict[str, Any]  # as --json prints them


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    if (options.text is None) != options.stdin_json:
        raise UsageError(
            "give one TEXT, or --stdin-json and no TEXT", 'for example: vla-edge parse "turn left slowly"'
        )
    # Only now: --help answers without numpy and the parser's tables.
    reader = TextReader(options.family, options.target, options.image_size)
    try:
        if options.stdin_json:
            for line in _lines(sys.stdin.buffer):
                _print(_json(_parse_line(line, reader)))
        else:
            reader.check(options.text)
            action = reader.read(options.text)
            _print(_json(_fields(action)) if options.json else _table(action))
    except BrokenPipeError:
        # The reader has gone, which is its right; the interpreter's own flush at exit must not fail on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser("parse", "Show which action a text asks the robot for. Nothing moves.")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the model's text, English or Korean")
    parser.add_argument(
        "--family",
        default="",
        metavar="FAMILY",
        help="model family whose boxes are read, such as paligemma; without it no box asks for motion",
    )
    parser.add_argument(
        "--target",
        default="",
        metavar="THING",
        help="what the model was asked for: only its boxes count; without it all boxes are listed, and none "
        "asks for motion",
    )
    parser.add_argument(
        "--image-size",
        type=image_size,
        metavar="WIDTHxHEIGHT",
        help="pixels of the image that the model saw, for families that write boxes in pixels",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: m/s, rad/s, m, rad and s, with three decimals at most; "
        "distance, angle and duration only where the text names them",
    )
    parser.add_argument(
        "--stdin-json",
        action="store_true",
        help="many texts: each line of the input is one as a JSON string in UTF-8, such as "
        '"turn left" with its quotes, of at most 64 KiB; for each line, one JSON object as with --json is '
        "printed at once. Another line gets type unknown and a reason, and does not end it",
    )
    return parser


class TextReader:
    """The parser, with what the command line says of the model whose texts it reads."""

    def __init__(self, family: str, target: str, image_size: tuple[int, int] | None) -> None:
        """Check the options; `image_size` is (height, width). Raises UsageError if they don't go together."""
        from edge.goals.goals import check_target
        from edge.goals.prompts import FAMILIES
        from edge.parsing.locations import IN_PIXELS

        if family not in ("", *FAMILIES):
            near = get_close_matches(family[:40].lower(), FAMILIES, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"unknown family {family[:40]!r}", f"{meant}choose one of {', '.join(FAMILIES)}")
        if image_size is not None and family not in IN_PIXELS:
            raise UsageError(
                f"--image-size is for boxes in pixels, and {family or 'a text of no family'} has none",
                f"leave it out, or add --family with one of {', '.join(IN_PIXELS)}",
            )
        self._family, self._image_size = family, image_size
        self._target = check_target(target) if target else ""

    def check(self, text: str) -> None:
        """Raise UsageError if the text has boxes that can't be read without the size of the image."""
        from edge.parsing.locations import grounding_format

        if self._family == "qwen2.5-vl" and self._image_size is None and grounding_format(text):
            raise UsageError(
                "boxes of qwen2.5-vl are in pixels of the image that the model saw: its size is missing",
                "add it, for example: --image-size 640x480",
            )

    def read(self, text: str) -> "ParsedAction":
        """Return the action that the text asks for."""
        from edge.parsing import parse_action

        return parse_action(text, self._family, target=self._target, image_size=self._image_size)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their end; a line that is too long is cut right after the limit."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
        yield line.rstrip(b"\r\n")


def _parse_line(line: bytes, reader: TextReader) -> Fields:
    if len(line) > MAX_LINE_BYTES:
        return _refusal(f"line is longer than {MAX_LINE_BYTES} bytes")
    text = line.decode("utf-8", "replace").strip()
    if not text.startswith('"'):
        return _refusal("line is not a JSON string")
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        return _refusal(f"line is not a JSON string: {error.msg} at character {error.pos}")
    return _fields(reader.read(answer))


def _refusal(reason: str) -> Fields:
    from edge.records import ActionType, ParsedAction

    return _fields(ParsedAction(ActionType.UNKNOWN, 0.0, 0.0, 0.0, "", 0.0, reason, ""))


def _fields(action: "ParsedAction") -> Fields:
    """Return an action for JSON, in metres, radians and seconds; more than three decimals mean nothing."""
    amounts = {"distance": action.distance_m, "angle": action.angle_rad, "duration": action.duration_s}
    return {
        "type": action.type.value,
        "linear_x": round(action.linear_x_m_s, 3),
        "linear_y": round(action.linear_y_m_s, 3),
        "angular_z": round(action.angular_z_rad_s, 3),
        "target": action.target,
        "confidence": round(action.confidence, 3),
        "reason": action.reason,
        "detections": [_box(detection) for detection in action.detections],
        **{name: round(value, 3) for name, value in amounts.items() if value is not None},
    }


def _box(detection: "Detection") -> Fields:
    """Return the label and the corners, as fractions of height and width."""
    corners = {name: round(value, 4) for name, value in asdict(detection.box).items()}
    return {"label": detection.label, **corners}


def _table(action: "ParsedAction") -> str:
    """Return an action for people: an angle in degrees."""
    units = {
        "linear_x": " m/s",
        "linear_y": " m/s",
        "angular_z": " rad/s",
        "distance": " m",
        "duration": " s",
    }
    fields = _fields(action)
    boxes: list[Fields] = fields.pop("detections")
    if action.angle_rad is not None:
        fields["angle"], units["angle"] = f"{math.degrees(action.angle_rad):.4g}", " degrees"
    rows = [f"{name:<11}{value}{units.get(name, '')}" for name, value in fields.items()]
    for box in boxes:
        x, y = (f"{box[axis + '0']:.3f} to {box[axis + '1']:.3f}" for axis in "xy")
        rows.append(f"{'box':<11}{box['label']}: x {x}, y {y}")
    return "\n".join(rows)


def _json(fields: Fields) -> str:
    """Return one line of JSON; Hangul stays readable where the output can show it."""
    return json.dumps(fields, ensure_ascii="utf" not in (sys.stdout.encoding or "utf-8").lower())


def _print(text: str) -> None:
    """Write a line at once, whatever the terminal's encoding can or cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.buffer.write(text.encode(encoding, "backslashreplace") + b"\n")
    sys.stdout.buffer.flush()
