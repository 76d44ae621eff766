"""Tells systemd how a run is: ready, alive, ending. Does nothing outside of a service.

The protocol is one datagram to the socket that NOTIFY_SOCKET names, as sd_notify(3) describes it.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Callable

from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, DriveEnd, MotorStatus, Observation

LOADING_S = 600  # the model of a large bundle loads for minutes

log = logging.getLogger(__name__)


class ServiceNotifier:
    """An inline observer: systemd hears of the loop itself, so a loop that hangs is heard of no more.

    The watchdog's limit is WATCHDOG_USEC, which systemd sets by the unit's WatchdogSec.
    """

    def __init__(self, goes_on: Callable[[DriveEnd], bool] = lambda _: False) -> None:
        """`goes_on` says whether the run goes on after such an end, once its engine was started afresh."""
        self._goes_on = goes_on
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        limit_us = os.environ.get("WATCHDOG_USEC", "")
        self._limit = limit_us if limit_us.isdigit() else ""
        self._period_ns = int(limit_us) * 1000 // 3 if self._limit else 0
        self._due_ns = 0

    def on_start(self, stamp_ns: int) -> None:
        """Say that the drive has begun: the model is warm and frames are fresh."""
        self._send("READY=1\nSTATUS=driving")
        if self._limit:  # a restart of the engine had made it longer
            self._send(f"WATCHDOG_USEC={self._limit}")

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Do nothing: a recording that waits for its answers brings frames late."""

    def on_inference(self, inference: Inference) -> None:
        """Do nothing."""

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Do nothing."""

    def on_status(self, status: MotorStatus) -> None:
        """Say that the loop is alive, three times within the watchdog's limit."""
        if self._period_ns and status.stamp_ns >= self._due_ns:
            self._due_ns = status.stamp_ns + self._period_ns
            self._send("WATCHDOG=1")

    def on_end(self, end: DriveEnd) -> None:
        """Say that the run ends, and how, or that its engine is started afresh: then nobody is watched."""
        if self._goes_on(end):
            limit = f"WATCHDOG_USEC={LOADING_S * 1_000_000}\n" if self._limit else ""
            self._send(f"{limit}STATUS=starting the engine again: {' '.join(end.reason.split())}")
            return
        self._send(f"STOPPING=1\nSTATUS={end.outcome.value}: {' '.join(end.reason.split())}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A name that begins with "@" is in the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),  # systemd's watchdog ends a run that it does not hear of
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify,
        ):
            notify.setblocking(False)
            notify.sendto(text.encode(), address)
