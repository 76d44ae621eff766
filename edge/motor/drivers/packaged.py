"""The driver of an installed package, held to the contract of `edge.interfaces.Motors`."""

import math
from numbers import Real
from typing import Any, cast

from typing_extensions import TypeIs

from edge.address import without_password
from edge.errors import PluginError
from edge.interfaces import Closing, Feedback, KnowsSideways, Motors
from edge.plugins import MAX_ADDRESS_CHARS, Blaming, plugin_error
from edge.records import Odometry, Velocity


class PackagedMotors(Closing):
    """Hands everything on to the driver. What its code raises, or returns wrongly, is a PluginError."""

    def __init__(self, motors: Motors, address: str) -> None:
        """Take an opened driver, and the address for messages. Raises PluginError for a bad `max_rate_hz`."""
        self._motors: Any = motors  # whatever its code says about types
        self._what = f"motors {without_password(address)[:MAX_ADDRESS_CHARS]!r}"
        with Blaming(motors, self._what):
            self.max_rate_hz = motors.max_rate_hz
        if not _is_number(self.max_rate_hz) or not self.max_rate_hz > 0:
            raise self._breach(f"its max_rate_hz is {self.max_rate_hz!r}, not a number above 0")
        if isinstance(motors, KnowsSideways):
            self.sideways = motors.sideways

    def arm(self) -> None:
        """Ask the actuator to arm."""
        with Blaming(self._motors, self._what):
            self._motors.arm()

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint and return what was sent."""
        with Blaming(self._motors, self._what):
            sent = self._motors.write(command)
        if not _is_velocity(sent):
            raise self._breach(f"its write returned {sent!r:.80}, not the Velocity that was sent")
        return sent

    def stop(self) -> None:
        """Send zero and disarm. Raises PluginError if the driver raises, which its contract forbids."""
        with Blaming(self._motors, self._what):
            self._motors.stop()

    def read(self) -> Feedback:
        """Return the newest feedback."""
        with Blaming(self._motors, self._what):
            feedback = self._motors.read()
        if not isinstance(feedback, Feedback):
            raise self._breach(f"its read returned {feedback!r:.80}, not an edge.interfaces.Feedback")
        if why := _feedback_breach(feedback):
            raise self._breach(f"the Feedback of its read has {why}")
        return feedback

    def close(self) -> None:
        """Close the driver."""
        with Blaming(self._motors, self._what):
            self._motors.close()

    def _breach(self, why: str) -> PluginError:
        return plugin_error(self._motors, self._what, why)


def _feedback_breach(feedback: Any) -> str:
    """Return what of a feedback is not of its type or range; empty if all is right."""
    battery, odometry = feedback.battery_fraction, feedback.odometry
    if not isinstance(feedback.armed, bool):
        return f"armed = {feedback.armed!r:.40}, not True or False"
    if battery is not None and not (_is_number(battery) and 0 <= battery <= 1):
        return f"battery_fraction = {battery!r:.40}, not a number from 0 to 1 or None"
    if odometry is not None and not _is_odometry(odometry):
        return f"odometry = {odometry!r:.80}, not an edge.records.Odometry of numbers or None"
    texts = {"fault": feedback.fault, "about": feedback.about, "warning": feedback.warning}
    wrong = [
        f"{name} = {text!r:.40}, not a text" for name, text in texts.items() if not isinstance(text, str)
    ]
    return next(iter(wrong), "")


def _is_velocity(thing: object) -> TypeIs[Velocity]:
    return isinstance(thing, Velocity) and all(
        _is_number(each) and math.isfinite(each) for each in _parts(thing)
    )


def _is_odometry(thing: Any) -> bool:
    """Return True for odometry of numbers; one that is not finite is the watch's to judge."""
    if not isinstance(thing, Odometry):
        return False
    stamp_ns, velocity = cast("object", thing.stamp_ns), cast("object", thing.velocity)
    numbers = thing.x_m, thing.y_m, thing.yaw_rad
    return (
        isinstance(stamp_ns, int)
        and isinstance(velocity, Velocity)
        and all(map(_is_number, (*numbers, *_parts(velocity))))
    )


def _parts(velocity: Velocity) -> tuple[object, ...]:
    return velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s


def _is_number(thing: Any) -> TypeIs[float]:
    return isinstance(thing, Real) and thing is not True and thing is not False
