"""What goes wrong around an export: a full disk, Ctrl-C, a kill, damaged files.

Each ends in a clear word and an exit code, and never in half a bundle under the name that was asked for.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from calibration.sample_set import CalibrationSet
from edge.bundle.bundle import load_bundle, write_bundle
from edge.cli import main
from edge.errors import BundleRefused, UsageError
from export.commands.export import main as export_main
from export.measure.ranges import kept_ranges
from export.tensorrt import plans
from tests.calibration.test_activations import picture
from tests.export.gate.test_gate import calibration as calibration_set
from tests.export.precision.precision_net import feeds, net
from tests.export.tensorrt.rtx import RTX, int8_matmul
from tests.small_disk import small_files

calibration = calibration_set
REPO = Path(__file__).parents[3]


@pytest.fixture
def place(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A folder with a bundle, its zip, and pictures."""
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    assert main(["bundle", "pack", str(tmp_path / "bundle"), str(tmp_path / "bundle.zip"), "--json"]) == 0
    (tmp_path / "pictures").mkdir()
    for i in range(12):
        cv2.imwrite(str(tmp_path / "pictures" / f"{i}.png"), picture(i))
    return tmp_path


def commands(place: Path, calibration: CalibrationSet) -> dict[str, list[str]]:
    """By what they write."""
    half = ["--precision", "fp16", "--force", "--calibration", str(calibration.folder)]
    pictures = ["--from", str(place / "pictures"), "--frames", "2", "--held-out", "2"]
    return {
        "a bundle": ["export", str(place / "bundle"), *half, "--out", str(place / "out")],
        "a picture": ["export", str(place / "bundle"), *half, "--out", str(place / "out"), "--plot"],
        "a zip": ["bundle", "pack", str(place / "bundle"), str(place / "out")],
        "an unpacked bundle": ["bundle", "unpack", str(place / "bundle.zip"), str(place / "out")],
        "a set": ["calibrate", "activations", *pictures, "--target", "cup", "--out", str(place / "out")],
    }


@pytest.mark.parametrize("what", ["a bundle", "a zip", "an unpacked bundle", "a set"])
def test_a_full_disk_is_said_and_leaves_nothing(
    what: str, place: Path, calibration: CalibrationSet, capsys: pytest.CaptureFixture[str]
):
    before = sorted(place.iterdir())
    with small_files(500 if what == "a set" else 50_000):
        assert main(commands(place, calibration)[what]) == UsageError.exit_code
    said = capsys.readouterr().err
    assert f"error: cannot write {place / 'out'}: File too large" in said and "hint: " in said
    assert sorted(place.iterdir()) == before


def test_a_full_disk_while_an_old_bundle_is_replaced_keeps_it(
    place: Path, calibration: CalibrationSet, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(place / "bundle", place / "out")
    with small_files(50_000):
        assert main(commands(place, calibration)["a bundle"]) == UsageError.exit_code
    assert "cannot write" in capsys.readouterr().err
    assert load_bundle(place / "out") == load_bundle(place / "bundle")


def test_an_old_bundle_comes_back_when_the_new_one_can_not_take_its_name(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    old = load_bundle(place / "bundle")
    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(UsageError, match="Permission denied"):
        write_bundle(place / "bundle", old)
    assert load_bundle(place / "bundle") == old
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_a_kill_while_a_bundle_is_written_keeps_the_old_one(place: Path):
    """SIGKILL, at the second file of the new bundle."""
    script = (
        "import os, signal, sys\n"
        "from edge.bundle.bundle import load_bundle, write_bundle\n"
        "from pathlib import Path\n"
        "folder, synced, fsync = Path(sys.argv[1]), [], os.fsync\n"
        "def kill(descriptor):\n"
        "    fsync(descriptor)\n"
        "    synced.append(descriptor)\n"
        "    if len(synced) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "bundle, os.fsync = load_bundle(folder), kill\n"
        "write_bundle(folder, bundle)\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(place / "bundle")], cwd=REPO, check=False)
    assert died.returncode == -9
    assert main(["bundle", "verify", str(place / "bundle"), "--json"]) == 0


@pytest.mark.parametrize("what", ["a bundle", "a set"])
def test_ctrl_c_leaves_nothing(
    what: str, place: Path, calibration: CalibrationSet, monkeypatch: pytest.MonkeyPatch
):
    """In the middle of writing."""
    written: list[str] = []

    def interrupted(kind: str) -> None:
        written.append(kind)
        if len(written) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", lambda descriptor: interrupted("file"))
    monkeypatch.setattr("calibration.sample_set.PictureEntry", lambda **fields: interrupted("picture"))
    before = sorted(place.iterdir())
    assert main(commands(place, calibration)[what]) == 130
    assert len(written) == 3 and sorted(place.iterdir()) == before


def test_a_picture_that_can_not_be_drawn_is_said(
    place: Path,
    calibration: CalibrationSet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("export.commands.export.write_bundle", lambda folder, bundle: None)
    with small_files(5000):
        code = main([*commands(place, calibration)["a picture"], str(place / "gate.png")])
    assert code == UsageError.exit_code
    assert "gate.png: File too large" in capsys.readouterr().err and not (place / "gate.png").exists()


def test_a_graph_cut_short_is_refused_whoever_vouches_for_it(
    place: Path, calibration: CalibrationSet, capsys: pytest.CaptureFixture[str]
):
    graph, manifest = place / "bundle" / "prefill.onnx", place / "bundle" / "manifest.json"
    graph.write_bytes(content := graph.read_bytes()[:200_000])
    assert main(commands(place, calibration)["a bundle"]) == BundleRefused.exit_code
    assert "prefill.onnx has 200000 bytes" in capsys.readouterr().err
    document = json.loads(manifest.read_text())
    sha256 = hashlib.sha256(content).hexdigest()
    document["graphs"]["prefill"] |= {"bytes": len(content), "sha256": sha256}
    manifest.write_text(json.dumps(document))
    assert main(commands(place, calibration)["a bundle"]) == BundleRefused.exit_code
    said = capsys.readouterr().err
    assert "is not an ONNX file, or it is cut short or damaged" in said and "hint: export or download" in said
    document["schema_version"] = 99
    manifest.write_text(json.dumps(document))
    assert main(commands(place, calibration)["a bundle"]) == BundleRefused.exit_code
    assert "schema version 99" in capsys.readouterr().err
    assert not (place / "out").exists()


def test_kept_ranges_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("export.measure.ranges.compute_ranges", lambda *_: {"x": (-1.0, 1.0)})
    with small_files(100), pytest.raises(UsageError, match="cannot keep the ranges"):
        kept_ranges(tmp_path, "digest", net(), lambda: feeds(2), "minmax")
    assert not list(tmp_path.iterdir())
    kept_ranges(tmp_path, "digest", net(), lambda: feeds(2), "minmax")
    (file,) = tmp_path.iterdir()
    for content in (file.read_text()[:-30], "[]", "{}", '{"key": "other"}'):
        file.write_text(content)
        with pytest.raises(UsageError, match="is damaged") as refusal:
            kept_ranges(tmp_path, "digest", net(), lambda: feeds(2), "minmax")
        assert "remove it" in refusal.value.hint


@pytest.mark.parametrize("most_bytes", [100_000, 1_200_000])
def test_a_plan_that_can_not_be_kept_is_said(most_bytes: int, tmp_path: Path):
    """Neither the graph fits, nor, in the builder's own process, the plan."""
    pytest.importorskip("tensorrt_rtx")
    with small_files(most_bytes), pytest.raises(UsageError, match="cannot write the vision plan") as refusal:
        plans.build_plan("vision", int8_matmul(), RTX, tmp_path / "cache")
    assert "--cache" in refusal.value.hint
    assert not list((tmp_path / "cache").iterdir())


def test_what_would_fail_late_is_found_before_anything_is_exported(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("export.commands.export._fp32", None)  # nothing is exported
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    out = str(tmp_path / "out")
    for arguments, message in (
        ([str(tiny_checkpoint), "--out", str(tmp_path / "full")], "would be lost"),
        ([str(tiny_checkpoint), "--out", str(tiny_checkpoint)], "is the model itself"),
        ([str(tiny_checkpoint), "--out", "/proc/nope/out"], "cannot write"),
        (
            [str(tiny_checkpoint), "--precision", "int8", "--calibration", "nowhere", "--out", out],
            "not a calibration set",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            export_main(arguments)
    assert not (tmp_path / "out").exists()
