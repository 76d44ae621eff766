"""`vla-edge doctor` on this machine, and on folder trees that stand for Jetsons."""

import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import cli
from edge.board.ports import owners_of
from edge.board.tree import Tree
from edge.cameras.open import FrameRing
from edge.doctor.ros import check_ros
from tests.edge.cameras.gstreamer.peers import needs_gstreamer

BOARDS = Path(__file__).parent / "boards"
Lines = dict[str, tuple[str, str, str]]


def unpack(board: str, root: Path) -> Path:
    """Make the folder tree of a board; `\\0` stands for a NUL, and `-> TARGET` makes a link."""
    text = (BOARDS / f"{board}.txt").read_text()
    for head, body in re.findall(r"^== (.+)\n((?:(?!== ).*\n)*)", text, re.MULTILINE):
        name, _, target = head.partition(" -> ")
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        else:
            path.write_text(body.replace("\\0", "\0"))
    return root


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs the command and gives its exit code and its lines by name."""

    def run(*arguments: str) -> tuple[int, Lines]:
        code = cli.main(["doctor", "--json", *arguments])
        document = json.loads(capsys.readouterr().out)
        assert set(document) == {"checks"}
        for check in document["checks"]:
            assert list(check) == ["name", "status", "found", "hint"]
            assert check["status"] in ("ok", "warn", "fail", "absent") and check["found"]
            assert check["hint"] or check["status"] in ("ok", "absent"), check
        lines = {each["name"]: (each["status"], each["found"], each["hint"]) for each in document["checks"]}
        assert len(lines) == len(document["checks"])
        return code, lines

    return run


@pytest.fixture
def board(doctor, tmp_path: Path):
    """Return a function that looks at one of the boards."""
    return lambda name: doctor("--root", str(unpack(name, tmp_path)))


def test_this_machine_is_told_as_it_is(doctor, tmp_path: Path):
    code, lines = doctor("--pictures", str(tmp_path))
    assert code == (5 if any(status == "fail" for status, *_ in lines.values()) else 0)
    assert lines["python"][1].startswith(".".join(map(str, sys.version_info[:3])))
    kilobytes = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])  # type: ignore[index]
    assert float(lines["memory"][1].split()[2]) <= kilobytes / 2**20 + 0.1
    assert lines["bundle default-int8"][0] == "ok"
    if Path("/.dockerenv").exists():
        assert lines["container"][1].startswith("in one")


@needs_gstreamer
def test_a_slow_camera_is_told_with_its_rate_and_what_would_help(doctor, tmp_path: Path):
    """Field case 15."""
    slow = "gst://videotestsrc is-live=true pattern=snow ! video/x-raw,width=64,height=48,framerate=2/1"
    _, lines = doctor("--camera", slow, "--pictures", str(tmp_path))
    status, found, hint = next(line for name, line in lines.items() if name.startswith("camera "))
    assert status == "warn" and found.startswith("64x48 at 2 Hz") and "needs 8 Hz" in found
    assert hint.startswith("its pipeline is 64x48 at 2 frames a second: raise the framerate")


@pytest.mark.realtime
def test_it_answers_within_three_seconds(tmp_path: Path):
    started_s = time.monotonic()
    command = [sys.executable, "-m", "edge.cli", "doctor", "--pictures", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode in (0, 5)
    assert time.monotonic() - started_s < 3


def test_an_orin_nx_with_jetpack_6(board):
    code, lines = board("orin-nx-jetpack6")
    assert code == 0
    assert lines["board"][1].startswith(
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit (nvidia,p3768"
    )
    assert lines["jetpack"] == ("ok", "L4T 36.4.3, JetPack 6.2", "")
    assert lines["power mode"][:2] == ("ok", "25W") and "nvpmodel -m 0" in lines["power mode"][2]
    assert lines["temperature"][:2] == ("ok", "tj-thermal 50 °C, throttles at 99, shuts down at 104")
    assert lines["throttling"][0] == "ok"  # a hot surface is not throttling
    assert lines["over-current"][0] == "warn" and lines["over-current"][1].startswith("37 events")
    assert lines["fan"][1] == "driven at 30%, 1750 turns a minute"
    assert lines["power"][1] == "VDD_IN 9.3 W"  # and no rail of shunts
    assert lines["GPU clock"][1] == "306 MHz now, 918 allowed"
    assert lines["CUDA"][:2] == ("ok", "12.6.11")
    assert lines["TensorRT"][:2] == ("ok", "library 10.3.0.30-1+cuda12.5")
    assert lines["jtop"][0] == "ok"
    assert lines["container"][0] == "absent"


def test_row_32_the_owner_of_a_port_is_named(board):
    _, lines = board("orin-nx-jetpack6")
    assert lines["/dev/ttyTHS1"][0] == "warn" and "nvgetty.service" in lines["/dev/ttyTHS1"][1]
    assert lines["/dev/ttyTHS1"][2] == "sudo systemctl disable --now nvgetty"
    status, found, hint = lines["/dev/ttyACM0"]
    assert status == "warn" and "mavproxy.py (process 2137)" in found
    assert "/dev/serial/by-id/usb-ArduPilot_Pixhawk6C_1E0027-if00" in found and "fuser" in hint
    assert lines["ModemManager"][0] == "warn" and "disable --now ModemManager" in lines["ModemManager"][2]


def test_row_32_who_holds_a_port_of_this_machine_is_named():
    master, slave = os.openpty()
    name = os.ttyname(slave)
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=slave)
    try:
        os.close(slave)
        assert owners_of(name) == [
            f"{Path(f'/proc/{holder.pid}/comm').read_text().strip()} (process {holder.pid})"
        ]
    finally:
        holder.kill()
        holder.wait()
        os.close(master)
    assert owners_of(name) == []


def test_cameras_on_one_usb_bus_are_named(board):
    _, lines = board("orin-nx-jetpack6")
    assert lines["/dev/video0"][1] == (
        "HD Pro Webcam C920, /dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0, usb1 at 480 Mbit/s"
    )
    assert "/dev/video1" not in lines  # its metadata
    assert lines["USB bus"][0] == "warn" and "2 cameras share usb1" in lines["USB bus"][1]
    assert lines["USB autosuspend"][1].startswith("devices 1-2 may be put to sleep after 2 s")


def test_an_orin_super_with_jetpack_7(board):
    """Row 43."""
    code, lines = board("orin-nano-jetpack7")
    assert code == 5  # too little memory
    assert lines["board"][1].startswith("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super")
    assert lines["jetpack"] == ("ok", "L4T 39.2.0, JetPack 7.2", "")
    assert lines["power mode"][1] == "25W" and "MAXN_SUPER: sudo nvpmodel -m 2" in lines["power mode"][2]
    assert lines["memory"][0] == "fail" and lines["memory"][1].startswith("0.2 of 7.4 GiB free")
    assert lines["swap"][0] == "warn"
    assert lines["temperature"][0] == "warn" and "96 °C, throttles at 99" in lines["temperature"][1]
    assert lines["throttling"][:2] == ("warn", "by heat, now: cpu-throttle-alert")
    assert "cores 0-3 of 0-5 are on" in lines["processor clock"][1]
    assert lines["CUDA"][1] == "13.2.51-1" and lines["TensorRT"][1].startswith("library 10.16")
    assert lines["jtop"][0] == "warn"


def test_a_thor_whose_gpu_has_no_power(board):
    code, lines = board("thor-jetpack7")
    assert code == 5  # neither CUDA nor TensorRT is installed
    assert lines["jetpack"][1] == "L4T 38.4.0, JetPack 7.1"
    assert lines["power mode"][1] == "MAXN"
    assert lines["temperature"][1] == "tj-thermal 60 °C, throttles at 109, shuts down at 114"
    assert lines["throttling"][0] == "ok"
    assert lines["power"][1] == "VDD_GPU 7.7 W, VIN_SYS_5V0 8.9 W"
    assert lines["CUDA"][0] == lines["TensorRT"][0] == "fail" and "nvidia-jetpack" in lines["TensorRT"][2]


def test_row_38_a_container_with_an_empty_release_file(board):
    code, lines = board("orin-container")
    assert code == 5
    assert lines["jetpack"][0] == "warn" and "L4T unknown" in lines["jetpack"][1]
    assert lines["power mode"][0] == "warn"
    assert lines["memory"][0] == "fail" and lines["memory"][1].startswith("0.2 of 1.0 GiB free")  # its limit
    assert lines["container"][0] == "warn"
    assert "-v /run/jtop.sock:/run/jtop.sock" in lines["container"][2]
    assert "nv_tegra_release" not in lines["container"][2]


def test_an_empty_tree_is_a_machine_that_tells_nothing(doctor, tmp_path: Path):
    code, lines = doctor("--root", str(tmp_path))
    assert code == 0 and lines["memory"][0] == "warn" and lines["jetpack"][0] == "absent"


def test_a_test_picture_can_be_looked_at(doctor, tmp_path: Path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24] = (255, 0, 0)  # the upper half is blue in OpenCV's order
    cv2.imwrite(str(tmp_path / "seen.png"), image)
    pictures = tmp_path / "doctor"
    code, lines = doctor("--pictures", str(pictures), "--camera", f"top=file://{tmp_path}/seen.png")
    status, found, hint = lines["camera top"]
    assert (status, code) == ("ok", code) and found == f"64x48, picture in {pictures}/top.png"
    assert "upside down" in hint and "red and blue" in hint
    assert (cv2.imread(str(pictures / "top.png")) == image).all()


def test_row_15_a_slow_camera_is_told_with_the_rate_that_is_needed(doctor, tmp_path: Path):
    name, ended = f"doctor-{os.getpid()}", threading.Event()

    def film(ring: FrameRing) -> None:
        while not ended.wait(0.25):
            ring.write(np.full((48, 64, 3), 90, np.uint8), time.monotonic_ns())

    with FrameRing.create(name, 48, 64) as ring:
        filming = threading.Thread(target=film, args=(ring,))
        filming.start()
        _, lines = doctor("--pictures", str(tmp_path), "--camera", f"shm://{name}")
        ended.set()
        filming.join()
    status, found, _ = lines["camera front"]
    assert status == "warn" and re.search(r"64x48 at [1-4] Hz.*needs 8 Hz", found)


def test_a_camera_that_is_not_there_fails_with_its_own_words(doctor, tmp_path: Path):
    code, lines = doctor("--pictures", str(tmp_path), "--camera", f"file://{tmp_path}/no.mp4")
    assert code == 5
    assert lines["camera front"][0] == "fail" and "no.mp4" in lines["camera front"][1]


def test_a_bundle_that_does_not_load_fails(doctor, tmp_path: Path):
    code, lines = doctor("--pictures", str(tmp_path), "--bundle", str(tmp_path))
    assert code == 5 and lines[f"bundle {tmp_path}"][0] == "fail"


def test_the_table_for_people_holds_every_line(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    cli.main(["doctor", "--root", str(unpack("orin-nx-jetpack6", tmp_path))])
    out = capsys.readouterr().out
    assert "ModemManager" in out and "→ sudo systemctl disable --now nvgetty" in out
    assert re.search(r"\d+ ok, \d+ warn", out)


def test_a_root_that_is_not_a_folder_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert cli.main(["doctor", "--root", str(tmp_path / "no")]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "name", "status", "said"),
    [
        ({"ROS_DISTRO": "humble"}, "ROS", "fail", r"made for Python 3\.10|does not see rclpy"),
        ({"ROS_DISTRO": "humble", "ROS_DOMAIN_ID": "300"}, "ROS domain", "fail", "'300'"),
        ({"ROS_DISTRO": "humble", "ROS_DOMAIN_ID": "7"}, "ROS domain", "ok", "^7$"),
        (
            {"ROS_DISTRO": "humble", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
            "ROS middleware",
            "ok",
            "rmw_cyclonedds_cpp",
        ),
        ({}, "ROS", "warn", "humble is installed, but not sourced"),
    ],
)
def test_row_31_what_ros_lacks_is_named(environment, name, status, said, tmp_path: Path):
    checks = {each.name: each for each in check_ros(Tree(unpack("orin-nx-jetpack6", tmp_path)), environment)}
    assert checks[name].status.value == status and re.search(said, checks[name].found)


def test_a_sensor_that_can_not_be_read_now_is_left_out(tmp_path: Path):
    unpack("thor-jetpack7", tmp_path)
    fifo = tmp_path / "sys/class/thermal/thermal_zone1/temp"
    os.mkfifo(fifo)  # reading it would wait for ever, or try again
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert Tree(tmp_path).number("/sys/class/thermal/thermal_zone1/temp") is None
