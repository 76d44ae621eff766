"""Faults of the simulated camera in whole runs, judged by what the base's firmware was told.

A machine that is too slow for the simulator ends a run by another cause; that is tried again, three times at
most.
"""

from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.perception.plausibility import MOST_LOOK_S
from edge.records import Goal
from edge.runtime.robot import RobotOptions
from sim.realtime.camera_faults import BACK_NS, FAULTS, FaultyCamera
from sim.realtime.robot import open_robot
from tests.sensor import sensed
from tests.sim.realtime.test_process import moving, running

MS = 1_000_000
TRIES = 3
BUSY = ("stale_frame", "stale_chunk", "motor_fault", "machine_slow")
STOP_S = 0.25  # from 0.6 rad/s and more to zero


def faulty_run(tmp_path: Path, bundle: Path, fault: str, after_s: float) -> tuple[dict, str, list[dict]]:
    """Run with a camera that fails: the summary, stderr, and the setpoints that the firmware applied."""
    return judged_run(tmp_path, bundle, f"sim?fault={fault}&fault_s={after_s:g}")


def judged_run(tmp_path: Path, bundle: Path, robot: str, mode: str = "") -> tuple[dict, str, list[dict]]:
    """Run on a robot: the summary, stderr, and the setpoints that the firmware applied."""
    limit = ("--robot", robot, "--max-seconds", "12")
    for attempt in range(TRIES):
        with running(tmp_path / f"runs{attempt}", bundle, *limit, mode=mode) as run:
            _, err = run.child.communicate(timeout=60)
        assert "Traceback" not in err
        summary = run.summary()
        if summary["cause"] not in BUSY:
            break
    return summary, err, run.setpoints()


@pytest.mark.realtime
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "cause", "said", "limit_s"),
    [
        ("freeze", "camera_repeats", "repeats its picture", 0.3),
        pytest.param("still", "camera_still", "does not change", 6.0, marks=pytest.mark.slow),
        pytest.param("black", "camera_black", "is black", 0.5, marks=pytest.mark.slow),
        pytest.param("white", "camera_white", "is white", 0.5, marks=pytest.mark.slow),
        pytest.param("covered", "camera_covered", "is covered", 0.5, marks=pytest.mark.slow),
        pytest.param("ahead_100ms", "camera_clock", "ms ahead of CLOCK", 0.2, marks=pytest.mark.slow),
        pytest.param("ahead_18s", "camera_clock", "18.0 s ahead of CLOCK", 0.2, marks=pytest.mark.slow),
        pytest.param("jumbled", "camera_backwards", "stamps go backwards", 0.9, marks=pytest.mark.slow),
        pytest.param("late", "camera_late", "ms old, its stamp says", 1.5, marks=pytest.mark.slow),
        pytest.param("looped", "camera_foreign", "its picture", 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_camera_that_fails_on_the_way_stops_the_base(
    fault: str, cause: str, said: str, limit_s: float, tmp_path: Path, tiny_bundle: Path
):
    """Field cases 1, 2, 3, 4 and 17."""
    summary, err, setpoints = faulty_run(tmp_path, tiny_bundle, fault, 3.0)
    assert (summary["cause"], summary["exit_code"], summary["outcome"]) == (cause, 4, "fault"), err
    assert err.startswith("error: camera 'front'") and said in err and "\nhint: " in err
    turned_ns = [line["stamp_ns"] for line in setpoints if moving(line)]
    assert turned_ns and not moving(setpoints[-1])
    assert (turned_ns[-1] - turned_ns[0]) / 1e9 < 3.0 + limit_s + STOP_S + 0.3
    assert summary["truth"]["bumps"] == 0


@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "causes"),
    [
        ("ahead_100ms", ("camera_clock",)),
        ("wall_clock", ("camera_clock",)),
        ("black", ("camera_black",)),
        ("slow", ("camera_slow", "stale_frame")),
    ],
)
def test_a_camera_that_fails_from_the_start_never_gets_the_base_armed(
    fault: str, causes: tuple[str, ...], tmp_path: Path, tiny_bundle: Path
):
    """Field cases 2, 15 and 17."""
    summary, err, setpoints = faulty_run(tmp_path, tiny_bundle, fault, 0.0)
    assert summary["cause"] in causes and summary["exit_code"] == 4, err
    assert "camera 'front'" in err and not any(moving(line) or line["armed"] for line in setpoints)


@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_stamps_that_go_back_now_and_then_end_no_run_and_are_counted(tmp_path: Path, tiny_bundle: Path):
    """Field case 3."""
    summary, err, _ = faulty_run(tmp_path, tiny_bundle, "backwards", 1.0)
    assert summary["outcome"] == "timeout", err
    assert "note: camera 'front': " in err and "frames were left out, their stamps go backwards" in err


@pytest.mark.realtime
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("wheels", "said"),
    [("slip", "while the base moves"), pytest.param("dead", "is told to move", marks=pytest.mark.slow)],
)
def test_a_base_that_does_not_move_the_picture_is_stopped(
    wheels: str, said: str, tmp_path: Path, tiny_bundle: Path
):
    """Row 28: wheels that turn alone, and a base that does nothing and measures nothing.

    It stands first, and takes a small way back, which would move the picture of a base that was held.
    """
    summary, err, setpoints = judged_run(tmp_path, tiny_bundle, f"sim?wheels={wheels}")
    assert (summary["cause"], summary["exit_code"]) == ("camera_still", 4), err
    assert err.startswith("error: camera 'front': its picture does not change") and said in err
    turned_ns = [line["stamp_ns"] for line in setpoints if moving(line)]
    stands_ns = [line["stamp_ns"] for line in setpoints if not moving(line)]
    stood_ns = next(stamp_ns for stamp_ns in stands_ns if stamp_ns > turned_ns[0])
    assert (stood_ns - turned_ns[0]) / 1e9 < 2.5
    # The look takes MOST_LOOK_S at most, and 0.2 rad at 0.4 rad/s half a second.
    assert (turned_ns[-1] - turned_ns[0]) / 1e9 < 2.5 + MOST_LOOK_S + 1.0


@pytest.mark.realtime
@pytest.mark.timeout(240)
def test_an_arrival_by_old_pictures_is_none(tmp_path: Path, tiny_bundle: Path):
    """Field case 4: late from the start; it claims to be there after 2 s."""
    robot = "sim?fault=late&lag_ms=1000"
    summary, err, _ = judged_run(tmp_path, tiny_bundle, robot, mode="reach")
    assert summary["outcome"] == "fault" and summary["cause"] in ("camera_late", "camera_still"), err
    assert "camera 'front'" in err


@pytest.mark.parametrize(
    "settings",
    [{"fault": "smoke"}, {"wheels": "square"}, {"lag_ms": "9000"}, {"fault_s": "-1"}, {"upside_down": "1"}],
)
def test_a_fault_that_there_is_not_is_refused(settings: dict[str, str], tmp_path: Path):
    with pytest.raises(UsageError, match="the simulated"):
        open_robot(RobotOptions(Goal("find_object", "cup"), lambda: tmp_path, settings=settings))


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_begins_when_it_is_due(kind: str):
    camera, spoiled = FaultyCamera(kind, 0.5), []
    for seq in range(40):
        image, stamp_ns = sensed(seq), seq * 33 * MS
        made = camera.spoil(image, stamp_ns, lambda image: image)
        same = made is not None and (made[0] == image).all() and made[1] == stamp_ns
        spoiled.append(not same)
        if kind in ("backwards", "jumbled") and made is not None:
            assert made[1] in (stamp_ns, stamp_ns - BACK_NS)
    assert not any(spoiled[:16]) and any(spoiled[16:]) == (kind != "none")
