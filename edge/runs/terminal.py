"""The live line of a drive on a terminal."""

import math
import shutil
import sys
import unicodedata

from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, DriveEnd, Goal, MotorStatus, Observation
from edge.runs.summary import printable, slow_words

LIVE_PERIOD_NS = 100_000_000
PLAIN_PERIOD_NS = 10_000_000_000  # without a terminal


class LiveLine:
    """An observer that writes one line over and over; without a terminal a new one every 10 s."""

    def __init__(self, goal: Goal, enabled: bool) -> None:
        self._on_terminal = enabled and sys.stderr.isatty()
        self._on_paper = enabled and not self._on_terminal
        self._target = goal.target
        self._by_words = goal.kind == "instruct"  # what the model says is more to see than its instruction
        self._start_ns = self._due_ns = 0
        self._inference: Inference | None = None
        self._status: MotorStatus | None = None
        self._frame_to_motor_ms = math.nan  # newest
        self._warning = ""  # newest of the base

    @property
    def shown(self) -> bool:
        """True if it is written anywhere."""
        return self._on_terminal or self._on_paper

    def write(self, text: str) -> None:
        """Write it at once, cut where the terminal ends: a line that wraps could not be written over."""
        if self._on_terminal:
            sys.stderr.write(f"\r{fitted(text, shutil.get_terminal_size().columns - 1)}")
            sys.stderr.flush()

    def waiting(self, text: str, seconds: float) -> None:
        """Show what is waited for before the start, and for how long; without a terminal every 10 s."""
        if self._on_terminal:
            self.write(f"{text}, {seconds:.0f} s")
        elif self._on_paper and round(seconds) % (PLAIN_PERIOD_NS // 10**9) == 0:
            print(f"{text}, {seconds:.0f} s", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave an empty line, for what is printed next."""
        if self._on_terminal:
            self.write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def on_start(self, stamp_ns: int) -> None:
        """Count seconds from here."""
        self._start_ns = stamp_ns
        self._due_ns = stamp_ns + (PLAIN_PERIOD_NS if self._on_paper else 0)

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Write the line anew, at most 10 times a second."""
        stamp_ns = observation.frame.stamp_ns
        if stamp_ns < self._due_ns or not (self._on_terminal or self._on_paper):
            return
        self._due_ns = stamp_ns + (PLAIN_PERIOD_NS if self._on_paper else LIVE_PERIOD_NS)
        line = self._line(policy, max(0, stamp_ns - self._start_ns) / 1e9)
        if self._on_paper:
            print(line, file=sys.stderr, flush=True)
        else:
            self.write(line)

    def on_inference(self, inference: Inference) -> None:
        """Keep it for the line."""
        self._inference = inference

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Show nothing."""

    def on_status(self, status: MotorStatus) -> None:
        """Keep it for the line; print what the base warns of once, above the line."""
        self._status = status
        if status.warning != self._warning:
            self._warning = status.warning
            if status.warning and (self._on_terminal or self._on_paper):
                self.clear()
                print(f"note: {printable(status.warning)}", file=sys.stderr, flush=True)
        if status.frame_to_motor_ns >= 0:
            self._frame_to_motor_ms = status.frame_to_motor_ns / 1e6

    def on_end(self, end: DriveEnd) -> None:
        """Take the line away."""
        self.clear()

    def _line(self, policy: PolicyStatus, seconds: float) -> str:
        inference = self._inference
        # Without a box or words, it is the confidence that nothing is there.
        tells = inference is not None and (self._by_words or policy.detection is not None)
        confidence = f" {inference.confidence:.2f}" if inference is not None and tells else ""
        about = printable(f'"{policy.answer}"') if self._by_words else self._target
        words = [f"{seconds:5.1f} s", f"{policy.state:<8} {about}{confidence}"]
        if policy.slowed_to_m_s is not None:
            words.append(slow_words(policy.slowed_to_m_s))
        if self._status is not None:
            sent = self._status.sent
            speed_m_s = math.hypot(sent.linear_x_m_s, sent.linear_y_m_s)
            words.append(f"{speed_m_s:.2f} m/s {sent.angular_z_rad_s:+.2f} rad/s")
            if contacts := self._status.contacts:
                words.append(f"{contacts} contact{'s' * (contacts > 1)}")
        if inference is not None:
            words.append(f"model {sum(inference.stages_ms.values()):.0f} ms")
        if self._frame_to_motor_ms >= 0:
            words.append(f"motor {self._frame_to_motor_ms:.0f} ms")
        return "  ".join(words)


def fitted(text: str, columns: int) -> str:
    """Return the text cut or filled with blanks to so many columns of a terminal; Hangul takes two each.

    Blanks overwrite an older line on every terminal, and not every one knows how to clear its line.
    """
    left = columns
    for index, character in enumerate(text):
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > left:
            return text[:index] + " " * left
        left -= width
    return text + " " * left
