"""A gamepad as a named pipe, with what the kernel would send; PRETENDED makes a run take it for a device."""

import os
from pathlib import Path

from edge.interfaces import Closing
from edge.motor.operator.gamepad import BUTTONS, EV_ABS, EV_KEY, EVENT

# Processes started with this environment take pipes for gamepads, and VLA_EDGE_CLOCK for their wall clock.
PRETENDED = {
    "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent / "pretended"), str(Path(__file__).parents[2])))
}


class Pad(Closing):
    """A gamepad at `path`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pad"
        os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)  # so that a reader never meets an end

    def turn(self, share: float) -> None:
        """Move the stick: left is negative."""
        os.write(self._fd, EVENT.pack(1, 2, EV_ABS, 0, round(share * 32767)))

    def press(self, button: str) -> None:
        """Press a button of `BUTTONS`."""
        os.write(self._fd, EVENT.pack(1, 2, EV_KEY, BUTTONS[button], 1))

    def close(self) -> None:
        """Unplug it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
