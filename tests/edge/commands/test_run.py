"""`vla-edge run`: what it refuses before anything is started, and what it leaves behind."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import cli
from edge.bundle.bundle import load_bundle, with_manifest, write_bundle
from edge.goals.prompts import family_prompt
from edge.plugins import CAMERAS, MOTORS
from edge.records import Goal
from edge.runs import folder as folder_module
from tests.edge.model.open_bundles import open_bundle

pytestmark = pytest.mark.realtime

REPO = Path(__file__).parents[3]
PICTURES = ("--camera", "file://{pictures}", "--motors")
MOUNT = "fov=50,height=0.3,pitch=0,forward=0.1"


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command line that must be refused before a process is started or a folder is made."""

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", no_process)

    def run(*arguments: str, runs_dir: Path = tmp_path / "runs") -> tuple[int, str]:
        code = cli.main(["run", "--runs-dir", str(runs_dir), *arguments])
        out, err = capsys.readouterr()
        assert err.startswith("error: ") and "\nhint: " in err and "Traceback" not in err and len(err) < 1200
        assert out == ""
        assert not (tmp_path / "runs").exists()
        return code, err

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--goal"),
        (["--goal", "find_objct", "--target", "cup"], "did you mean 'find_object'?"),
        (["--goal", "find_object"], "needs a target"),
        (["--goal", "describe_scene", "--target", "cup"], "takes no target"),
        (["--goal", "find_object", "--target", ""], "target is empty"),
        (["--goal", "find_object", "--target", "x" * 10_000], "10000 characters long"),
        (["--goal", "find_object", "--target", "<loc0001>"], "special token"),
        (["--goal", "find_object", "--target", "cup\x1b[2J"], "cannot be printed"),
        (["--goal", "find_object", "--target", "unicorn"], "does not know 'unicorn'"),
        (["--goal", "find_object", "--target", "red red cup"], "is not '[colour] kind'"),
        (["--goal", "find_object", "--target", "cup", "--max-seconds", "-1"], "above 0"),
        (["--goal", "find_object", "--target", "cup", "--max-seconds", "nan"], "above 0"),
        (["--goal", "find_object", "--target", "cup", "--seed", "abc"], "whole number"),
        (["--goal", "find_object", "--target", "cup", "--seed", "-1"], "whole number"),
        (["--goal", "find_object", "--target", "cup", "--robot", "butler"], "unknown robot 'butler'"),
        (["--goal", "find_object", "--target", "cup", "--camera", "file://x"], "go together"),
        (["--goal", "find_object", "--target", "cup", "--motors", "null://"], "go together"),
        (
            ["--goal", "find_object", "--target", "cup", "--camera", "a", "--motors", "b", "--robot", "sim"],
            "leave one of them out",
        ),
        (
            ["--goal", "find_object", "--target", "cup", "--camera", "a", "--camera", "b", "--motors", "c"],
            "several cameras have the name 'front'",
        ),
        (
            ["--goal", "find_object", "--target", "cup", "--camera", "2nd=file://x", "--motors", "null://"],
            "'2nd' is not a camera's name",
        ),
        (["--goal", "find_object", "--target", "cup", "--log-level", "chatty"], "invalid choice"),
        (["--goal", "find_object", "--target", "cup", "--nonsense"], "unrecognized arguments"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(
    arguments: list[str], said: str, refused: Callable[..., tuple[int, str]], tiny_bundle: Path
):
    code, err = refused("--bundle", str(tiny_bundle), *arguments)
    assert (code, said in err) == (2, True), err


def test_goal_that_the_bundle_cannot_do_is_refused_by_name(
    refused: Callable[..., tuple[int, str]], tiny_bundle: Path
):
    code, err = refused("--bundle", str(tiny_bundle), "--goal", "instruct", "--target", "go home")
    assert code == 2 and "cannot do instruct" in err


@pytest.mark.parametrize("goal", ["find_object", "follow_object"])
def test_families_that_say_no_boxes_are_refused_before_driving(
    goal: str, refused: Callable[..., tuple[int, str]], tmp_path: Path
):
    write_bundle(tmp_path / "smolvlm", open_bundle("smolvlm")[0])
    code, err = refused("--bundle", str(tmp_path / "smolvlm"), "--goal", goal, "--target", "cup")
    assert code == 2 and "does not say where things are" in err and "it can do: describe_scene" in err


@pytest.mark.parametrize("damage", ["missing", "cut short", "flipped", "empty", "lacks a file"])
def test_damaged_bundles_are_refused(
    damage: str, refused: Callable[..., tuple[int, str]], tiny_bundle: Path, tmp_path: Path
):
    folder = tmp_path / "bundle"
    if damage == "empty":
        folder.mkdir()
    elif damage != "missing":
        shutil.copytree(tiny_bundle, folder)
    graph = folder / "vision.onnx"
    if damage == "cut short":
        graph.write_bytes(graph.read_bytes()[:-100])
    elif damage == "flipped":
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
    elif damage == "lacks a file":
        graph.unlink()
    code, err = refused("--bundle", str(folder), "--goal", "find_object", "--target", "cup")
    assert code == 6
    assert str(folder) in err or "vision.onnx" in err


def test_runs_folder_that_cannot_be_made_is_refused(
    refused: Callable[..., tuple[int, str]], tiny_bundle: Path, tmp_path: Path
):
    (tmp_path / "file").touch()
    code, err = refused(
        "--bundle", str(tiny_bundle), "--goal", "find_object", "--target", "cup",
        runs_dir=tmp_path / "file" / "runs",
    )  # fmt: skip
    assert code == 2 and "is not writable" in err and "--runs-dir" in err


def turning_run(
    *arguments: str, runs_dir: Path, bundle: Path, **env: str
) -> tuple[int, dict[str, Any], str, Path]:
    """A whole run with the turning policy: exit code, summary from stdout, stderr, run folder."""
    command = [sys.executable, "-m", "tests.edge.commands.turning_run", "--json"]
    command += ["--runs-dir", str(runs_dir), "--bundle", str(bundle), *arguments]
    done = subprocess.run(
        command,
        cwd=REPO,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert "Traceback" not in done.stderr
    (folder,) = runs_dir.iterdir()
    written = json.loads((folder / "summary.json").read_text())
    if done.returncode != 1:
        assert json.loads(done.stdout) == written
    return done.returncode, written, done.stderr, folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (60, 80, 3), np.uint8))
    return folder


def test_pictures_are_played_to_their_end_and_drawn(pictures: Path, tmp_path: Path, tiny_bundle: Path):
    for i in range(3, 6):
        shutil.copy(pictures / "0.png", pictures / f"{i}.png")
    code, summary, err, folder = turning_run(
        "--goal", "find_object", "--target", "cups", "--motors", "null://",
        "--camera", f"file://{pictures}?rate=2",
        runs_dir=tmp_path / "runs", bundle=tiny_bundle, VLA_EDGE_TEST="reach",
    )  # fmt: skip
    assert (code, summary["outcome"], err) == (0, "stopped", "")
    assert "every frame" in summary["reason"] and summary["cause"] == "end_of_frames"
    assert summary["goal"] == "find_object" and summary["target"] == "cup"
    assert summary["decisions"] >= 3 and summary["engine"] == "onnxruntime"
    assert summary["bundle"]["name"] == "tiny" and len(summary["bundle"]["sha256"]) == 64
    assert {"preprocess", "vision", "prefill", "decode", "total"} == set(summary["latency_ms"])
    assert summary["frame_to_motor_ms"]["p99"] < 250
    assert summary["truth"] is None and summary["folder"] == str(folder)
    log = (folder / "run.log").read_text()
    for event in ('"run starts"', "armed", '"drive ended"', '"run ended"'):
        assert log.count(f"event={event}") == 1
    assert "cause=end_of_frames" in log and f'camera_front="file://{pictures}?rate=2"' in log
    assert cv2.imread(str(folder / "frames.png")) is not None
    pids = json.loads((folder / "pids.json").read_text())
    assert set(pids) == {"runtime", "motor"}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


@pytest.mark.parametrize("family", ["smolvlm", pytest.param("florence-2", marks=pytest.mark.slow)])
def test_any_family_describes_a_scene(family: str, pictures: Path, tmp_path: Path, capsys):
    goal = Goal("describe_scene")
    words = family_prompt(family, goal)
    write_bundle(tmp_path / family, open_bundle(family, "the red cup", words, max_tokens=60)[0])
    write_bundle(tmp_path / "short", open_bundle(family, "the red cup", words, max_tokens=2)[0])
    for bundle, answer in ((family, "the red cup"), ("short", "… (cut off)")):
        code = cli.main(
            ["run", "--goal", "describe_scene", "--bundle", str(tmp_path / bundle), "--json",
             "--camera", f"file://{pictures}", "--motors", "null://", "--runs-dir", str(tmp_path / "runs")]
        )  # fmt: skip
        summary = json.loads(capsys.readouterr().out)
        assert (code, summary["outcome"]) == (0, "stopped")
        assert summary["answer"].endswith(answer)
        assert (summary["cut_answers"] > 0) == (bundle == "short")
        assert summary["distance_m"] == 0
    command = ["run", "--goal", "describe_scene", "--bundle", str(tmp_path / "short")]
    place = ["--camera", f"file://{pictures}", "--motors", "null://", "--runs-dir", str(tmp_path / "more")]
    assert cli.main([*command, *place]) == 0
    assert "3 answers of the model, 3 cut off" in capsys.readouterr().out


def test_pictures_without_the_target_end_in_goal_not_reached(
    pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    code, summary, _, _ = turning_run(
        "--goal", "find_object", "--target", "cup", "--camera", f"file://{pictures}", "--motors", "null://",
        runs_dir=tmp_path / "runs", bundle=tiny_bundle,
    )  # fmt: skip
    assert (code, summary["outcome"]) == (3, "stopped")
    assert "the target was not seen" in summary["reason"]
    shown = [(each["source"], each["does"]) for each in summary["would_do"]]
    assert shown == [(f"{i}.png", "does not see cup, search: turn left at 34°/s") for i in range(3)]
    assert summary["decisions"] == 3 and summary["ticks"] > 0


def test_the_policy_sees_with_the_camera_that_it_names(pictures: Path, tmp_path: Path, tiny_bundle: Path):
    for i in range(3, 9):
        shutil.copy(pictures / "0.png", pictures / f"{i}.png")
    code, summary, _, folder = turning_run(
        "--goal", "describe_scene", "--camera", f"file://{pictures}?rate=2",
        "--camera", f"wrist=file://{pictures}?rate=2", "--motors", "null://", "--max-seconds", "3",
        runs_dir=tmp_path / "runs", bundle=tiny_bundle, VLA_EDGE_TEST="wrist",
    )  # fmt: skip
    assert (code, summary["outcome"], summary["answer"]) == (0, "timeout", "wrist, front with wrist")
    assert f'camera_wrist="file://{pictures}?rate=2"' in (folder / "run.log").read_text()


ROBOT = """
name: 로봇
cameras:
  front:
    address: file://{pictures}
    mount: {{vertical_fov_deg: 50, height_m: 0.3, pitch_deg: 5, forward_m: 0.1}}
  wrist: {{address: "file://{pictures}"}}
motors: {motors}
base: {{drive: differential, radius_m: 0.25, linear_m_s: 0.4, angular_rad_s: 0.8}}
"""


def robot_file(tmp_path: Path, pictures: Path, motors: str, camera: str = "") -> str:
    path = tmp_path / "my-robot.yaml"
    text = ROBOT.format(pictures=pictures, motors=motors)
    path.write_text(text.replace(f"file://{pictures}", camera or f"file://{pictures}", 1), encoding="utf-8")
    return str(path)


def test_a_robot_file_states_cameras_mount_and_base_and_the_run_says_so(
    pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    name = robot_file(tmp_path, pictures, "null://")
    code, summary, _, folder = turning_run(
        "--goal", "find_object", "--target", "cup", "--robot", name, "--max-speed", "0.2",
        runs_dir=tmp_path / "runs", bundle=tiny_bundle,
    )  # fmt: skip
    assert code == 3 and summary["robot"] == "robot 로봇"
    assert summary["mount"] == {
        "vertical_fov_deg": 50, "height_m": 0.3, "pitch_deg": 5, "forward_m": 0.1, "from": name,
    }  # fmt: skip
    base = summary["base"]
    assert (base["drive"], base["radius_m"], base["linear_m_s"]) == ("differential", 0.25, 0.2)
    assert base["from"] == f"{name}, lowered by --max-speed"
    log = (folder / "run.log").read_text()
    assert f"event=mount vertical_fov_deg=50 height_m=0.3 pitch_deg=5 forward_m=0.1 source={name}" in log
    assert "event=base radius_m=0.25 linear_m_s=0.2" in log and "camera_wrist=" in log


def test_the_mount_is_that_of_the_camera_that_the_bundle_sees_with(
    pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    bundle = load_bundle(tiny_bundle)
    manifest = bundle.manifest.model_copy(update={"camera": "wrist"})
    write_bundle(tmp_path / "sees-by-wrist", with_manifest(bundle, manifest))
    name = robot_file(tmp_path, pictures, "null://")
    mount = "mount: {vertical_fov_deg: 70, height_m: 0.9, pitch_deg: 40, forward_m: 0.2}"
    path = Path(name)
    path.write_text(path.read_text().replace(f'"file://{pictures}"}}', f'"file://{pictures}", {mount}}}'))
    code, summary, _, _ = turning_run(
        "--goal", "find_object", "--target", "cup", "--robot", name,
        runs_dir=tmp_path / "runs", bundle=tmp_path / "sees-by-wrist",
    )  # fmt: skip
    assert code == 3 and summary["mount"]["height_m"] == 0.9 and summary["mount"]["from"] == name


def test_people_are_told_the_mount_and_the_base_before_it_drives(pictures: Path, tmp_path: Path, capsys):
    words = family_prompt("smolvlm", Goal("describe_scene"))
    write_bundle(tmp_path / "talks", open_bundle("smolvlm", "the red cup", words, max_tokens=60)[0])
    command = ["run", "--goal", "describe_scene", "--bundle", str(tmp_path / "talks"), "--motors", "null://"]
    code = cli.main([*command, "--camera", f"file://{pictures}", "--runs-dir", str(tmp_path / "runs")])
    err = capsys.readouterr().err.splitlines()
    assert code == 0 and err == [
        "mount: camera sees 55.0° from top to bottom, 0.35 m above the floor, level, 0.10 m ahead (a guess)",
        "base: holonomic, radius 0.20 m, at most 0.50 m/s and 1.00 rad/s (the default base)",
    ]


def test_a_bundle_of_simulated_rooms_is_refused_at_a_real_camera(
    pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    """The camera need not even be there: nothing is opened."""
    folder = tmp_path / "simulated"
    bundle = load_bundle(tiny_bundle)
    manifest = bundle.manifest.model_copy(update={"domain": "simulated-rooms"})
    write_bundle(folder, with_manifest(bundle, manifest))
    name = robot_file(tmp_path, pictures, "mavlink:///dev/nowhere", camera="v4l2:///dev/no-camera")
    code, err = refused_run("--robot", name, runs_dir=tmp_path / "runs", bundle=folder)
    assert code == 6 and "only seen simulated rooms" in err and "--allow-domain" in err
    code, err = refused_run("--robot", name, "--allow-domain", runs_dir=tmp_path / "runs", bundle=folder)
    assert code == 5 and "/dev/no-camera" in err


def refused_run(*arguments: str, runs_dir: Path, bundle: Path, **env: str) -> tuple[int, str]:
    """A run of the turning policy that must end before it has a folder: exit code and stderr."""
    command = [sys.executable, "-m", "tests.edge.commands.turning_run", "--bundle", str(bundle)]
    command += ["--goal", "find_object", "--target", "cup", "--runs-dir", str(runs_dir), *arguments]
    done = subprocess.run(
        command, cwd=REPO, env={**os.environ, **env}, capture_output=True, text=True, timeout=90
    )
    assert done.stderr.startswith("error: ") and "\nhint: " in done.stderr and done.stdout == ""
    assert not runs_dir.exists()
    return done.returncode, done.stderr


def test_a_camera_that_the_robot_lacks_ends_before_anything_is_armed(
    pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    code, err = refused_run(
        "--camera", f"file://{pictures}", "--motors", "null://",
        runs_dir=tmp_path / "runs", bundle=tiny_bundle, VLA_EDGE_TEST="wrist",
    )  # fmt: skip
    assert code == 2 and "'wrist', the robot has front" in err and "--camera wrist=URI" in err


@pytest.mark.parametrize(
    ("hardware", "said", "code"),
    [
        (("--camera", "file:///nowhere.mp4", "--motors", "null://"), "no /nowhere.mp4", 5),
        (("--camera", "nothing", "--motors", "null://"), "SCHEME://PLACE", 2),
        ((*PICTURES, "mavlink:///dev/nowhere", "--mount", MOUNT), "no port /dev/nowhere", 5),
        ((*PICTURES, "mavlink:///dev/nowhere"), "where the camera sits is not known", 2),
        ((*PICTURES, "wheels://", "--mount", MOUNT), "nothing here opens wheels://", 2),
        (("--robot", "{pictures}/none.yaml"), "No such file", 2),
        (("--robot", "ardurover"), "cameras.front.mount is missing", 2),
        (("--max-speed", "0.6"), "--max-speed 0.6 is above", 2),
        (("--mount", MOUNT), "--mount goes with --camera", 2),
        (("--robot", "sim?nois=8"), "no setting 'nois'", 2),
    ],
)
def test_hardware_that_is_not_there_leaves_no_folder(
    hardware: tuple[str, ...], said: str, code: int, pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    arguments = [each.replace("{pictures}", str(pictures)) for each in hardware]
    got, err = refused_run(*arguments, runs_dir=tmp_path / "runs", bundle=tiny_bundle)
    assert got == code and said in err


def test_a_model_that_only_looks_may_take_its_time(pictures: Path, tmp_path: Path, tiny_bundle: Path):
    for i in range(3, 16):
        shutil.copy(pictures / "0.png", pictures / f"{i:02}.png")
    code, summary, _, _ = turning_run(
        "--goal", "describe_scene", "--camera", f"file://{pictures}?rate=2", "--motors", "null://",
        "--max-seconds", "3", runs_dir=tmp_path / "runs", bundle=tiny_bundle, VLA_EDGE_TEST="hang",
    )  # fmt: skip
    assert (code, summary["outcome"], summary["reason"]) == (0, "timeout", "watched for 3 s")


@pytest.mark.parametrize(
    ("mode", "said", "code"), [("hang", "has not answered for 2", 4), ("raise", "the engine broke", 1)]
)
def test_model_that_breaks_stops_the_run(
    mode: str, said: str, code: int, pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    """Faults 19 and 26."""
    for i in range(3, 16):
        shutil.copy(pictures / "0.png", pictures / f"{i:02}.png")
    got, summary, err, folder = turning_run(
        "--goal", "find_object", "--target", "cup", "--motors", "null://",
        "--camera", f"file://{pictures}?rate=2",
        runs_dir=tmp_path / "runs", bundle=tiny_bundle, VLA_EDGE_TEST=mode,
    )  # fmt: skip
    assert got == code and summary["outcome"] == "fault"
    assert said in summary["reason"] and said in err
    assert summary["cause"] == ("model_silent" if mode == "hang" else None)
    pids = json.loads((folder / "pids.json").read_text())
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def test_a_terminal_stopped_by_ctrl_s_does_not_stop_the_robot(
    pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    for i in range(3, 16):
        shutil.copy(pictures / "0.png", pictures / f"{i:02}.png")
    screen, terminal = os.openpty()
    command = [sys.executable, "-m", "tests.edge.commands.turning_run", "--max-seconds", "2"]
    command += ["--goal", "find_object", "--target", "cup", "--bundle", str(tiny_bundle)]
    command += [
        "--camera",
        f"file://{pictures}?rate=2",
        "--motors",
        "null://",
        "--runs-dir",
        str(tmp_path / "runs"),
    ]
    child = subprocess.Popen(command, cwd=REPO, stderr=terminal, stdout=subprocess.DEVNULL)
    os.close(terminal)
    try:
        shown = b""
        while b"search" not in shown:
            shown += os.read(screen, 4096)
        os.write(screen, b"\x13")
        deadline_s = time.monotonic() + 40
        while not (written := list((tmp_path / "runs").glob("*/summary.json"))):
            assert time.monotonic() < deadline_s and child.poll() is None, "the terminal held up the run"
            time.sleep(0.05)
        assert json.loads(written[0].read_text())["outcome"] == "timeout"
        os.write(screen, b"\x11")
        assert child.wait(20) == 3
    finally:
        child.kill()
        child.wait()
        os.close(screen)


def test_a_disk_that_fills_up_costs_the_files_and_not_the_outcome(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    def full(path: Path, content: bytes) -> None:
        if path.name == "summary.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(content)

    words = family_prompt("smolvlm", Goal("describe_scene"))
    write_bundle(tmp_path / "talks", open_bundle("smolvlm", "the red cup", words, max_tokens=60)[0])
    command = ["run", "--goal", "describe_scene", "--bundle", str(tmp_path / "talks"), "--motors", "null://"]
    monkeypatch.setattr(folder_module, "write_whole", full)
    code = cli.main([*command, "--camera", f"file://{pictures}", "--runs-dir", str(tmp_path / "runs")])
    out, err = capsys.readouterr()
    *setup, note = err.splitlines()
    assert code == 0 and note.startswith("note: can't write ") and "No space left on device" in note
    assert [line.partition(":")[0] for line in setup] == ["mount", "base"]
    assert out.startswith("stopped: ") and "3 answers of the model" in out


@pytest.mark.parametrize("as_json", [True, False])
def test_row_36_a_summary_that_can_not_be_printed_leaves_the_exit_code(
    as_json: bool, pictures: Path, tmp_path: Path, tiny_bundle: Path
):
    command = [sys.executable, "-m", "tests.edge.commands.turning_run", "--goal", "describe_scene"]
    command += ["--bundle", str(tiny_bundle), "--runs-dir", str(tmp_path / "runs"), "--motors", "null://"]
    command += ["--camera", f"file://{pictures}", *(["--json"] if as_json else [])]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, cwd=REPO, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    summary = json.loads(next((tmp_path / "runs").glob("*/summary.json")).read_text())
    assert run.returncode == summary["exit_code"] != 2, run.stderr
    assert run.stderr.splitlines()[-1] == "note: the summary can't be printed: No space left on device"


def test_what_breaks_before_a_run_has_a_folder_is_one_line(
    pictures: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    def broken(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/usr/bin/python")

    monkeypatch.setattr("edge.commands.run.open_camera", broken)
    command = ["run", "--goal", "describe_scene", "--bundle", str(tiny_bundle), "--motors", "null://"]
    code = cli.main([*command, "--camera", f"file://{pictures}", "--runs-dir", str(tmp_path / "runs")])
    out, err = capsys.readouterr()
    assert (code, out, (tmp_path / "runs").exists()) == (2, "", False)
    assert err.splitlines() == [
        "error: /usr/bin/python: Permission denied",
        "hint: check its permissions, or name another folder",
    ]


def test_the_help_names_every_scheme_of_cameras_and_motors(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["run", "--help"]) == 0
    words = "".join(capsys.readouterr().out.split())
    assert [name for name in (*CAMERAS.names(), *MOTORS.names()) if f"{name}://" not in words] == []
