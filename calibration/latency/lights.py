"""Lights that can be switched: an LED of /sys/class/leds, and the terminal that the command runs in."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edge.errors import HardwareMissing, UsageError

SCREEN = "screen"
LEDS = Path("/sys/class/leds")
_REVERSED, _PLAIN = "\x1b[?5h", "\x1b[?5l"


class SwitchedLight(Protocol):
    """Something that shines or does not."""

    def switch(self, on: bool) -> None:
        """Switch it. Raises HardwareMissing if that fails."""
        ...


class Led:
    """An LED of the kernel: a folder with `brightness` and `max_brightness`."""

    def __init__(self, folder: Path) -> None:
        """Look at it. Raises HardwareMissing if there is no such LED."""
        self._file = folder / "brightness"
        try:
            self._most = (folder / "max_brightness").read_text().strip()
        except OSError as error:
            raise HardwareMissing(f"{folder}: {error.strerror}", _known()) from error

    def switch(self, on: bool) -> None:
        """Write its brightness."""
        try:
            self._file.write_text(self._most if on else "0")
        except OSError as error:
            hint = f"it belongs to root: sudo chown $USER {self._file}"
            raise HardwareMissing(f"can't switch {self._file}: {error.strerror}", hint) from error


class Screen:
    """The terminal, in reversed colours: what was dark shines."""

    def switch(self, on: bool) -> None:
        """Reverse the terminal's colours, or not."""
        sys.stdout.write(_REVERSED if on else _PLAIN)
        sys.stdout.flush()


@contextlib.contextmanager
def opened_light(name: str) -> Iterator[SwitchedLight]:
    """Yield the light of a name: `screen`, an LED, or its folder. It is as before afterwards.

    Raises UsageError for a screen that is not a terminal, HardwareMissing if there is no such LED.
    """
    if name == SCREEN:
        if not sys.stdout.isatty():
            raise UsageError(
                "standard output is not a terminal that could blink",
                "run it in one, or name an LED: --light NAME",
            )
        light: SwitchedLight = Screen()
        try:
            yield light
        finally:
            light.switch(False)
        return
    folder = Path(name) if "/" in name else LEDS / name
    led, trigger = Led(folder), folder / "trigger"
    with _by_hand(trigger), _restored(folder / "brightness"):
        yield led


@contextlib.contextmanager
def _by_hand(trigger: Path) -> Iterator[None]:
    """Take a trigger of the kernel off an LED, and put it back afterwards."""
    try:
        chosen = trigger.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        chosen = ""  # an LED without triggers
    if chosen in ("", "none"):
        yield
        return
    _write(trigger, "none")
    try:
        yield
    finally:
        _write(trigger, chosen)


@contextlib.contextmanager
def _restored(file: Path) -> Iterator[None]:
    before = file.read_text().strip()
    try:
        yield
    finally:
        _write(file, before)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        hint = f"it belongs to root: sudo chown $USER {file}"
        raise HardwareMissing(f"can't write {file}: {error.strerror}", hint) from error


def _known() -> str:
    names = sorted(path.name for path in LEDS.glob("*")) if LEDS.is_dir() else []
    return f"LEDs of this machine: {', '.join(names[:8]) or 'none'}; or --light {SCREEN}"


def now_s() -> float:
    """Return CLOCK_MONOTONIC, seconds: the clock of all stamps."""
    return time.monotonic_ns() / 1e9
