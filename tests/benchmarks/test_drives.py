"""Measured drives beside the drive itself: who takes turns, what the machine does, what a loop costs."""

import time
from pathlib import Path

import pytest

from benchmarks.drives.blocks import sides_of, turns
from benchmarks.drives.loop import tick_jitter
from benchmarks.drives.stamps import Slowed, peak_memory_mb
from benchmarks.drives.telemetry import Telemetry, commit, describe_machine, energy
from edge.board.tree import Tree
from edge.errors import UsageError
from sim.faults.machine import orin, set_celsius, write

CPU = "/sys/devices/system/cpu/cpu"


def test_sides_take_turns_so_that_drift_favours_none() -> None:
    sides = sides_of(["default", "head", "default"], "vision=1.2")
    assert [side.label for side in sides] == ["default", "head", "default (2)"]
    assert [side.slow for side in sides] == ["", "", "vision=1.2"]
    order = [side.label for side in turns(sides[:2], 3)]
    assert order == ["default", "head", "head", "default", "default", "head"]


def test_a_slowed_stage_takes_its_factor_and_others_nothing() -> None:
    slowed = Slowed.parse("guard=1.5")
    begin_ns = time.thread_time_ns() - 20_000_000
    slowed.spin("guard", begin_ns)
    assert time.thread_time_ns() - begin_ns >= 30_000_000
    before_ns = time.thread_time_ns()
    slowed.spin("write", before_ns - 10**12)
    assert time.thread_time_ns() - before_ns < 10**11


def test_a_sample_holds_heat_clocks_power_and_throttling(tmp_path: Path) -> None:
    root = orin(tmp_path)
    for number, kilohertz in ((0, 1_500_000), (1, 1_700_000)):
        write(root, f"{CPU}{number}/cpufreq/scaling_cur_freq", kilohertz)
        write(root, f"{CPU}{number}/cpufreq/scaling_governor", "schedutil")
    write(root, "/sys/class/devfreq/17000000.gpu/cur_freq", 918_000_000)
    write(root, "/sys/class/hwmon/hwmon3/in1_label", "VDD_IN")
    write(root, "/sys/class/hwmon/hwmon3/in1_input", 5000)
    write(root, "/sys/class/hwmon/hwmon3/curr1_input", 1800)
    telemetry = Telemetry(Tree(root))
    cool = telemetry.sample()
    assert (cool["celsius"], cool["cpu_mhz"], cool["gpu_mhz"], cool["watts"]) == (50.0, 1600.0, 918.0, 9.0)
    assert cool["throttled"] == "" and telemetry.meter.source == "INA3221: VDD_IN"
    set_celsius(root, 0, 99.5)
    write(root, "/sys/class/thermal/cooling_device0/cur_state", 1)
    write(root, "/sys/class/hwmon/hwmon0/oc1_event_cnt", 3)
    hot = telemetry.sample()
    assert hot["celsius"] == 99.5 and hot["throttled"] == "gpu-throttle-alert" and hot["throttle_count"] == 3
    assert describe_machine(Tree(root))["governor"] == "schedutil"


def test_a_machine_that_tells_nothing_is_not_guessed(tmp_path: Path) -> None:
    with Telemetry(Tree(tmp_path), period_s=0.01) as telemetry:
        time.sleep(0.05)
    sample = telemetry.samples[0]
    assert [sample[name] for name in ("celsius", "cpu_mhz", "gpu_mhz", "watts")] == [None] * 4
    assert telemetry.meter.lacks == "no power meter on this machine"
    assert telemetry.during(sample["stamp_ns"], sample["stamp_ns"]) == [sample]
    machine = describe_machine(Tree(tmp_path))
    assert machine["governor"] == "unknown" and machine["cpu"] == "unknown" and machine["versions"]["numpy"]


def test_energy_is_mean_power_over_the_actions_of_the_time() -> None:
    watts = [{"watts": value} for value in (None, 6.0, 10.0)]
    assert energy(watts, actions=40, seconds=10.0) == (8.0, 2.0)
    assert energy([{"watts": None}], actions=40, seconds=10.0) == (None, None)


def test_the_commit_of_a_checkout_is_named() -> None:
    assert len(commit().rstrip("+")) == 12 or commit() == "unknown"


def test_jitter_is_how_far_setpoints_are_from_a_tick() -> None:
    ms = 1_000_000
    assert tick_jitter([0, 20 * ms, 41 * ms, 61 * ms]) == {"p50": 0.0, "p99": pytest.approx(0.98), "max": 1.0}


def test_the_peak_of_memory_is_of_this_process() -> None:
    before_mb = peak_memory_mb()
    held = bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_mb() >= before_mb and peak_memory_mb() > 64


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["default", "--camera", "csi://0", "--robot", "sim"], "don't go together"),
        (["default", "auto"], "is one of the other bundles"),
        (["default", "--slow", "sight=1.2"], "slows no stage"),
        (["default", "--compare", "not/there.json"], "cannot read"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_drives(argv: list[str], said: str) -> None:
    from benchmarks.latency.command import main

    with pytest.raises(UsageError, match=said):
        main(argv)
