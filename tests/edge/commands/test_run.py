"""`vla-edge run`: what it says and what it leaves behind."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge import cli
from edge.bundle.bundle import load_bundle, with_manifest, write_bundle
from edge.goals.prompts import family_prompt
from edge.plugins import CAMERAS, MOTORS
from edge.records import Goal
from edge.runs import folder as folder_module
from tests.edge.commands.robot_text import robot_file
from tests.edge.model.open_bundles import open_bundle

pytestmark = pytest.mark.realtime

REPO = Path(__file__).parents[3]


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
    assert set(pids) == {"runtime", "motor", "recorder"}
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("as_json", [pytest.param(True, marks=pytest.mark.slow), False])
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


def test_the_help_names_every_scheme_of_cameras_and_motors(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["run", "--help"]) == 0
    words = "".join(capsys.readouterr().out.split())
    assert [name for name in (*CAMERAS.names(), *MOTORS.names()) if f"{name}://" not in words] == []
