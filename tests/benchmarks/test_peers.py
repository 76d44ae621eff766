"""A decision beside those of others: who is asked what, and what is made of the answers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import venv
from benchmarks.peers.__main__ import main
from benchmarks.peers.turns import PeerProcess, figures, take_turns, write_job
from benchmarks.peers.venv import make_venv, wanted
from edge.bundle.bundle import find_bundle
from edge.errors import UsageError

BOX = "<loc0100><loc0100><loc0300><loc0300> cup"
NEAR = "<loc0100><loc0100><loc0300><loc0310> cup"


def answer(ms: float, text: str = BOX) -> dict[str, Any]:
    return {"ms": ms, "cpu_ms": ms / 2, "text": text, "confidence": 0.9}


def test_ratios_are_of_turns_and_answers_are_compared_with_the_exact_ones():
    found = {
        "transformers eager": [answer(40), answer(80), answer(40)],
        "vla-edge fp32": [answer(20), answer(20), answer(20)],
        "vla-edge int8": [answer(10), answer(10, NEAR), answer(10, "none")],
    }
    rows = figures(found, "transformers eager")
    assert rows["vla-edge int8"]["times_faster"]["p50"] == 4.0
    assert rows["vla-edge int8"]["times_faster"]["p90"] > 7, "the second turn was slow for the others"
    assert rows["vla-edge fp32"]["cpu_ms"]["p50"] == 10 and rows["vla-edge fp32"]["least_iou"] == 1
    assert rows["vla-edge int8"]["same_text"] == pytest.approx(1 / 3, abs=1e-3)
    assert rows["vla-edge int8"]["boxes"] == 2 and rows["vla-edge int8"]["least_iou"] == 0


def test_real_workers_take_turns_and_answer_alike(tmp_path: Path):
    job = write_job(tmp_path, 1)
    here = (Path(sys.executable), job, find_bundle("default-int8"))
    names = ("vla-edge fp32", "onnxruntime fp32", "vla-edge int8")
    workers: list[PeerProcess] = []
    try:
        for name in names:
            workers.append(PeerProcess(here[0], name, here[1], here[2], 0, tmp_path))
        rounds: list[int] = []
        found = take_turns(workers, job.pictures, 2, rounds.append)
    finally:
        for worker in workers:
            worker.close()
    rows = figures(found, names[0])
    assert rounds == [0, 1, 2, 3, 4] and "onnxruntime" in workers[0].versions
    assert all(row["boxes"] == row["decisions"] == 2 for row in rows.values())
    assert rows["onnxruntime fp32"]["same_text"] == 1 and rows["vla-edge int8"]["least_iou"] > 0.8
    assert 0 < rows["vla-edge fp32"]["cpu_ms"]["p10"] <= rows["vla-edge fp32"]["ms"]["p90"] * 1.1


def test_a_peer_that_does_not_open_is_named_with_its_last_words(tmp_path: Path):
    job = write_job(tmp_path, 1)
    with pytest.raises(UsageError, match=r"'vla-edge int8' ended: .*no bundle '/nowhere'"):
        PeerProcess(Path(sys.executable), "vla-edge int8", job, Path("/nowhere"), 0, tmp_path)


def test_an_environment_is_installed_once_with_the_versions_of_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (tmp_path / "venv/bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "venv/bin/python").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(venv.subprocess, "run", run)
    said: list[str] = []
    for _ in range(2):
        assert make_venv(tmp_path, said.append) == tmp_path / "venv/bin/python"
    assert len(commands) == 2 and len(said) == 1 and "1.8 GB" in said[0]
    constraints = (tmp_path / "constraints.txt").read_text()
    assert "torch==" in constraints and "sha256" not in constraints and "\\" not in constraints
    (tmp_path / "installed.txt").write_text(wanted().replace("openvino", "another"))
    make_venv(tmp_path, said.append)
    assert len(commands) == 4, "another version is installed anew"


def test_what_pip_says_last_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, "", "many words\nERROR: no space left on device\n")
    monkeypatch.setattr(venv.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UsageError, match="no space left on device"):
        make_venv(tmp_path, lambda text: None)
    assert not (tmp_path / "installed.txt").exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--cpu", "4095"], "there is no core 4095"),
        (["--without", "transformers eager"], "compared with"),
        (["--rounds", "0"], "0 is not a whole number above 0"),
    ],
)
def test_bad_options_are_refused_before_anything_is_installed(argv: list[str], says: str, tmp_path: Path):
    with pytest.raises(UsageError, match=says):
        main([*argv, "--cache", str(tmp_path / "cache")])
    assert not (tmp_path / "cache").exists()
