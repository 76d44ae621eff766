"""Sensors that don't say what they seem to."""

from pathlib import Path

import pytest

from edge.board.heat import Thermometer, read_fan, read_power_w
from edge.board.tree import Tree
from sim.faults.machine import add_zone, write


@pytest.mark.parametrize("celsius", [-256.0, 255.0])
def test_a_temperature_that_can_not_be_is_left_out(tmp_path: Path, celsius: float):
    add_zone(tmp_path, 0, "cpu-thermal", celsius, {"passive": 99})
    add_zone(tmp_path, 1, "gpu-thermal", 50, {"passive": 99})
    assert [zone.name for zone in Thermometer(Tree(tmp_path)).read().zones] == ["gpu-thermal"]


def test_a_trip_point_that_steers_a_fan_or_is_not_set_is_not_a_limit(tmp_path: Path):
    add_zone(tmp_path, 0, "cpu-thermal", 50, {"active": 60, "passive": 0, "hot": -274, "critical": 110})
    (zone,) = Thermometer(Tree(tmp_path)).read().zones
    assert (zone.throttle_c, zone.critical_c) == (100, 110)


def test_sums_of_shunts_are_not_rails(tmp_path: Path):
    for channel, label in ((1, "VDD_IN"), (4, "sum of shunt voltages")):
        write(tmp_path, f"/sys/class/hwmon/hwmon1/in{channel}_label", label)
        write(tmp_path, f"/sys/class/hwmon/hwmon1/in{channel}_input", 5000)
        write(tmp_path, f"/sys/class/hwmon/hwmon1/curr{channel}_input", 2000)
    assert read_power_w(Tree(tmp_path)) == {"VDD_IN": 10.0}


def test_a_fan_without_a_counter_tells_its_drive_alone(tmp_path: Path):
    write(tmp_path, "/sys/class/hwmon/hwmon0/name", "pwmfan")
    write(tmp_path, "/sys/class/hwmon/hwmon0/pwm1", 255)
    assert read_fan(Tree(tmp_path)) == (1.0, None)
