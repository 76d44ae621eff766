"""What a machine draws, by whichever meter it has; one that has none says so."""

from pathlib import Path

import pytest

from edge.board.jtop import JtopReading
from edge.board.power import PowerMeter, total_w
from edge.board.tree import Tree
from sim.faults.machine import write

S = 1_000_000_000
RAPL = "/sys/class/powercap/intel-rapl:"


class OneReading:
    """Stands for the service of jetson-stats."""

    def latest(self) -> JtopReading:
        return JtopReading({}, {"VDD_IN": 9.5, "VDD_CPU_GPU_CV": 4.0}, "25W", None, None)


def ina(root: Path, rails: dict[str, tuple[int, int]]) -> None:
    for number, (name, (millivolts, milliamperes)) in enumerate(rails.items(), 1):
        write(root, f"/sys/class/hwmon/hwmon3/in{number}_label", name)
        write(root, f"/sys/class/hwmon/hwmon3/in{number}_input", millivolts)
        write(root, f"/sys/class/hwmon/hwmon3/curr{number}_input", milliamperes)


def rapl(root: Path, zone: str, name: str, microjoules: int, wraps_at: int = 10_000_000) -> None:
    write(root, f"{RAPL}{zone}/name", name)
    write(root, f"{RAPL}{zone}/energy_uj", microjoules)
    write(root, f"{RAPL}{zone}/max_energy_range_uj", wraps_at)


def test_a_machine_without_a_meter_says_so(tmp_path: Path) -> None:
    meter = PowerMeter(Tree(tmp_path))
    assert meter.source == "" and meter.lacks == "no power meter on this machine" and meter.watts(0) is None


def test_the_rail_that_feeds_the_module_is_its_power(tmp_path: Path) -> None:
    ina(tmp_path, {"VDD_IN": (5000, 1800), "VDD_CPU_GPU_CV": (5000, 700), "VDD_SOC": (5000, 300)})
    meter = PowerMeter(Tree(tmp_path))
    assert meter.source == "INA3221: VDD_IN" and meter.watts(0) == pytest.approx(9.0)


def test_without_such_a_rail_all_rails_are_summed(tmp_path: Path) -> None:
    ina(tmp_path, {"VDD_GPU_SOC": (12000, 500), "VDD_CPU_CV": (12000, 250), "NC": (12000, 99)})
    meter = PowerMeter(Tree(tmp_path))
    assert meter.source == "INA3221: the sum of VDD_GPU_SOC, VDD_CPU_CV"
    assert meter.watts(0) == pytest.approx(9.0)
    assert total_w({"a": 1.0, "POM_5V_IN": 3.0}) == 3.0


def test_the_service_of_jetson_stats_comes_first(tmp_path: Path) -> None:
    ina(tmp_path, {"VDD_IN": (5000, 1800)})
    meter = PowerMeter(Tree(tmp_path), OneReading())  # pyright: ignore[reportArgumentType]
    assert meter.source == "jetson-stats: VDD_IN" and meter.watts(0) == 9.5


def test_counters_give_the_mean_power_since_the_last_look_and_may_wrap_round(tmp_path: Path) -> None:
    rapl(tmp_path, "0", "package-0", 9_000_000)
    rapl(tmp_path, "0:2", "dram", 1_000_000)
    rapl(tmp_path, "0:0", "core", 500_000)
    meter = PowerMeter(Tree(tmp_path))
    assert meter.source == "RAPL: package-0, dram" and meter.watts(0) is None
    rapl(tmp_path, "0", "package-0", 3_000_000)  # 4 J on, over the end of the counter
    rapl(tmp_path, "0:2", "dram", 2_000_000)
    assert meter.watts(2 * S) == pytest.approx((4.0 + 1.0) / 2)


def test_the_whole_platform_is_preferred_to_its_parts(tmp_path: Path) -> None:
    rapl(tmp_path, "0", "package-0", 0)
    rapl(tmp_path, "1", "psys", 0)
    assert PowerMeter(Tree(tmp_path)).source == "RAPL: psys"


def test_a_counter_that_is_roots_alone_is_named(tmp_path: Path) -> None:
    write(tmp_path, f"{RAPL}0/name", "package-0")
    meter = PowerMeter(Tree(tmp_path))
    assert meter.source == "" and "energy_uj is root's" in meter.lacks


def test_a_power_sensor_of_hwmon_is_taken_where_there_is_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "/sys/class/hwmon/hwmon1/name", "power_meter")
    write(tmp_path, "/sys/class/hwmon/hwmon1/power1_average", 41_000_000)
    write(tmp_path, "/sys/class/hwmon/hwmon1/power1_input", 90_000_000)
    meter = PowerMeter(Tree(tmp_path))
    assert meter.source == "hwmon: power_meter" and meter.watts(0) == 41.0
