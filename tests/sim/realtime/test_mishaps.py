"""What can befall a base's board by a line of words."""

import contextlib
import json
import os
from pathlib import Path

from edge.clock import VirtualClock
from edge.records import ZERO
from sim.realtime.firmware import Firmware
from sim.realtime.mishaps import Mishaps
from sim.realtime.terminal import open_pty


def test_a_board_can_be_stopped_rebooted_drained_and_silenced(tmp_path: Path):
    log = tmp_path / "firmware.jsonl"
    board, cable, _ = open_pty()
    mishaps = Mishaps()
    firmware = Firmware(board, lambda *_: None, None, log, VirtualClock())
    with contextlib.closing(firmware):
        firmware.armed = True
        assert mishaps.obey("emergency 1", firmware) and firmware.emergency
        assert mishaps.obey("emergency 0", firmware) and not firmware.emergency
        assert mishaps.obey("manual 1", firmware) and firmware.manual
        assert mishaps.obey("battery 0.05", firmware) and mishaps.battery_fraction == 0.05
        assert mishaps.obey("mute", firmware) and mishaps.muted
        assert mishaps.obey("reboot", firmware) and not firmware.armed
        assert not mishaps.obey("fly", firmware)
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["armed"], last["angular_z"]) == (False, ZERO.angular_z_rad_s)
    os.close(board)
    os.close(cable)
