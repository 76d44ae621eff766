"""Which robot a run gets, and what it refuses before anything starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.records import CameraMount, Goal
from edge.robots.choose import RobotChoice, choose_addresses, choose_robot
from edge.robots.sections import parse_mount
from edge.runtime.robot import PlainRobot, RobotOptions

MOUNT = "fov=50,height=0.3,pitch=-5,forward=0.1"
FILE = """
cameras:
  front: {{address: csi://0{mount}}}
  hand: {{address: csi://1}}
motors: {motors}
base: {{drive: differential, radius_m: 0.2, linear_m_s: 0.3, angular_rad_s: 1}}
{more}
"""
SEES = ", mount: {vertical_fov_deg: 50, height_m: 0.3, forward_m: 0}"


def write(tmp_path: Path, mount: str = SEES, motors: str = "ros2:///cmd_vel", more: str = "") -> str:
    path = tmp_path / "r.yaml"
    path.write_text(FILE.format(mount=mount, motors=motors, more=more))
    return str(path)


def setup_of(choice: RobotChoice, sees_with: str = "front"):
    options = RobotOptions(Goal("describe_scene"), lambda: Path("/nowhere"))
    return choice.setup(choice.open(options), sees_with)


@pytest.mark.parametrize("motors", ["mavlink:///dev/ttyACM0", "ros2:///cmd_vel", "waveshare:///dev/x"])
def test_motors_that_move_something_are_refused_without_a_mount(motors: str):
    with pytest.raises(UsageError, match="where the camera sits is not known") as caught:
        choose_addresses({"front": "csi://0"}, motors, None, None)
    assert "--mount" in caught.value.hint and "robot new" in caught.value.hint
    choice = choose_addresses({"front": "csi://0"}, motors, parse_mount(MOUNT), None)
    setup = setup_of(choice)
    assert setup.mount == parse_mount(MOUNT) and setup.mount_from == "--mount"
    assert any("stops by itself" in each for each in setup.cautions)


def test_a_recording_may_guess_its_mount_and_says_so():
    setup = setup_of(choose_addresses({"front": "file://x"}, "null://", None, None))
    assert setup.mount_from == "a guess" and setup.cautions == ()
    assert setup.to_json()["mount"]["from"] == "a guess" and "(a guess)" in setup.lines()[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not have fov"),
        ("fov=50", "does not have fov"),
        (MOUNT + ",fov=50", "each once"),
        ("fov=5,height=0.3,pitch=0,forward=0", "fov: 5.0 is not a number from 10 to 170"),
        ("fov=50,height=x,pitch=0,forward=0", "height: 'x' is not a number"),
        ("fov=50,height=nan,pitch=0,forward=0", "height: nan is not a number"),
        ("fov=50,height=1_0,pitch=0,forward=0", "height: nan is not a number"),
    ],
)
def test_a_mount_that_is_not_one_is_refused(text: str, said: str):
    with pytest.raises(UsageError) as caught:
        parse_mount(text)
    assert said in caught.value.message and "--mount" in caught.value.hint


def test_a_file_brings_all_its_cameras_its_mount_and_its_base(tmp_path: Path):
    name = write(tmp_path, more="stop_time_s: 0.5")
    choice = choose_robot(name, False, None)
    robot = choice.open(RobotOptions(Goal("describe_scene"), lambda: tmp_path))
    assert robot.camera_uris == {"front": "csi://0", "hand": "csi://1"}
    setup = choice.setup(robot, "front")
    assert (setup.mount_from, setup.base_from, setup.cautions) == (name, name, ())
    assert setup.base.linear_m_s == 0.3 and not robot.recorded


def test_a_file_without_a_mount_drives_no_real_motors(tmp_path: Path):
    with pytest.raises(UsageError, match=r"cameras.front.mount is missing"):
        choose_robot(write(tmp_path, mount=""), False, None)
    assert setup_of(choose_robot(write(tmp_path, "", "null://"), False, None)).mount_from == "a guess"


def test_the_mount_is_that_of_the_camera_that_the_model_sees_with(tmp_path: Path):
    name = write(tmp_path)
    path = tmp_path / "r.yaml"
    with pytest.raises(UsageError, match=r"r.yaml: cameras.hand.mount is missing"):
        setup_of(choose_robot(name, False, None), "hand")
    hand = "{vertical_fov_deg: 70, height_m: 0.9, pitch_deg: 40, forward_m: 0.2}"
    path.write_text(path.read_text().replace("csi://1}", f"csi://1, mount: {hand}}}"))
    choice = choose_robot(name, False, None)
    assert setup_of(choice, "hand").mount.height_m == 0.9 and setup_of(choice).mount.height_m == 0.3
    path.write_text(path.read_text().replace(SEES, ""))
    choice = choose_robot(name, False, None)
    assert setup_of(choice, "hand").mount.height_m == 0.9
    with pytest.raises(UsageError, match=r"r.yaml: cameras.front.mount is missing"):
        setup_of(choice)


def test_a_stop_time_that_nobody_measured_is_said_at_every_start(tmp_path: Path):
    (caution,) = choose_robot(write(tmp_path), False, None).cautions
    assert "never measured" in caution and "--stop-test" in caution


@pytest.mark.parametrize(("time", "said"), [("0.51", "only after 0.51 s"), ("never", "never stops")])
def test_a_base_that_stops_late_drives_only_on_consent(time: str, said: str, tmp_path: Path):
    name = write(tmp_path, more=f"stop_time_s: {time}")
    with pytest.raises(UsageError, match=said) as caught:
        choose_robot(name, False, None)
    assert "--accept-stop-time" in caught.value.hint
    (caution,) = choose_robot(name, True, None).cautions
    assert said in caution and "hand at its switch" in caution


def test_max_speed_lowers_and_never_raises(tmp_path: Path):
    setup = setup_of(choose_robot(write(tmp_path), False, 0.2))
    assert setup.base.linear_m_s == 0.2 and "lowered by --max-speed" in setup.base_from
    with pytest.raises(UsageError, match=r"--max-speed 0.31 is above the 0.3 m/s"):
        choose_robot(write(tmp_path), False, 0.31)
    with pytest.raises(UsageError, match=r"above the 0.5 m/s"):
        choose_addresses({"front": "csi://0"}, "ros2:///x", parse_mount(MOUNT), 0.6)


@pytest.mark.parametrize(
    ("pulses", "said"),
    [
        ("fixed_speed_m_s: 0.2, fixed_turn_rad_s: 0.8", "below the one speed that the base has, 0.2 m/s"),
        ("dead_band_m_s: 0.2", "below the lowest speed of the base, 0.2 m/s"),
        ("min_speed_m_s: 0.2", "below the lowest speed of the base, 0.2 m/s"),
    ],
)
def test_a_base_that_can_not_go_slowly_is_not_slowed_by_max_speed(pulses: str, said: str, tmp_path: Path):
    name = write(tmp_path)
    path = tmp_path / "r.yaml"
    path.write_text(path.read_text().replace("angular_rad_s: 1}", f"angular_rad_s: 1, {pulses}}}"))
    with pytest.raises(UsageError, match=f"--max-speed 0.1 is {said}") as caught:
        choose_robot(name, False, 0.1)
    assert "leave --max-speed out" in caught.value.hint


def test_unknown_names_list_packages_and_files():
    with pytest.raises(UsageError, match="unknown robot 'ardurove'") as caught:
        choose_robot("ardurove", False, None)
    assert "sim" in caught.value.hint and "ardurover" in caught.value.hint


def test_a_name_in_robots_is_a_file():
    with pytest.raises(UsageError, match=r"ardurover.yaml: cameras.front.mount is missing"):
        choose_robot("ardurover", False, None)


def test_a_measured_lens_says_what_the_camera_of_a_package_shows(tmp_path: Path):
    lens = "{model: brown, size_px: [64, 48], focal_px: [60, 60], centre_px: [32, 24], "
    lens += "distortion: [0, 0, 0, 0, 0]}"
    path = tmp_path / "bent.yaml"
    path.write_text(f"opens: sim\nlenses:\n  front: {lens}\n")
    choice = choose_robot(str(path), False, None)
    mount = CameraMount(1.0, 0.35, 0.2, 0.1)
    robot = PlainRobot({"front": "file://x"}, "null://", {"front": mount})
    setup = choice.setup(robot, "front")
    assert setup.mount == replace(mount, vertical_fov_rad=choice.lenses["front"].vertical_fov_rad)
    assert setup.mount_from.endswith("its lens measured")
    with pytest.raises(UsageError, match="no camera 'front' for its lens"):
        choice.setup(PlainRobot({"rear": "file://x"}, "null://"), "rear")
