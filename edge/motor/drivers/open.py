"""Actuators by their address, such as `null://` and `mavlink:///dev/ttyACM0?baud=115200`.

The table of schemes is `edge.plugins.MOTORS`.
"""

from edge.interfaces import Motors
from edge.motor.drivers.packaged import PackagedMotors
from edge.plugins import MOTORS, is_ours


def open_motors(address: str) -> Motors:
    """Open the driver behind an address.

    Raises UsageError for a malformed address and an unknown scheme, HardwareMissing if the actuator is not
    there, PluginError if a package's driver fails: then and from now on.
    """
    motors: Motors = MOTORS.open_address(address)
    return motors if is_ours(type(motors).__module__) else PackagedMotors(motors, address)
