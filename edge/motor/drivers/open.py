"""Actuators by their address, such as `null://` and `mavlink:///dev/ttyACM0?baud=115200`.

The table of schemes is `edge.plugins.MOTORS`.
"""

from edge.interfaces import Motors
from edge.plugins import MOTORS


def open_motors(address: str) -> Motors:
    """Open the driver behind an address.

    Raises UsageError for a malformed address and an unknown scheme, HardwareMissing if the actuator is not
    there.
    """
    return MOTORS.open_address(address)
