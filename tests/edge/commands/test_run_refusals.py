"""`vla-edge run`: what it refuses before anything is started."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import cli
from edge.bundle.bundle import load_bundle, with_manifest, write_bundle
from tests.edge.commands.robot_text import robot_file
from tests.edge.model.open_bundles import open_bundle

REPO = Path(__file__).parents[3]
PICTURES = ("--camera", "file://{pictures}", "--motors")
MOUNT = "fov=50,height=0.3,pitch=0,forward=0.1"


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command line that must be refused before a process is started or a folder is made."""

    def no_process(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    def run(*arguments: str, runs_dir: Path = tmp_path / "runs") -> tuple[int, str]:
        with monkeypatch.context() as patch:
            patch.setattr(subprocess.Popen, "__init__", no_process)
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
    hardware: tuple[str, ...],
    said: str,
    code: int,
    pictures: Path,
    tmp_path: Path,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
):
    command = ["run", "--bundle", str(tiny_bundle), "--goal", "find_object", "--target", "cup"]
    arguments = [each.replace("{pictures}", str(pictures)) for each in hardware]
    got = cli.main([*command, "--runs-dir", str(tmp_path / "runs"), *arguments])
    out, err = capsys.readouterr()
    assert got == code and said in err and err.startswith("error: ") and "\nhint: " in err and out == ""
    assert not (tmp_path / "runs").exists()


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
