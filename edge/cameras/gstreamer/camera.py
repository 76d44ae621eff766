"""A camera in a process of its own, kept up: reconnected when it goes away, given up in the end."""

import contextlib
import logging
import os
import select
import subprocess
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from edge.cameras.gstreamer.faults import SENSOR_MODES, fault_of
from edge.cameras.gstreamer.job import StreamJob
from edge.cameras.gstreamer.outages import Outages
from edge.cameras.gstreamer.process import StreamEnd, StreamProcess
from edge.cameras.shm import FrameRing
from edge.cameras.slot import require_fresh
from edge.clock import Clock, MonotonicClock, age_over
from edge.errors import CameraAway, EdgeError, HardwareMissing, UsageError
from edge.interfaces import Closing
from edge.records import Frame

AWAY_AGE_S = 0.2  # without a frame for so long it is away: the base holds, before its motor process latches
SILENT_LIMIT_S = 2.0  # without a frame for so long the stream is started anew
WATCH_S = 0.05
RESTART_LIMIT_S = 10.0
RESTART_ARGUS = ("systemctl", "--no-ask-password", "restart", "nvargus-daemon")

log = logging.getLogger(__name__)


class StreamCamera(Closing):
    """The frames of one stream.

    `latest` raises CameraAway while the stream is silent or reconnected, HardwareMissing once it is given up.
    """

    def __init__(
        self,
        job: StreamJob,
        clock: Clock,
        name: str = "front",
        start: Callable[[StreamJob, int], StreamProcess] = StreamProcess,
        restart_argus: Sequence[str] = RESTART_ARGUS,
    ) -> None:
        """Start the stream and wait for its first frame. Raises UsageError, HardwareMissing."""
        self.name = name
        # A compressed stream of a still scene repeats itself to the last bit; a sensor never does.
        self.shows_stills = job.scheme in ("rtsp", "gst")
        self._job, self._clock, self._start, self._restart_argus = job, clock, start, restart_argus
        self._real = MonotonicClock()
        self._outages = Outages()
        self._process: StreamProcess | None = None
        self._ring: FrameRing | None = None
        self._read_ring: FrameRing | None = None  # the ring of the newest frame
        self._source_size, self._source_hz = "", 0.0  # as the source states them; 0: it does not
        self._first_seq = 0  # the number of the first frame in that ring
        self._frame: Frame | None = None
        self._away = ""  # why the stream is down; empty while it is up
        self._fault: EdgeError | None = None
        self._closing = threading.Event()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # one for all processes to come
        weakref.finalize(self, os.close, self._bell)
        self._connect(job.start_limit_s)
        self._thread = threading.Thread(target=self._supervise, name=f"camera {name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        process = self._process
        return process.pid if process is not None else None

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame.

        Raises CameraAway while the stream is down or silent, HardwareMissing if it is given up, StaleFrame if
        the frame is older than `max_age_s`.
        """
        if self._fault is not None:
            raise self._fault
        self._read()
        if self._frame is None or self._away:
            away = self._away or f"camera {self.name!r} {self._job.shown!r}: no frame yet"
            raise CameraAway(away, "it is being reconnected")
        age_s = (self._clock.now_ns() - self._frame.stamp_ns) / 1e9
        if age_s > AWAY_AGE_S and max_age_s >= AWAY_AGE_S:
            age = age_over(round(age_s * 1e9), round(AWAY_AGE_S * 1e9))
            raise CameraAway(
                f"camera {self.name!r} is away: its newest frame is {age}", "check its cable and its network"
            )
        return require_fresh(self._frame, self._clock.now_ns(), max_age_s)

    def wait(self, timeout_s: float) -> None:
        """Wait until there is a frame that nobody waited for before, at most for so long."""
        if select.select([self._bell], [], [], timeout_s)[0]:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._bell)

    def faster(self, rate_hz: float) -> str:
        """Return what to do about a stream that brings only `rate_hz` frames a second."""
        stated = self._source_size
        if self._source_hz:
            stated += f" at {self._source_hz:.3g} frames a second"
        if self._job.scheme == "gst":
            return f"its pipeline is {stated}: raise the framerate in its caps, or take a smaller size"
        if self._job.scheme == "csi":
            return f"its sensor gives {stated}: give it more light, or another mode: {SENSOR_MODES}"
        return (
            f"it sends {stated}: raise the rate or lower the size in its own settings, and check the network"
        )

    def close(self) -> None:
        """End the child process in good order."""
        self._closing.set()
        self._thread.join()

    def _read(self) -> None:
        """Take the newest image from the ring, if it is a new one."""
        ring, before = self._ring, self._frame
        if ring is None or (
            ring is self._read_ring and before and ring.written + self._first_seq == before.seq + 1
        ):
            return
        newest = ring.newest()
        if newest is None:
            return
        image, stamp_ns, seq = newest
        if before is not None and stamp_ns <= before.stamp_ns:
            return
        if ring is not self._read_ring:
            self._read_ring, self._first_seq = ring, before.seq + 1 if before is not None else 0
        self._frame = Frame(image, stamp_ns, self._first_seq + seq, self.name)

    def _connect(self, limit_s: float) -> None:
        """Start the child and wait for its first image. Raises what it reports instead."""
        process = self._start(self._job, self._bell)
        report: dict[str, Any] | None
        deadline_ns = self._real.now_ns() + round(limit_s * 1e9)
        try:
            while (report := process.report(WATCH_S)) is None:
                if self._closing.is_set() or self._real.now_ns() > deadline_ns:
                    report = {"kind": "silent", "limit_s": limit_s}
                    break
            if report["kind"] != "started":
                raise fault_of(report, self._job, self.name)
            self._ring = FrameRing.attach(process.ring_name)
            self._source_size = "{1}x{0}".format(*report["source_size"])
            self._source_hz = report["source_hz"]
        except BaseException:
            self._end(process)
            raise
        self._process = process

    def _supervise(self) -> None:
        """Watch the child until the camera is closed or given up."""
        while not self._closing.is_set() and self._fault is None:
            trouble = self._trouble()
            if trouble is not None:
                self._reconnect(trouble)
        if self._process is not None:
            with contextlib.suppress(HardwareMissing):  # nobody drives any more
                self._end(self._process)
            self._process = None

    def _trouble(self) -> EdgeError | None:
        """Return what the child reports, or that its frames stay away; None if it is well."""
        assert self._process is not None and self._ring is not None
        report = self._process.report(WATCH_S)
        if report is None:
            newest_ns = self._ring.newest_stamp_ns
            if self._real.now_ns() - newest_ns <= SILENT_LIMIT_S * 1e9:
                return None
            report = {"kind": "silent", "limit_s": SILENT_LIMIT_S}
        return fault_of(report, self._job, self.name)

    def _reconnect(self, trouble: EdgeError) -> None:
        """Start the stream again, some times; give the camera up in the end."""
        self._away = trouble.message
        self._outages.begin(self._real.now_ns())
        log.warning("camera %s is away: %s", self.name, trouble.message)
        try:
            if self._process is not None:
                process, self._process = self._process, None
                self._end(process)
            if isinstance(trouble, UsageError):  # which no reconnect mends
                raise trouble
            while not self._closing.wait(self._outages.backoff_s):
                now_ns = self._real.now_ns()
                if not self._outages.reconnect(now_ns):
                    self._fault = self._given_up(trouble)
                    return
                try:
                    self._connect(min(self._job.start_limit_s, max(1.0, self._outages.left_s(now_ns))))
                except EdgeError as error:
                    trouble = error
                    continue
                log.warning("camera %s is back after %d tries", self.name, self._outages.tries)
                self._outages.over()
                self._away = ""
                return
        except EdgeError as error:  # also when its process or the camera's daemon is stuck
            self._fault = error

    def _given_up(self, trouble: EdgeError) -> HardwareMissing:
        tries = (
            f"given up after {self._outages.tries} tries: "
            if self._outages.tries
            else "went away too often: "
        )
        return HardwareMissing(f"{trouble.message} ({tries.rstrip(': ')})", trouble.hint)

    def _end(self, process: StreamProcess) -> None:
        """End a child. Raises HardwareMissing if the camera can't be opened again after that."""
        ended = process.end()
        if ended is StreamEnd.NEVER:
            raise HardwareMissing(
                f"camera {self.name!r} {self._job.shown!r}: its process {process.pid} does not end: "
                "the driver holds it",
                "unplug the camera, or restart the machine: `sudo reboot`",
            )
        if ended is StreamEnd.KILLED and self._job.scheme == "csi":
            self._restart_daemon()

    def _restart_daemon(self) -> None:
        """Restart the daemon of CSI cameras, which stays broken when a client dies without goodbye."""
        try:
            subprocess.run(self._restart_argus, check=True, capture_output=True, timeout=RESTART_LIMIT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise HardwareMissing(
                f"camera {self.name!r} {self._job.shown!r}: its process had to be killed, and nvargus-daemon "
                "can't be restarted without a password",
                "sudo systemctl restart nvargus-daemon",
            ) from error
        log.warning("camera %s: nvargus-daemon was restarted", self.name)
