"""Pseudo-terminals; apart from the firmware, so that a board that needs no room starts quickly."""

import os
import tty


def open_pty() -> tuple[int, int, str]:
    """Open a raw pseudo-terminal: the board's end, the cable (close both to pull it), and the port's path."""
    board, cable = os.openpty()
    tty.setraw(cable)
    return board, cable, os.ttyname(cable)
