"""Command-line arguments, read the same way by every command: errors are UsageErrors with a hint."""

import argparse
import math
import os
from typing import NoReturn

from edge.bundle.choice import ENGINES
from edge.errors import UsageError


class ArgumentParser(argparse.ArgumentParser):
    """argparse for one command of `vla-edge`. Nothing is abbreviated and nothing is printed on an error."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"vla-edge {command}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"`{self.prog} --help` lists what it takes")


def positive_float(text: str) -> float:
    """Return a finite number above 0."""
    value = _number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def non_negative_float(text: str) -> float:
    """Return a finite number, 0 or more."""
    value = _number(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def positive_int(text: str) -> int:
    """Return a whole number above 0."""
    value = non_negative_int(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is not a whole number above 0")
    return value


def non_negative_int(text: str) -> int:
    """Return a whole number, 0 or more, such as a seed."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 0 to {10**18 - 1}")
    return int(text)


def parallel_int(text: str) -> int:
    """Return a whole number above 0 of threads or processes, at most four times this machine's processors.

    More never help, and tens of thousands leave no process for anybody else.
    """
    value = positive_int(text)
    processors = os.cpu_count() or 1
    if value > 4 * processors:
        raise argparse.ArgumentTypeError(
            f"{value} is too many: this machine has {processors} processors (limit {4 * processors})"
        )
    return value


def image_size(text: str) -> tuple[int, int]:
    """Return height and width of "640x480", in pixels."""
    width, cross, height = text.partition("x")
    if not (cross and all(_is_pixels(edge) for edge in (width, height))):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a size such as 640x480")
    return int(height), int(width)


def _is_pixels(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < len(text) <= 5 and int(text) > 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number") from None


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add --engine."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="",
        help="what computes the bundle's ONNX graphs: the CPU, or an NVIDIA GPU by ONNX Runtime's CUDA "
        "provider (default: what the bundle is for, TensorRT or the CPU)",
    )
