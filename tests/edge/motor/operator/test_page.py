"""The live page's line to the motor process, at the far end of a real pair of sockets."""

import math
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.commands.run_arguments import operator_addresses, run_arguments
from edge.errors import HardwareMissing, UsageError
from edge.motor.client import MotorProcess
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.loop import MotorLoop
from edge.motor.operator.page import GONE, MAX_MESSAGES, SILENT, STOPPED, PageLine, open_page
from edge.motor.operator.panel import Panel, open_panel
from edge.motor.wire import Arm, ByHand, LetGo, Message, Stop, encode
from edge.records import ZERO, MotorState, StopCause
from tests.edge.motor.test_loop import PERIOD_NS, Base, Runtime

MS = 1_000_000
LIMITS = MotorLimits()


class Page:
    """The server's end."""

    def __init__(self) -> None:
        self.socket, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.now_ns = 0
        self.line = PageLine(there, LIMITS, lambda: self.now_ns)

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.socket.send(encode(message))

    def close(self) -> None:
        self.socket.close()
        self.line.close()


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


def test_the_page_stops_and_its_server_learns_that_the_stop_has_arrived(page: Page):
    """Fault 53."""
    assert page.line.read() is None
    stop = encode(Stop("the page's words", StopCause.REQUESTED))
    page.socket.send(stop)
    assert page.line.read() == STOPPED
    assert page.socket.recv(4096) == stop
    assert page.line.read() is None


def test_a_page_that_is_gone_stops(page: Page):
    """Fault 54."""
    page.socket.close()
    assert page.line.read() == GONE
    page.line.close()
    assert page.line.read() == GONE


def test_a_hand_drives_and_hands_back_half_a_second_after_it_has_let_go(page: Page):
    """Fault 56."""
    assert page.line.takeover(0) is None
    page.send(ByHand(0.5, -1.0))
    assert page.line.read() is None
    found = page.line.takeover(300 * MS)
    assert found is not None and (found.linear_x_m_s, found.angular_z_rad_s) == (0.25, -1.0)
    page.now_ns = 350 * MS
    page.send(LetGo())
    page.line.read()
    assert page.line.takeover(351 * MS) == ZERO
    assert page.line.takeover(850 * MS) == ZERO
    assert page.line.takeover(850 * MS + 1) is None
    page.now_ns = 10_000 * MS
    assert page.line.read() is None


def test_a_hand_that_holds_the_middle_holds_the_base(page: Page):
    page.send(ByHand(0.0, 0.0))
    page.line.read()
    assert page.line.takeover(1) == ZERO


def test_a_hand_that_falls_silent_brakes_then_stops_for_good_and_never_hands_back(page: Page):
    page.send(ByHand(1.0, 0.0))
    page.line.read()
    assert page.line.takeover(300 * MS) != ZERO
    assert page.line.takeover(300 * MS + 1) == ZERO
    page.now_ns = 2000 * MS
    assert page.line.read() is None and page.line.takeover(page.now_ns) == ZERO
    page.now_ns += 1
    assert page.line.read() == SILENT


def test_a_hand_that_comes_back_in_time_drives_on(page: Page):
    page.send(ByHand(1.0, 0.0))
    page.line.read()
    page.now_ns = 1900 * MS
    page.send(ByHand(0.2, 0.0))
    assert page.line.read() is None
    found = page.line.takeover(page.now_ns)
    assert found is not None and found.linear_x_m_s == 0.2 * 0.5
    page.now_ns = 3800 * MS
    assert page.line.read() is None


def test_a_hand_that_holds_when_the_base_is_armed_moves_nothing_until_it_has_let_go(page: Page):
    """Fault 57."""
    page.send(ByHand(1.0, 0.0))
    page.line.read()
    page.line.begin()
    assert page.line.takeover(1) == ZERO
    page.send(ByHand(1.0, 0.0))
    page.line.read()
    assert page.line.takeover(2) == ZERO
    page.send(LetGo(), ByHand(1.0, 0.0))
    page.line.read()
    found = page.line.takeover(3)
    assert found is not None and found.linear_x_m_s == 0.5


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.builds(encode, st.builds(ByHand, st.floats(), st.floats())))
    )
)
def test_any_messages_neither_raise_nor_drive_faster(packets: list[bytes]):
    page = Page()
    for packet in packets[:20]:
        page.socket.send(packet or b"\0")
    assert page.line.read() is None
    found = page.line.takeover(1)
    if found is not None:
        assert abs(found.linear_x_m_s) <= 0.5 and abs(found.angular_z_rad_s) <= 1.0
    page.close()


def test_a_word_that_is_not_a_number_keeps_no_hand_alive(page: Page):
    page.send(ByHand(1.0, 0.0))
    page.line.read()
    page.now_ns = 400 * MS
    page.send(ByHand(math.nan, 0.0), ByHand(0.0, math.inf))
    page.line.read()
    assert page.line.takeover(page.now_ns) == ZERO


@pytest.fixture
def runtime(page: Page) -> Iterator[Runtime]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there, ThreadPoolExecutor(1) as pool:
        here.settimeout(20)
        page.line = PageLine(page.line._line, LIMITS)
        loop = MotorLoop(there, Base(), Guard(LIMITS), PERIOD_NS, Panel([page.line]))
        future = pool.submit(loop.run)
        yield Runtime(here)
        loop.terminated = True
        future.result(20)


def test_the_button_stops_the_base_for_good(runtime: Runtime, page: Page):
    """Fault 53."""
    runtime.drive()
    page.send(Stop("", StopCause.OPERATOR))
    status = runtime.until(lambda status: status.state is MotorState.LATCHED, driving=True)
    assert (status.cause, status.reason) == (StopCause.OPERATOR, STOPPED.reason)
    runtime.send(Arm())
    status = runtime.until(lambda status: status.reason.startswith("not armed"), driving=True)
    assert status.reason == f"not armed: {STOPPED.reason}" and status.state is MotorState.LATCHED


def test_a_hand_drives_ahead_of_the_policy_and_one_that_is_lost_stops(runtime: Runtime, page: Page):
    """Fault 56."""
    runtime.drive()
    for _ in range(60):
        page.send(ByHand(-1.0, 0.0))
        status = runtime.until(lambda _: True, driving=True)
        if status.sent.linear_x_m_s < -0.4:
            break
    assert (status.reason, status.decision) == ("driven by hand", -1) and status.by_hand
    assert status.sent.linear_x_m_s < -0.4
    runtime.until(lambda status: status.sent == ZERO and status.state is MotorState.FOLLOWING, driving=True)
    status = runtime.until(lambda status: status.state is MotorState.LATCHED, driving=True)
    assert (status.cause, status.reason) == (StopCause.OPERATOR_LOST, SILENT.reason)


def test_a_motor_process_opens_the_line_that_an_address_names():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        address = f"page://?fd={there.fileno()}"
        with MotorProcess.start("null://", operator=[address], fds=[there.fileno()]) as motor:
            there.close()
            here.settimeout(20)
            here.send(encode(Stop("", StopCause.OPERATOR)))
            here.recv(4096)
            while (status := motor.status()).cause is StopCause.NONE:
                pass
            assert (status.cause, status.reason) == (StopCause.OPERATOR, STOPPED.reason)


def test_a_flood_is_taken_in_portions(page: Page):
    page.send(*[LetGo()] * (MAX_MESSAGES + 1), Stop("at last"))
    assert page.line.read() is None
    assert page.line.read() == STOPPED


def test_a_panel_reads_the_line_that_its_address_names():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, open_panel([f"page://?fd={there.detach()}"], LIMITS) as panel:
        assert panel.read() is None
        here.send(encode(Stop("the page's words")))
        assert panel.read() == STOPPED


@pytest.mark.parametrize(
    "text", ["page://", "page://?fd=2", "page://?fd=x", "page://?fd=900000", "page://?a=b"]
)
def test_a_line_that_is_not_there_is_refused(text: str):
    with pytest.raises(UsageError):
        open_page(text, LIMITS)


def test_nobody_types_the_address_of_a_page():
    options = run_arguments().parse_args(["--goal", "find_object", "--estop", "page://?fd=3"])
    with pytest.raises(UsageError):
        operator_addresses(options)
    options = run_arguments().parse_args(["--goal", "find_object", "--gamepad", "page://?fd=3"])
    with (
        pytest.raises((UsageError, HardwareMissing)),
        MotorProcess.start("null://", operator=operator_addresses(options)),
    ):
        pass
