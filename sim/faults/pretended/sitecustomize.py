"""What a process on PYTHONPATH of this folder takes for its machine: its wall clock, and gamepads.

The seconds in the file VLA_EDGE_CLOCK are added to the wall clock. A named pipe answers as a gamepad's device
does when the kernel is asked for its axes; its stick stands where VLA_EDGE_STICK says, from -1 (left) to 1.
"""

import fcntl
import os
import stat
import struct
import time

_clock = os.environ.get("VLA_EDGE_CLOCK", "")
_wall_ns, _ioctl = time.time_ns, fcntl.ioctl


def _stepped_ns():
    with open(_clock) as file:  # noqa: PTH123 - at every start of Python, so it takes what is there already
        return _wall_ns() + int(file.read()) * 10**9


def _pretended(fd, request, *arguments):
    number = fd if isinstance(fd, int) else fd.fileno()
    if not stat.S_ISFIFO(os.fstat(number).st_mode):
        return _ioctl(fd, request, *arguments)
    if not isinstance(arguments[0], bytes):
        return 0  # no key is pressed
    turn = request & 0xFF == 0x40
    value = round(float(os.environ.get("VLA_EDGE_STICK", "0")) * 32767) if turn else 0
    return struct.pack("6i", value, -32768, 32767, 0, 0, 0)


fcntl.ioctl = _pretended
if _clock:
    time.time_ns = _stepped_ns
    time.time = lambda: _stepped_ns() / 1e9
