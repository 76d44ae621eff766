"""The runtime's end of the tap: an observer that hands a drive's events to a process of its own.

The drive only puts references into a bounded queue. A thread makes lines of them and sends them, while the
drive waits for its next frame. What the process does with them, and how long that takes, is nothing to the
drive: when the queue is full, events are dropped and counted.
"""

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from edge.child import child_environment
from edge.interfaces import Closing, Inference, PolicyStatus
from edge.records import ActionChunk, DriveEnd, Frame, MotorStatus, Observation
from edge.runs.tap.ending import FINISH_S, KeptTap, TapEnding, TapReport
from edge.runs.tap.events import TapEvent, TapLine
from edge.runs.tap.options import FEW_PERIOD_NS, KEEPS_MEMORY, QUEUED_EVENTS, QUEUED_IMAGES, TapOptions
from edge.runs.tap.telling import LogTap, event_of, named, relay, without_pixels

SEND_S = 3.0  # for the events that wait when the run has ended
_LATEST_S = 0.05  # the thread looks for events so often where no frame comes, or the drive never waits
_AT_ONCE = 32  # events that are sent together, at most
_STALLED_S = 10.0  # a process that leaves an event unread for so long is given up

log = logging.getLogger(__name__)

Offered = tuple[str, int, int, Callable[[], Any], Frame | None]  # topic, seq, stamp_ns, what, image


class Tap(Closing):
    """An inline observer of a drive, which follows the log as well. Never raises, never waits."""

    def __init__(self, options: TapOptions, read: Callable[[Inference], Any]) -> None:
        """Start the process. `read` makes of an inference, its image black, what the policy reads in it."""
        self.lost = 0
        self._options, self._read = options, read
        self._queue: SimpleQueue[Offered | None] = SimpleQueue()
        self._frame_told = False  # since the thread was woken last
        self._waits: SimpleQueue[None] = SimpleQueue()  # an entry for each time that it is woken
        self._count = self._images_waiting = self._answers = 0
        self._lock = threading.Lock()
        self._decided: tuple[ActionChunk | None, str, int | None] = (None, "", None)
        self._newest: dict[str, tuple[Frame, int]] = {}  # by camera: whose image was offered, when it was due
        self._trouble = ""
        self._finished = self._reported = False
        self._all_images = options.all_images
        self._listens = threading.Event()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket, self._line = here, TapLine(here)
        with there:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "edge.runs.tap.process", "--fd", str(there.fileno())],
                pass_fds=[there.fileno(), *([options.page_fd] if options.page_fd >= 0 else [])],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                env=child_environment() | KEEPS_MEMORY,
            )
        self._offer("options", lambda: options)
        self._thread = threading.Thread(target=self._work, name="tap", daemon=True)
        self._thread.start()
        self._log = LogTap(self._offer)
        logging.root.addHandler(self._log)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._child.pid

    @property
    def waiting(self) -> int:
        """How many events wait to be sent."""
        return self._queue.qsize()

    def await_process(self, heeded: Sequence[Callable[[], object]]) -> None:
        """Wait until the process takes images, if all are to be kept: what comes before it could be dropped.

        `heeded` are called meanwhile, and may end the wait by what they raise. It is not waited for longer
        than a process that hangs.
        """
        while self._options.all_images and not self._listens.wait(0.05):
            for check in heeded:
                check()

    def on_header(self, header: dict[str, Any]) -> None:
        """Take what the run consists of, before its start."""
        self._offer("header", lambda: header)

    def on_start(self, stamp_ns: int) -> None:
        """Offer the event."""
        self._offer("start", lambda: {"stamp_ns": stamp_ns})

    def on_step(
        self, observation: Observation, inference: Inference | None, chunk: ActionChunk | None, doubt: str
    ) -> None:
        """Keep what the policy decided, for the frame that follows."""
        self._answers += inference is not None
        self._decided = chunk, doubt, self._answers if inference is not None else None

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Offer the images that are new, and the tick."""
        all_images = self._all_images  # before they are offered: the process may want them from now on
        images = {name: self._image(name, frame) for name, frame in observation.frames.items()}
        chunk, doubt, answer = self._decided
        self._decided = (None, "", None)
        # What waits must not hold pixels: only images do, and those are counted.
        frames = {name: named(frame, images[name]) for name, frame in observation.frames.items()}
        tick = {
            "camera": observation.camera,
            "frames": frames,
            "odometry": observation.odometry,
            "inference": answer,
            "decided": chunk,
            "doubt": doubt,
            "policy": policy,
            "queue_depth": self.waiting,
            "lost": self.lost,
            "all_images": all_images,
        }
        self._offer("tick", lambda: tick)
        self._frame_told = True

    def on_inference(self, inference: Inference) -> None:
        """Offer the event."""
        number, told = self._answers, replace(inference, frame=without_pixels(inference.frame))
        self._offer("inference", lambda: {"number": number, "inference": told, "read": self._read(told)})

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Offer the event."""
        self._offer("chunk", lambda: chunk)

    def on_status(self, status: MotorStatus) -> None:
        """Offer the event."""
        self._offer("motor", lambda: status)

    def on_wait(self) -> None:
        """Let the thread send what has come, once a frame."""
        if self._frame_told:
            self._frame_told = False
            self._waits.put(None)

    def on_end(self, end: DriveEnd) -> None:
        """Offer the event."""
        self._offer("end", lambda: end)

    def finish(self, end: DriveEnd) -> TapReport:
        """Tell how the run ended, wait for the process a while, and return what became of the events.

        A tap that was handed over to a program that could not begin returns it too.
        """
        if self._reported:
            return TapReport()
        self._end(end)
        self._reported = True
        with self._socket:
            ending = TapEnding(self._line, self._child, self._options.recording)
            deadline_s = time.monotonic() + FINISH_S
            return ending.report(deadline_s, self.lost, self._count, self._take_word)

    def hand_over(self) -> KeptTap:
        """End the events, as the run goes on in another program, which is to hear the process out."""
        self._end(None)
        recording, words = self._options.recording, self._line.part.decode()
        return KeptTap(self.pid, self._socket.fileno(), self.lost, self._count, recording, words)

    def close(self) -> None:
        """Let go without an outcome, if nobody has ended it."""
        if not self._finished:
            self._end(None)
            self._socket.close()

    def _image(self, name: str, frame: Frame) -> int | None:
        """Offer a frame's image if it is new and wanted; return the stamp of the frame with its pixels."""
        before, due_ns = self._newest.get(name, (None, 0))
        if before is not None and before.image is frame.image:
            return before.stamp_ns
        if not self._all_images and frame.stamp_ns < due_ns:
            return None
        with self._lock:
            full = self._images_waiting >= QUEUED_IMAGES
            self._images_waiting += not full
        if full and self._all_images:
            self._lose()
        if full or not self._offer("image", lambda: frame, frame):
            return None
        self._newest[name] = frame, frame.stamp_ns + FEW_PERIOD_NS
        return frame.stamp_ns

    def _offer(self, topic: str, what: Callable[[], Any], image: Frame | None = None) -> bool:
        """Queue an event; False if it is dropped."""
        seq, self._count = self._count, self._count + 1
        last = topic in ("end", "outcome")
        if self._trouble or (self._queue.qsize() >= QUEUED_EVENTS and not last):
            self._lose(image)
            return False
        self._queue.put((topic, seq, time.monotonic_ns(), what, image))
        return True

    def _lose(self, image: Frame | None = None) -> None:
        with self._lock:
            self.lost += 1
            self._images_waiting -= image is not None

    def _work(self) -> None:
        self._socket.settimeout(_STALLED_S)
        if goes_on := self._pass_on():
            self._await_first_word()
        while goes_on:
            with contextlib.suppress(Empty):
                self._waits.get(timeout=_LATEST_S)
            goes_on = self._pass_on()

    def _pass_on(self) -> bool:
        """Send the events that are there. Returns False if their end was among them."""
        ended, waiting = False, list[bytes]()
        while not ended and not self._queue.empty():
            offered = self._queue.get()
            ended = offered is None
            event = None if offered is None else self._event(*offered)
            if event is not None:
                waiting.append(event.head() + event.line)
                if event.blob or len(waiting) == _AT_ONCE:
                    self._send(waiting, event.blob)
                    waiting = []
        if waiting:
            self._send(waiting)
        return not ended

    def _await_first_word(self) -> None:
        """Wait until the process says that it listens, or is gone, or hangs."""
        end_s = time.monotonic() + _STALLED_S
        try:
            while not self._listens.is_set() and (left_s := end_s - time.monotonic()) > 0:
                self._heed(left_s)
        except OSError:
            self._fail("its process has ended")
        self._listens.set()

    def _heed(self, wait_s: float = 0.0) -> None:
        """Take what the process says meanwhile. Raises OSError if it has ended."""
        for word in self._line.heard(wait_s):
            self._take_word(word)

    def _event(
        self, topic: str, seq: int, stamp_ns: int, what: Callable[[], Any], image: Frame | None
    ) -> TapEvent | None:
        """Return an event to send; None if it is lost."""
        if image is not None:
            with self._lock:
                self._images_waiting -= 1
        try:
            if not self._trouble:
                return event_of(topic, seq, stamp_ns, what(), image)
        except Exception as error:  # noqa: BLE001 - a policy's odd value must not end the tap
            log.warning("an event can't be told: %s: %s", type(error).__name__, error)
        self._lose()
        return None

    def _send(self, events: Sequence[bytes], blob: bytes | memoryview = b"") -> None:
        """Send events, the last one with its bytes; they are lost if the process has ended or hangs."""
        try:
            self._line.send(events, blob)
            self._heed()
        except OSError as error:
            for _ in events:
                self._lose()
            self._fail("it hangs" if isinstance(error, TimeoutError) else "its process has ended")

    def _take_word(self, word: dict[str, Any]) -> None:
        if "listens" in word:
            self._listens.set()
        if "images" in word:
            self._all_images = word["images"]
        if "log" in word:
            relay(word["log"], word["fields"])

    def _fail(self, why: str) -> None:
        self._trouble = why
        self._listens.set()
        log.warning("recorder lost: %s; the drive goes on without it", why)

    def _end(self, end: DriveEnd | None) -> None:
        """Send what waits and the outcome, which is None for a drive whose run goes on; once."""
        if self._finished:
            return
        self._offer("outcome", lambda: {"end": end, "lost": self.lost})
        self._finished = True
        logging.root.removeHandler(self._log)
        self._queue.put(None)
        self._waits.put(None)
        self._thread.join(SEND_S)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
