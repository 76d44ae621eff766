"""What befalls a base's board: commands of one line, such as `emergency 1`."""

from sim.realtime.firmware import Firmware

SWITCHES = ("manual", "emergency")


class Mishaps:
    """Obeys `reboot`, `manual 1`, `emergency 1` (0 ends both), `battery 0.05` and `mute` for one board."""

    def __init__(self, battery_fraction: float = 1.0) -> None:
        self.battery_fraction = battery_fraction
        self.muted = False  # the board reads no more and sends nothing

    def obey(self, line: str, firmware: Firmware) -> bool:
        """Do what a line says; False if this can't happen to a board."""
        command, _, value = line.partition(" ")
        if command == "reboot":
            firmware.reboot()
        elif command == "battery":
            self.battery_fraction = float(value)
        elif command == "mute":
            self.muted = True
        elif command in SWITCHES:
            setattr(firmware, command, value == "1")
        else:
            return False
        return True
