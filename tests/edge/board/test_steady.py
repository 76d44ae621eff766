"""Row 44: figures are of one power mode, which they name."""

from pathlib import Path

import pytest

from edge.board.steady import one_power_mode
from edge.board.tree import Tree
from edge.errors import EdgeError
from sim.faults.machine import orin, write


def test_row_44_figures_name_their_board_and_power_mode(tmp_path: Path):
    write(orin(tmp_path), "/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MAXN >\n< PM_CONFIG DEFAULT=0 >")
    write(tmp_path, "/proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit")
    with one_power_mode(Tree(tmp_path)) as machine:
        write(tmp_path, "/sys/class/thermal/cooling_device0/cur_state", 1)
    assert machine == {
        "board": "NVIDIA Jetson AGX Orin Developer Kit",
        "l4t": "none",
        "power_mode": "MAXN",
        "throttled": "gpu-throttle-alert",
    }


def test_row_44_a_power_mode_that_changes_meanwhile_spoils_the_figures(tmp_path: Path):
    modes = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=15W >\n< PM_CONFIG DEFAULT=0 >"
    write(tmp_path, "/etc/nvpmodel.conf", modes)
    with pytest.raises(EdgeError, match="from MAXN to 15W") as spoilt, one_power_mode(Tree(tmp_path)):
        write(tmp_path, "/var/lib/nvpmodel/status", "pmode:0001")
    assert "one mode" in spoilt.value.hint
