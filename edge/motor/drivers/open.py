"""Actuators by address: `null://`, `mavlink:///dev/ttyACM0?baud=115200`, and those of installed packages.

A package adds one by an entry point in the group `vla_edge.motors`: its name is the scheme of the address,
its value a callable that takes the address and returns Motors.
"""

from importlib.metadata import entry_points

from edge.errors import UsageError
from edge.interfaces import Motors
from edge.motor.drivers.null import NullMotors

GROUP = "vla_edge.motors"


def open_motors(uri: str) -> Motors:
    """The opened driver behind an address.

    Raises UsageError for an address that nothing knows, HardwareMissing when the actuator is not there.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme == "null" and separator:
        if rest:
            raise UsageError(f"motors address {uri!r}: null:// takes nothing after it")
        return NullMotors()
    if scheme == "mavlink" and separator:
        # Here, so that pyserial and pymavlink are needed only by those who use them.
        from edge.motor.drivers.mavlink import MavlinkMotors

        return MavlinkMotors(uri)
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme in installed and separator:
        return installed[scheme].load()(uri)
    known = ", ".join(f"{name}://" for name in sorted({"null", "mavlink", *installed}))
    raise UsageError(f"motors address {uri!r} is not known", f"known: {known}")
