"""Start the motor process and talk to it: the runtime's end."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from typing_extensions import Self

from edge.child import KeptChild, child_environment
from edge.errors import (
    BundleRefused,
    EdgeError,
    HardwareMissing,
    MotorFault,
    PluginError,
    SafetyStop,
    UsageError,
)
from edge.interfaces import Closing
from edge.motor.limits import MotorLimits
from edge.motor.wire import MAX_BYTES, Arm, Failure, Hold, Message, Quit, Stop, Touch, decode, encode
from edge.records import ActionChunk, MotorStatus, StopCause

SILENCE_LIMIT_NS = 500_000_000  # 25 ticks without a status
GRACE_S = 0.2  # wait for a status that is under way, if the newest one is old
EXIT_LIMIT_S = 2.0  # from the end of the socket to the exit of the process
_ERRORS: dict[int, type[EdgeError]] = {
    error.exit_code: error for error in (EdgeError, UsageError, SafetyStop, HardwareMissing, BundleRefused)
}


class MotorProcess(Closing):
    """A running motor process, to be closed. It is for one thread; only `stop` may be called from any.

    Every method but `close` raises MotorFault if the process is gone, PluginError if that is a package's
    doing; `status` raises MotorFault also if it is silent. As a context manager it raises them at its end, if
    nothing was raised before: then stopping or closing the actuator failed.
    Don't fork without exec while it runs: a child that keeps the socket open hides this process's death from
    it (the age of the newest frame still stops it).
    """

    def __init__(self, child: subprocess.Popen[bytes] | KeptChild, control: socket.socket) -> None:
        self._child = child
        self._control = control
        self._newest: MotorStatus | None = None
        self._failure: Failure | None = None
        self._told = False  # that the process is gone, and why

    @classmethod
    def start(
        cls,
        uri: str,
        limits: MotorLimits | None = None,
        rate_hz: float = 50.0,
        timeout_s: float = 15.0,
        operator: Sequence[str] = (),
        module: str = "edge.motor.process",
        fds: Sequence[int] = (),
    ) -> Self:
        """Start a motor process and wait for its first status: the actuator is open, locked, disarmed.

        `operator` are the addresses of what a person stops and drives it with (`edge.motor.operator`),
        `module` is what Python runs, `fds` are open sockets that an address names.

        Raises UsageError for a bad address or rate, HardwareMissing if a port is not there, taken or not
        permitted, PluginError if a package's driver fails, MotorFault if there is no status within
        `timeout_s`.
        """
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", module, "--fd", str(there.fileno()), "--motors", uri]
        command += ["--rate-hz", str(rate_hz), "--limits", (limits or MotorLimits()).to_json()]
        command += [part for address in operator for part in ("--operator", address)]
        # Its end of the socket must live nowhere else, or neither side would hear the other one die.
        with there:
            child = subprocess.Popen(
                command,
                pass_fds=[there.fileno(), *fds],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                env=child_environment(),
            )
        return cls(child, here)._reporting(timeout_s)

    @classmethod
    def kept(cls, pid: int, fd: int, timeout_s: float = 15.0) -> Self:
        """Go on with a process that was started before this process's program was replaced; see `fd`.

        Raises MotorFault if it is gone, or there is no status of from now on within `timeout_s`.
        """
        os.set_inheritable(fd, False)
        process = cls(KeptChild(pid), socket.socket(fileno=fd))
        # Nobody has read meanwhile: the socket is full of statuses as old as that.
        return process._reporting(timeout_s, since_ns=time.monotonic_ns())

    def _reporting(self, timeout_s: float, since_ns: int = 0) -> Self:
        try:
            self._await_first_status(timeout_s, since_ns)
        except BaseException:
            self.close()
            raise
        return self

    @property
    def pid(self) -> int:
        """Process id, also of its session and process group."""
        return self._child.pid

    @property
    def fd(self) -> int:
        """The number of the socket to it: as long as that is open, the process goes on."""
        return self._control.fileno()

    def send(self, chunk: ActionChunk) -> None:
        """Send a chunk to follow. Raises ValueError if it is too long for a message (about 300 rows of 3)."""
        self._send(chunk)

    def arm(self) -> None:
        """Request arming, also after a latched stop. `status()` tells if it has happened, or why not."""
        self._send(Arm())

    def hold(self, reason: str) -> None:
        """Brake to zero now without latching. The next chunk moves the base again."""
        self._send(Hold(reason))

    def touch(self, reason: str) -> None:
        """Brake to zero now, and follow only a way back first: the base touches something."""
        self._send(Touch(reason))

    def stop(self, reason: str, cause: StopCause = StopCause.REQUESTED) -> None:
        """Brake to zero now and latch. `reason` and `cause` are reported until armed again.

        After StopCause.OPERATOR this process never arms again.
        """
        self._send(Stop(reason, cause))

    def status(self) -> MotorStatus:
        """Return the newest status, at most 0.5 s old. Raises MotorFault if there is none."""
        self._receive()
        if self._age_ns() > SILENCE_LIMIT_NS:
            # This process may have been suspended, and newer statuses did not fit into the socket.
            self._wait(GRACE_S)
            if (age_ns := self._age_ns()) > SILENCE_LIMIT_NS:
                limit_ms = SILENCE_LIMIT_NS / 1e6
                silent = f"silent for {age_ns / 1e6:.0f} ms (limit {limit_ms:.0f} ms)"
                raise MotorFault(f"motor process {self.pid} is {silent}")
        assert self._newest is not None  # `start` waited for it
        return self._newest

    def close(self, timeout_s: float = 3.0) -> int:
        """Brake, disarm and end it; returns its exit code. Kills it only after twice `timeout_s`."""
        with contextlib.suppress(OSError):  # the process is gone already
            self._control.send(encode(Quit()), socket.MSG_DONTWAIT)
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                self._child.wait(timeout_s)
                break
            except subprocess.TimeoutExpired:
                self._child.send_signal(sent)
        self._drain()
        self._control.close()
        return self._child.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None and self._failure is not None and not self._told:
            raise self._fault()

    def _send(self, message: Message) -> None:
        packet = encode(message)
        try:
            self._control.send(packet, socket.MSG_DONTWAIT)
        except BlockingIOError as error:
            raise MotorFault(f"motor process {self.pid} does not take messages") from error
        except OSError as error:
            raise self._fault() from error

    def _receive(self) -> None:
        """Read the messages that are there."""
        while True:
            try:
                packet = self._control.recv(MAX_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._fault() from error
            if not packet:
                raise self._fault()
            self._take(decode(packet))

    def _take(self, message: Message) -> None:
        if isinstance(message, MotorStatus):
            self._newest = message
        elif isinstance(message, Failure):
            self._failure = message

    def _wait(self, timeout_s: float) -> None:
        if select.select([self._control], [], [], timeout_s)[0]:
            self._receive()

    def _age_ns(self) -> int:
        return time.monotonic_ns() - self._newest.stamp_ns if self._newest is not None else sys.maxsize

    def _await_first_status(self, timeout_s: float, since_ns: int = 0) -> None:
        deadline_s = time.monotonic() + timeout_s
        try:
            while self._newest is None or self._newest.stamp_ns < since_ns:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise MotorFault(f"motor process reported nothing within {timeout_s:g} s")
                self._wait(left_s)
        except (MotorFault, PluginError) as fault:
            if self._failure is None or self._failure.of_package:
                raise
            error = _ERRORS.get(self._failure.exit_code, MotorFault)
            raise error(self._failure.message, self._failure.hint) from fault

    def _fault(self) -> MotorFault | PluginError:
        """Make the error for a process that is gone, from its Failure if it sent one."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(EXIT_LIMIT_S)
        self._drain()
        self._told = True
        if self._failure is not None:
            error = PluginError if self._failure.of_package else MotorFault
            return error(self._failure.message, self._failure.hint)
        code = self._child.returncode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return MotorFault(f"motor process {self.pid} is gone: {how}", "the base stops by its own timeout")

    def _drain(self) -> None:
        """Take what a process that has ended still had to say."""
        # A reset is reported once, before the messages that were sent ahead of it.
        for _ in range(2):
            with contextlib.suppress(OSError):
                while packet := self._control.recv(MAX_BYTES, socket.MSG_DONTWAIT):
                    self._take(decode(packet))
