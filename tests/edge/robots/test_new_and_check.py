"""`vla-edge robot new` and `vla-edge robot check`, on pretended machines and a real base process."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import cli
from edge.base_spec import DriveKind
from edge.perception.geometry import View
from edge.records import CameraMount
from edge.robots.check import draw_floor, row_of
from edge.robots.robot_file import read_robot_file
from edge.robots.template import quoted
from edge.robots.yaml_tree import read_tree

MOUNT = "fov=50,height=0.3,pitch=10,forward=0.1"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with a CSI sensor, a USB camera and two serial ports."""
    root = tmp_path / "root"
    for name, text in {
        "sys/class/video4linux/video0/name": "vi-output, imx219 9-0010\n",
        "sys/class/video4linux/video1/name": "HD Webcam: HD Webcam\n",
        "dev/v4l/by-id/usb-Acme_HD_Webcam-video-index0": "",
        "dev/v4l/by-id/usb-Acme_HD_Webcam-video-index1": "",
        "dev/serial/by-id/usb-ArduPilot_Pixhawk1_3F00-if00": "",
        "dev/serial/by-id/usb-1a86_USB_Serial-if00-port0": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def new(*arguments: str) -> int:
    return cli.main(["robot", "new", *arguments])


def test_answers_become_a_file_that_is_right(machine: Path, tmp_path: Path, monkeypatch, capsys):
    answers = [
        "거실 로봇",
        "2",
        "1",
        "waveshare",
        "x",
        "50",
        "9",
        "0.25",
        "12",
        "0.05",
        "tracked",
        "",
        "0.2",
        "0.9",
        "0.4",
        "",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))
    path = tmp_path / "my.yaml"
    assert new(str(path), "--root", str(machine)) == 0
    out = capsys.readouterr().out
    assert "imx219" in out and "csi://0" in out and "index1" not in out
    for said in (
        "'x' is not a number",
        "9.0 is not a number from 0.02 to 3",
        "'tracked' is none of",
        "above its safety ceiling 0.5",
    ):
        assert said in out
    file = read_robot_file(path)
    assert file.sections.name == "거실 로봇"
    assert file.camera_uris == {"front": "v4l2:///dev/v4l/by-id/usb-Acme_HD_Webcam-video-index0"}
    assert file.sections.motors == "waveshare:///dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
    assert file.mount is not None and file.mount.height_m == 0.25
    assert (file.base.drive, file.base.radius_m, file.base.linear_m_s) == (DriveKind.DIFFERENTIAL, 0.2, 0.4)


def test_answers_that_end_early_write_nothing(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("name\ncsi://0\n"))
    assert new(str(tmp_path / "my.yaml"), "--root", str(tmp_path)) == 2
    assert not (tmp_path / "my.yaml").exists() and "ended early" in capsys.readouterr().err


def test_yes_takes_what_is_plugged_in_and_guesses_no_mount(machine: Path, tmp_path: Path, capsys):
    path = tmp_path / "my.yaml"
    assert new(str(path), "--yes", "--root", str(machine)) == 5
    assert "2 cameras are plugged in, and one is wanted: imx219 9-0010, usb-Acme" in capsys.readouterr().err
    assert new(str(path), "--yes", "--root", str(machine), "--camera", "csi://0") == 5
    assert "2 serial ports are plugged in" in capsys.readouterr().err
    (machine / "dev/serial/by-id/usb-ArduPilot_Pixhawk1_3F00-if00").unlink()
    assert new(str(path), "--yes", "--root", str(machine), "--camera", "csi://0") == 5
    assert "can't be told by its name" in capsys.readouterr().err and not path.exists()
    motors = "waveshare:///dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
    assert new(str(path), "--yes", "--root", str(machine), "--camera", "csi://0", "--motors", motors) == 0
    assert "measure the mount" in capsys.readouterr().out
    assert read_robot_file(path).mount is None
    assert new(str(path), "--yes", "--root", str(machine)) == 2
    assert "is there already" in capsys.readouterr().err
    assert (
        new(str(tmp_path / "b.yaml"), "--yes", "--camera", "csi://0", "--motors", motors, "--mount", MOUNT)
        == 0
    )
    assert read_robot_file(tmp_path / "b.yaml").mount is not None
    assert "Nobody has measured the base" in (tmp_path / "b.yaml").read_text()


def test_a_new_file_holds_the_password_and_no_output_shows_it(tmp_path: Path, capsys):
    path, camera = tmp_path / "my.yaml", "rtsp://robot:secret@127.0.0.1:1/x?timeout=1"
    assert new(str(path), "--yes", "--camera", camera, "--motors", "null://", "--mount", MOUNT) == 0
    assert read_robot_file(path).camera_uris == {"front": camera}
    assert "secret" not in capsys.readouterr().out
    assert cli.main(["robot", "check", str(path), "--out", str(tmp_path / "out")]) == 5
    assert "rtsp://…@127.0.0.1" in (out := capsys.readouterr().out) and "secret" not in out


@pytest.mark.parametrize(
    "text", ["a", 'say "hi"', "back\\slash", "컵", "a: b # c", "\x1b[2J", "line\nbreak", "😀"]
)
def test_quoted_texts_mean_themselves(text: str):
    assert read_tree(f"name: {quoted(text)}\n", "f").values == {"name": text}


def robot(tmp_path: Path, grey: int = 120, motors: str = "null://", mount: str = "") -> Path:
    picture = tmp_path / "pictures"
    picture.mkdir(exist_ok=True)
    image = np.full((240, 320, 3), grey, np.uint8)
    cv2.imwrite(str(picture / "0.png"), image)
    sees = f", mount: {{{mount}}}" if mount else ""
    path = tmp_path / "r.yaml"
    path.write_text(
        f"cameras: {{front: {{address: 'file://{picture}'{sees}}}}}\nmotors: {motors}\n"
        "base: {drive: holonomic, radius_m: 0.2, linear_m_s: 0.3, angular_rad_s: 1}\n"
    )
    return path


def check(path: Path, capsys) -> tuple[int, dict[str, dict[str, str]]]:
    code = cli.main(["robot", "check", str(path), "--out", str(path.parent / "out"), "--json"])
    document = json.loads(capsys.readouterr().out)
    return code, {each["what"]: each for each in document["findings"]}


LEVEL = "vertical_fov_deg: 50, height_m: 0.3, pitch_deg: 10, forward_m: 0.1"


def test_a_check_saves_a_picture_and_says_what_it_saw(tmp_path: Path, capsys):
    code, found = check(robot(tmp_path, mount=LEVEL), capsys)
    assert code == 0, found
    assert "320 x 240" in found["camera front"]["found"] and not found["camera front"]["wrong"]
    assert "the floor from" in found["mount front"]["found"]
    assert "no battery reported; no odometry" in found["motors"]["found"]
    drawn = cv2.imread(str(tmp_path / "out" / "front.png"))
    assert drawn is not None and drawn.shape == (240, 320, 3) and (drawn != 120).any()


@pytest.mark.parametrize(
    ("options", "what", "said", "code"),
    [
        ({"mount": LEVEL.replace("10", "-40")}, "mount front", "sees no floor", 2),
        ({"mount": LEVEL.replace("10", "-20")}, "mount front", "only from 3.5 m ahead", 2),
        ({}, "mount front", "does not drive without it", 2),
        ({"mount": LEVEL, "grey": 3}, "camera front", "nearly black: mean grey level 3", 0),
        ({"mount": LEVEL, "motors": "mavlink:///dev/nowhere"}, "motors", "no port /dev/nowhere", 5),
        ({"mount": LEVEL, "motors": "wheels://x"}, "motors", "nothing here opens wheels://", 2),
    ],
)
def test_a_check_names_what_is_wrong(
    options: dict[str, str], what: str, said: str, code: int, tmp_path: Path, capsys
):
    got, found = check(robot(tmp_path, **options), capsys)
    assert (got, said in found[what]["wrong"]) == (code, True), found


def test_a_stop_test_of_motors_that_move_nothing_is_refused(tmp_path: Path, capsys):
    assert cli.main(["robot", "check", str(robot(tmp_path)), "--stop-test"]) == 2
    assert "move nothing" in capsys.readouterr().err
    assert cli.main(["robot", "check", str(robot(tmp_path)), "--stop-test", "--json"]) == 2


def test_row_30_a_stop_test_drives_a_base_without_pauses(tmp_path: Path, monkeypatch, capsys):
    """In a pause of its pulses a base stands, and would be said to stop at once."""
    path = robot(tmp_path, motors="mavlink:///dev/nowhere")
    text = path.read_text().replace("linear_m_s: 0.3", "linear_m_s: 0.1, fixed_speed_m_s: 0.2")
    path.write_text(text.replace("angular_rad_s: 1", "angular_rad_s: 0.8, fixed_turn_rad_s: 0.8"))
    command = ["robot", "check", str(path), "--stop-test"]
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert cli.main(command) == 2
    assert "ahead at 0.2 m/s for a second" in (asked := capsys.readouterr().out) and "0.8 m if" in asked
    for speed, said in (("0.1", "below 0.2 m/s"), ("0.3", "above the base's")):
        assert cli.main([*command, "--speed", speed]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("pitch_rad", [-0.1, 0.0, 0.3])
def test_lines_on_the_floor_are_where_the_policy_sees_them(pitch_rad: float):
    """The drawing and the geometry that drives are two ways to one floor."""
    view = View(CameraMount(0.9, 0.35, pitch_rad, 0.12), 4 / 3)
    for range_m in (0.5, 1.0, 3.0):
        row = row_of(view, range_m)
        assert row is not None
        point = view.floor_point(0.5, row)
        assert point is not None and point[0] == pytest.approx(range_m, rel=1e-6)
    assert row_of(view, 0.1) is None
    image = np.zeros((60, 80, 3), np.uint8)
    assert draw_floor(image, view.mount).any() and not image.any()
