"""The driver: `paper:///FILE` writes each setpoint into a file, and counts its way by what it wrote.

With `?odometry=none` it does not: then vla-edge drives it only by what needs no odometry.
"""

import contextlib
import math
import os
import time
from dataclasses import astuple

from edge.address import Address
from edge.errors import HardwareMissing
from edge.interfaces import Closing, Feedback
from edge.records import ZERO, Odometry, Velocity


class PaperMotors(Closing):
    """The driver. It lives in the motor process, which limits every velocity before it comes here."""

    max_rate_hz = 200.0

    def __init__(self, path: str, measures: bool) -> None:
        """Open the file. Raises HardwareMissing if there is none: touch it to switch the base on."""
        self._what = f"motors paper://{path}"
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise HardwareMissing(f"{self._what}: {error.strerror}", f"touch {path}") from error
        self._armed = False
        now_ns = time.monotonic_ns()
        self._odometry = Odometry(now_ns, 0.0, 0.0, 0.0, ZERO) if measures else None

    def arm(self) -> None:
        """Arm at once."""
        self._armed = True

    def write(self, command: Velocity) -> Velocity:
        """Write a line, zero while disarmed; returns what was written. Raises HardwareMissing."""
        sent = command if self._armed else ZERO
        self._check()
        os.write(self._file, ("{:.3f} {:.3f} {:.3f}\n".format(*astuple(sent))).encode())
        self._count(sent)
        return sent

    def stop(self) -> None:
        """Write zero and disarm. Never raises: without its file there is nothing left to stop."""
        self._armed = False
        with contextlib.suppress(HardwareMissing, OSError):
            self.write(ZERO)

    def read(self) -> Feedback:
        """Return the newest feedback. Raises HardwareMissing if the file is gone."""
        self._check()
        return Feedback(self._armed, self._odometry, about="a robot on paper")

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _check(self) -> None:
        if os.fstat(self._file).st_nlink == 0:
            raise HardwareMissing(
                f"{self._what}: the file was removed", "the base is off: start the run again"
            )

    def _count(self, sent: Velocity) -> None:
        """Count the way since the line before."""
        before = self._odometry
        if before is None:
            return
        now_ns = time.monotonic_ns()
        seconds, yaw_rad = (now_ns - before.stamp_ns) / 1e9, before.yaw_rad
        cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
        self._odometry = Odometry(
            now_ns,
            before.x_m + seconds * (cosine * sent.linear_x_m_s - sine * sent.linear_y_m_s),
            before.y_m + seconds * (sine * sent.linear_x_m_s + cosine * sent.linear_y_m_s),
            math.remainder(yaw_rad + seconds * sent.angular_z_rad_s, 2 * math.pi),
            sent,
        )


def open_address(address: str) -> PaperMotors:
    """Open `paper:///FILE`. Raises UsageError for another address, HardwareMissing without the file."""
    parts = Address(address, "motors", "such as paper:///tmp/base.txt")
    measures = parts.choice("odometry", "counted", ("counted", "none")) == "counted"
    parts.finish()
    if not parts.place.startswith("/"):
        raise parts.error("its place is not the path of a file, from / on")
    return PaperMotors(parts.place, measures)
