"""What the gate says beside yes and no: noise to compare with, a picture, a table, the closed loop."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import pytest

from calibration.sample_set import CalibrationSet
from edge.bundle.bundle import load_bundle, write_bundle
from edge.bundle.manifest import Manifest
from edge.bundle.parity import print_parity
from edge.commands.bundle import show
from edge.errors import BundleRefused, UsageError
from export.commands.export import main
from export.gate import judge as gate_module
from export.gate.drive import SEED
from export.gate.records import Limits
from tests.export.gate.test_gate import calibration as calibration_set
from tests.export.gate.test_gate import export

calibration = calibration_set


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights see nothing with confidence, and their words are near-ties."""
    limits = Limits(min_detections=0, iou_median=0.0, words_equal=0.5)
    monkeypatch.setattr(gate_module, "LIMITS", limits)


@pytest.mark.usefixtures("lenient")
def test_a_difference_stands_beside_that_of_bf16_and_of_another_seed(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    more = ["--precision", "fp16", "--against-seed", str(tiny_bundle), "--plot", str(tmp_path / "gate.png")]
    assert export(tiny_bundle, tmp_path / "half", calibration, *more) == 0
    parity = json.loads((tmp_path / "half" / "parity.json").read_text())
    bf16, seed = parity["noise"]
    assert (bf16["of"], seed["of"]) == ("bf16", "another seed")
    assert bf16["samples"] == seed["samples"] == len(calibration.held_out)
    assert 20 < bf16["stages"]["vision"]["sqnr_db"] < parity["stages"]["vision"]["sqnr_db"]
    assert seed["stages"]["vision"]["sqnr_db"] == 120 and seed["answers"]["equal"] == 1.0, "the very same"
    picture = cv2.imread(str(tmp_path / "gate.png"))
    assert picture is not None and picture.std() > 20
    capsys.readouterr()
    assert show([str(tmp_path / "half"), "--parity"]) == 0
    table = capsys.readouterr().out
    assert "fp16 against fp32" in table and "another seed" in table and "passed" in table
    assert show([str(tmp_path / "half"), "--parity", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == parity


def test_a_refusal_is_drawn_and_printed_in_full(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(BundleRefused, match="does not pass the gate"):
        more = ["--precision", "fp16", "--plot", str(tmp_path / "gate.png")]
        export(tiny_bundle, tmp_path / "out", calibration, *more)
    assert (tmp_path / "gate.png").stat().st_size > 10_000
    assert "too far from fp32: detections of the fp32 bundle" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "out").exists()


def test_what_would_fail_after_the_work_is_refused_before(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(wanted: str, *more: str) -> None:
        with pytest.raises(UsageError, match=wanted):
            export(tiny_bundle, tmp_path / "out", calibration, "--precision", "fp16", *more)

    refuse("is not a .png", "--plot", str(tmp_path / "gate.pdf"))
    refuse("there is no folder", "--plot", str(tmp_path / "none" / "gate.png"))
    with pytest.raises(UsageError, match="other precisions than fp32"):
        main([str(tiny_bundle), "--out", str(tmp_path / "out"), "--episodes", "3"])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    refuse("no simulation is installed", "--episodes", "3")
    other = load_bundle(tiny_bundle)
    manifest = other.manifest.model_copy(update={"prompts": {"find_object": "seek {target}"}})
    write_bundle(tmp_path / "other", type(other)(manifest, other.contents, other.sha256))
    refuse("not of the recipe", "--against-seed", str(tmp_path / "other"))


def test_a_table_needs_a_parity_file_that_holds_one(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BundleRefused, match="no gate has measured it"):
        show([str(tiny_bundle), "--parity"])
    for content in (b"", b"[]", b"{}", b'{"failures": 3}', b'{"precision": "int8", "stages": []}'):
        with pytest.raises(BundleRefused, match="does not hold what an export writes"):
            print_parity(content)
    assert capsys.readouterr().out == ""


def drives(after: list[bool]) -> Callable[..., list[list[bool]]]:
    """A simulation where the fp32 bundle reaches all, and the other what is given."""

    def reached(
        folders: Sequence[Path], episodes: int, seed: int, on_episode: Callable[[int], None]
    ) -> list[list[bool]]:
        names = [load_bundle(folder, allow_unproved=True).manifest.name for folder in folders]
        assert len(set(names)) == 1 and (episodes, seed) == (len(after), SEED)
        on_episode(2 * episodes)
        return [[True] * episodes, after]

    return reached


@pytest.mark.usefixtures("lenient")
def test_two_points_of_success_less_are_refused_and_less_is_let_through(
    tiny_bundle: Path, calibration: CalibrationSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(out: str, after: list[bool], *more: str) -> Manifest:
        monkeypatch.setattr("export.gate.drive.find_episodes", lambda: ("rooms", drives(after)))
        options = ["--precision", "fp16", "--episodes", str(len(after)), *more]
        export(tiny_bundle, tmp_path / out, calibration, *options)
        return load_bundle(tmp_path / out, allow_unproved=True).manifest

    written = run("kept", [True] * 98 + [False] * 2)
    assert (written.parity["gate_success"], written.parity["gate_success_fp32"]) == (0.98, 1.0)
    success = json.loads((tmp_path / "kept" / "parity.json").read_text())["success"]
    assert success["lost"] == [SEED + 98, SEED + 99] and success["gained"] == []
    with pytest.raises(BundleRefused, match=r"0\.970 of 100 rooms, 1\.000 in fp32.*lost: rooms 9097, 9098"):
        run("lost", [True] * 97 + [False] * 3)
    with pytest.raises(BundleRefused, match="10 episodes prove little"):
        run("few", [True] * 9 + [False])
    assert not (tmp_path / "lost").exists() and not (tmp_path / "few").exists()
    assert "success in simulation" in run("forced", [False] * 10, "--force").unproved[0]
    shutil.rmtree(tmp_path / "forced")
