"""The operator's gamepad and stop line, each at the end of a pipe that carries what the kernel would.

Neither device exists on a machine without hardware: what asks the kernel for them is tried up to refusals.
"""

import errno
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.commands.run_arguments import operator_addresses, run_arguments
from edge.errors import HardwareMissing, UsageError
from edge.motor.client import MotorProcess
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.operator import gamepad, stop_line
from edge.motor.operator.gamepad import BUTTONS, EVENT, Gamepad, PadState, parse_gamepad
from edge.motor.operator.panel import Panel, PanelStop, open_panel
from edge.motor.operator.stop_line import StopLine, parse_stop_line
from edge.motor.operator.takeover import Takeover
from edge.records import ZERO, ActionChunk, MotorState, StopCause, Velocity

TICK_NS = 20_000_000
RANGE = (-32768, 32767)
LIMITS = MotorLimits()
PATH = "gamepad:///dev/input/event3"
PRESSED = PanelStop(StopCause.OPERATOR, "stopped by the operator (gamepad)")
GONE = PanelStop(StopCause.OPERATOR_LOST, "the operator's gamepad is gone")


class Pad:
    """A gamepad at the end of a pipe."""

    def __init__(self, options: str = "", state: PadState = PadState(frozenset(), (0.0, 0.0))) -> None:  # noqa: B008
        out, self.fd = os.pipe()
        self.state = state
        self.opened = Gamepad(
            out, parse_gamepad(PATH + options, LIMITS)[1], (RANGE, RANGE), lambda: self.state
        )

    def send(self, kind: int, code: int, value: int) -> None:
        os.write(self.fd, EVENT.pack(12, 345, kind, code, value))

    def button(self, name: str, pressed: bool = True) -> None:
        self.send(gamepad.EV_KEY, BUTTONS[name], int(pressed))

    def stick(self, turn: float, ahead: float) -> None:
        """Move the stick: left and up are negative."""
        self.send(gamepad.EV_ABS, 0, round(turn * 32767))
        self.send(gamepad.EV_ABS, 1, round(ahead * 32767))

    def unplug(self) -> None:
        os.close(self.fd)
        self.fd = -1


@pytest.fixture
def pad() -> Iterator[Pad]:
    made = Pad()
    yield made
    made.opened.close()
    if made.fd >= 0:
        made.unplug()


def test_the_stop_button_stops_even_if_it_was_let_go_at_once(pad: Pad):
    """Fault 53."""
    assert pad.opened.read() is None
    pad.button("south")
    assert pad.opened.read() is None
    pad.button("east")
    pad.button("east", False)
    assert pad.opened.read() == PRESSED
    assert pad.opened.read() is None


def test_a_button_that_is_held_from_the_start_stops():
    held = Pad(state=PadState(frozenset({BUTTONS["east"]}), (0.0, 0.0)))
    assert held.opened.read() == held.opened.read() == PRESSED


def test_a_gamepad_that_is_gone_stops(pad: Pad):
    """Fault 54."""
    pad.unplug()
    assert pad.opened.read() == GONE
    pad.opened.close()
    assert pad.opened.read() == GONE


def test_events_that_the_kernel_dropped_are_asked_for(pad: Pad):
    pad.state = PadState(frozenset({BUTTONS["east"]}), (0.0, 0.0))
    pad.send(gamepad.EV_SYN, gamepad.SYN_DROPPED, 0)
    assert pad.opened.read() == PRESSED

    def gone() -> PadState:
        raise OSError(errno.ENODEV, "No such device")

    pad.opened._state = gone
    pad.send(gamepad.EV_SYN, gamepad.SYN_DROPPED, 0)
    assert pad.opened.read() == GONE


@given(st.binary(max_size=EVENT.size * 8))
def test_any_bytes_neither_raise_nor_drive_faster(data: bytes):
    made = Pad()
    made.opened.takeover(0)  # its stick is at its centre
    os.write(made.fd, data or b"\0")
    stop = made.opened.read()
    assert stop in (None, PRESSED)
    found = made.opened.takeover(1)
    if found is not None:
        assert abs(found.linear_x_m_s) <= 0.5 and abs(found.angular_z_rad_s) <= 1.0
    made.opened.close()
    made.unplug()


def test_the_stick_takes_over_and_hands_back_half_a_second_after_it_is_let_go(pad: Pad):
    """Fault 56."""
    assert pad.opened.takeover(0) is None
    pad.stick(-1.0, -0.5)
    pad.opened.read()
    found = pad.opened.takeover(1)
    assert found is not None and found.angular_z_rad_s == pytest.approx(1.0, abs=1e-4)  # to the left
    assert found.linear_x_m_s == pytest.approx(0.5 * (0.5 - 0.15) / 0.85, abs=1e-3)
    pad.stick(0.1, -0.1)
    pad.opened.read()
    assert pad.opened.takeover(500_000_000) == Velocity(0.0, 0.0, 0.0)
    assert pad.opened.takeover(500_000_002) is None


def test_a_stick_that_is_off_its_centre_when_the_base_is_armed_moves_nothing(pad: Pad):
    """Fault 57."""
    pad.stick(0.0, -1.0)
    pad.opened.read()
    pad.opened.begin()
    assert pad.opened.takeover(0) is None
    pad.stick(0.0, 0.0)
    pad.opened.read()
    assert pad.opened.takeover(1) is None
    pad.stick(0.0, -1.0)
    pad.opened.read()
    found = pad.opened.takeover(2)
    assert found is not None and found.linear_x_m_s == pytest.approx(0.5, abs=1e-4)


def test_without_its_deadman_button_nothing_moves():
    made = Pad("?deadman=tr")
    assert made.opened.takeover(0) == ZERO
    made.button("tr")
    made.opened.read()
    assert made.opened.takeover(1) is None
    made.button("tr", False)
    made.opened.read()
    assert made.opened.takeover(2) == ZERO


class Line:
    """A stop line at the end of a pipe."""

    def __init__(self) -> None:
        out, self.fd = os.pipe()
        self.open = False
        self.gone = False
        self.opened = StopLine(out, self._is_open)

    def _is_open(self) -> bool:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        return self.open


def test_a_circuit_that_opens_stops_and_so_does_one_that_opened_for_a_moment():
    """Fault 53."""
    line = Line()
    assert os.fstat(line.opened.fileno()).st_size == 0
    opened = PanelStop(StopCause.OPERATOR, "stopped by the operator (stop line)")
    assert line.opened.read() is None
    os.write(line.fd, bytes(48))  # an edge, and it is closed again
    assert line.opened.read() == opened and line.opened.read() is None
    line.open = True
    assert line.opened.read() == line.opened.read() == opened


def test_a_stop_line_that_is_gone_stops():
    """Fault 54."""
    lost = PanelStop(StopCause.OPERATOR_LOST, "the operator's stop line is gone")
    line = Line()
    line.gone = True
    assert line.opened.read() == lost
    other = Line()
    os.close(other.fd)
    assert other.opened.read() == lost
    other.opened.close()
    other.opened.close()
    assert other.opened.read() == lost


def test_a_panel_reads_what_is_left_when_one_of_its_inputs_is_gone(pad: Pad):
    line = Line()
    panel = Panel([line.opened, pad.opened])
    panel.begin()
    assert panel.read() is None and panel.takeover(0) is None
    line.gone = True
    stop = panel.read()
    assert stop is not None and stop.cause is StopCause.OPERATOR_LOST
    assert panel.inputs == [pad.opened] and panel.read() is None
    pad.button("east")
    assert panel.read() == PRESSED
    panel.close()
    panel.close()


def chunk(now_ns: int, decision: int, ahead_m_s: float) -> ActionChunk:
    values = np.array([[ahead_m_s, 0.0, 0.0]] * 5, np.float32)
    return ActionChunk(values, 0.1, now_ns, now_ns + 500_000_000, 0.9, decision)


def test_by_hand_and_back_the_base_ramps_and_never_jumps(pad: Pad):
    """Fault 56: a person has priority, and both changes are smooth."""
    guard = Guard(LIMITS)
    takeover = Takeover(guard, Panel([pad.opened]))
    assert guard.arm(0)
    takeover.begin()
    speeds: list[float] = []
    for tick in range(200):
        now_ns = tick * TICK_NS
        if tick == 50:
            pad.stick(0.0, 1.0)  # backwards
        if tick == 100:
            pad.stick(0.0, 0.0)
        assert not takeover.heed_stop()
        takeover.drive(now_ns)
        takeover.follow(chunk(now_ns - TICK_NS, tick, 0.4), now_ns)
        assert takeover.by_hand == (50 <= tick <= 124)
        speeds.append(guard.step(now_ns).linear_x_m_s)
    assert speeds[49] == pytest.approx(0.4) and speeds[199] == pytest.approx(0.4)
    assert speeds[99] == pytest.approx(-0.5) and speeds[120] == 0
    assert all(abs(after - before) <= 2.0 * 0.02 + 1e-9 for before, after in pairwise(speeds))


def test_letting_go_of_the_deadman_brakes_without_latching():
    made = Pad("?deadman=tr")
    guard = Guard(LIMITS)
    takeover = Takeover(guard, Panel([made.opened]))
    assert guard.arm(0)
    made.button("tr")
    speeds: list[float] = []
    for tick in range(150):
        if tick in (50, 100):
            made.button("tr", tick == 100)
        takeover.heed_stop()
        takeover.drive(tick * TICK_NS)
        takeover.follow(chunk((tick - 1) * TICK_NS, tick, 0.4), tick * TICK_NS)
        speeds.append(guard.step(tick * TICK_NS).linear_x_m_s)
    assert speeds[49] == pytest.approx(0.4) and speeds[149] == pytest.approx(0.4)
    assert all(speed == 0 for speed in speeds[61:100])
    assert guard.state is MotorState.FOLLOWING


@pytest.mark.parametrize(
    "address",
    [
        "x",
        "joystick:///dev/input/js0",
        "gamepad://event3",
        "gamepad:///dev/input/event3?stop=big",
        "gamepad:///dev/input/event3?stop=tr&deadman=tr",
        "gamepad:///dev/input/event3?linear_m_s=0.6",
        "gamepad:///dev/input/event3?axis=2",
        "gpio://gpiochip0?line=1",
        "gpio:///dev/gpiochip0",
        "gpio:///dev/gpiochip0?line=one",
        "gpio:///dev/gpiochip0?line=1&bias=up&open=low",
        "gpio:///dev/gpiochip0?line=1&bias=down&open=high",
        "gpio:///dev/gpiochip0?line=1&pull=up",
    ],
)
def test_a_malformed_address_is_bad_usage(address: str):
    with pytest.raises(UsageError, match="operator address"):
        open_panel([address], LIMITS)


def test_the_options_of_a_stop_line():
    assert parse_stop_line("gpio:///dev/gpiochip0?line=17") == ("/dev/gpiochip0", 17, True, 1 << 8)
    assert parse_stop_line("gpio:///dev/gpiochip1?line=0&bias=down")[2:] == (False, 1 << 9)
    assert parse_stop_line("gpio:///dev/gpiochip1?line=0&bias=none&open=low")[2:] == (False, 1 << 10)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("gamepad:///dev/input/nowhere", "does not open: No such file"),
        ("gamepad:///dev/null", "is not a gamepad"),
        ("gpio:///dev/nowhere?line=3", "line 3 of /dev/nowhere does not open: No such file"),
        ("gpio:///dev/null?line=3", "line 3 of /dev/null does not open"),
    ],
)
def test_what_is_not_there_is_missing_hardware(address: str, said: str):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(HardwareMissing, match=said) as caught:
        open_panel([address], LIMITS)
    assert caught.value.hint and len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_permission_names_the_group(monkeypatch: pytest.MonkeyPatch):
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    for address, group in ((PATH, "input"), ("gpio:///dev/gpiochip0?line=1", "gpio")):
        with pytest.raises(HardwareMissing, match="Permission denied") as caught:
            open_panel([address], LIMITS)
        assert f"usermod -aG {group}" in caught.value.hint


def test_the_kernel_is_asked_as_its_headers_say():
    """Sizes and numbers of linux/gpio.h and linux/input.h, as a C compiler gives them for 64 bits."""
    assert (stop_line.REQUEST.size, stop_line.VALUES.size, EVENT.size) == (592, 16, 24)
    assert (stop_line.GET_LINE, stop_line.GET_VALUES) == (0xC250B407, 0xC010B40E)
    assert (gamepad._ioc_read(0x18, 96), gamepad._ioc_read(0x41, 24)) == (0x80604518, 0x80184541)


def test_what_the_kernel_answers_about_a_gamepad_and_a_line_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The answers are made up here: no such device was there to ask."""
    (tmp_path / "device").touch()
    out, end = os.pipe()

    def answer(_fd: int, request: int, argument: object) -> object:
        if request == 0x80604518:
            argument[BUTTONS["tr"] // 8] |= 1 << BUTTONS["tr"] % 8  # type: ignore[index]
            return 0
        if request in (0x80184540, 0x80184541):
            return gamepad.ABSINFO.pack(255 if request & 1 else 0, 0, 255, 0, 0, 0)
        if request == stop_line.GET_LINE:
            fields = stop_line.REQUEST.unpack(argument)  # type: ignore[arg-type]
            assert (fields[0], fields[64].rstrip(b"\0"), fields[65:]) == (
                17,
                b"vla-edge stop",
                (0x134, 0, 1, 0, -1),
            )
            return stop_line.REQUEST.pack(*fields[:-1], out)
        assert request == stop_line.GET_VALUES
        return stop_line.VALUES.pack(1, 1)

    monkeypatch.setattr("fcntl.ioctl", answer)
    opened = gamepad.open_gamepad(f"gamepad://{tmp_path}/device?deadman=tr", LIMITS)
    assert opened.takeover(0) is None  # the deadman is held, and the stick not yet at its centre
    assert opened._axes == [-1.0, 1.0]
    opened.close()
    line = stop_line.open_stop_line(f"gpio://{tmp_path}/device?line=17")
    assert line.read() == PanelStop(StopCause.OPERATOR, "stopped by the operator (stop line)")
    line.close()
    os.close(end)


def test_the_options_of_a_run_become_addresses():
    def addresses(*options: str) -> list[str]:
        return operator_addresses(run_arguments().parse_args(["--goal", "find_object", *options]))

    assert addresses() == []
    pad, line = "/dev/input/event3?deadman=tr", "gpio:///dev/gpiochip0?line=17"
    assert addresses("--gamepad", pad, "--estop", line) == [f"gamepad://{pad}", line]
    assert addresses("--gamepad", f"gamepad://{pad}") == [f"gamepad://{pad}"]
    with pytest.raises(UsageError, match="--estop"):
        addresses("--estop", "/dev/gpiochip0")


def test_a_motor_process_does_not_start_without_its_gamepad():
    with pytest.raises(HardwareMissing, match="gamepad /dev/input/nowhere does not open"):
        MotorProcess.start("null://", operator=["gamepad:///dev/input/nowhere"])
