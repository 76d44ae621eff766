"""This runtime beside others: who is asked what, and what is made of the answers."""

import json
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import venv
from benchmarks.peers.command import main
from benchmarks.peers.decisions import figures, write_job
from benchmarks.peers.loops import OURS, OURS_ALONE, OwnLoop, with_runtime_alone
from benchmarks.peers.process import PeerProcess
from benchmarks.peers.table import print_comparison
from benchmarks.peers.turns import open_all, take_turns
from benchmarks.peers.venv import LEROBOT, MODELS, contents, make_venv
from benchmarks.peers.verdict import GOALS, held_against, judged
from edge.bundle.bundle import find_bundle, load_bundle
from edge.errors import UsageError
from tests.edge.cameras.gstreamer.peers import needs_gstreamer, needs_rtsp_server, rtsp_server

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
    rows = figures(found, "vla-edge int8")
    eager = rows["transformers eager"]["ms_times_ours"]
    assert eager["median"] == 4.0 and eager["low"] == 4.0 and eager["high"] == 8.0, "one turn was slow for it"
    assert rows["vla-edge fp32"]["cpu_ms"]["p50"] == 10 and rows["vla-edge fp32"]["least_iou"] == 1
    assert rows["vla-edge int8"]["same_text"] == pytest.approx(1 / 3, abs=1e-3)
    assert rows["vla-edge int8"]["boxes"] == 2 and rows["vla-edge int8"]["least_iou"] == 0


def worker(name: str, folder: Path, bundle: Path) -> PeerProcess:
    arguments = (name, folder, bundle, folder, 0)
    log = folder / f"{name}.log"
    return PeerProcess(name, Path(sys.executable), "benchmarks.peers.worker", arguments, log)


def test_real_workers_take_turns_and_answer_alike(tmp_path: Path):
    job, bundle, rounds = write_job(tmp_path, 1), find_bundle("default-int8"), list[int]()
    names = ("vla-edge fp32", "onnxruntime fp32", "vla-edge int8")
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        openers = {name: partial(worker, name, tmp_path, bundle) for name in names}
        openers["gone"] = partial(worker, "vla-edge int8", tmp_path, Path("/nowhere"))
        workers = open_all(openers, missing, stack)
        found = take_turns(workers, lambda number: number % job.pictures, 2, rounds.append, 3)
    rows = figures(found, names[0])
    assert list(missing) == ["gone"] and "no bundle '/nowhere'" in missing["gone"]
    assert rounds == [0, 1, 2, 3, 4] and "onnxruntime" in workers[0].versions
    assert all(row["boxes"] == row["turns"] == 2 for row in rows.values())
    assert rows["onnxruntime fp32"]["same_text"] == 1 and rows["vla-edge int8"]["least_iou"] > 0.8
    assert 0 < rows["vla-edge fp32"]["cpu_ms"]["p10"] <= rows["vla-edge fp32"]["ms"]["p90"] * 1.1


def test_our_loop_counts_with_and_without_its_motor_process():
    ours = [{"ms": 1.0, "cpu_ms": 3.0, "runtime_cpu_ms": 2.0}]
    found = with_runtime_alone({OURS: ours, "LeRobot record": [{"ms": 2.0, "cpu_ms": 15.0}]})
    rows = held_against(found, OURS)
    assert rows["LeRobot record"]["cpu_ms_times_ours"]["median"] == 5.0
    assert rows[OURS_ALONE]["cpu_ms"]["p50"] == 2.0 and rows[OURS]["cpu_ms"]["p50"] == 3.0


@pytest.mark.slow
def test_our_loop_is_a_real_drive(tmp_path: Path):
    turn = OwnLoop(tmp_path).ask(2.0)
    assert 0 < turn["runtime_cpu_ms"] < turn["cpu_ms"] and turn["ms"] > 0


@pytest.mark.slow
@needs_gstreamer
@needs_rtsp_server
def test_readers_say_what_a_frame_cost_and_one_that_fails_is_named(tmp_path: Path):
    spec = load_bundle("default").manifest.image.model_dump_json()
    with rtsp_server() as host:
        for name in ("vla-edge", "cv2"):
            arguments = (name, f"rtsp://{host}/h264", spec)
            log = tmp_path / f"{name}.log"
            reader = PeerProcess(name, Path(sys.executable), "benchmarks.cameras.reader", arguments, log)
            cost = reader.ask(1.0)
            reader.close()
            assert cost["loop_ms"] > 0 and cost["cpu_ms"] > 0 and cost["frames_per_s"] > 0
    with pytest.raises(UsageError, match=r"the peer 'lerobot' ended: .*No module named 'lerobot'"):
        arguments = ("lerobot", "rtsp://127.0.0.1/none", spec)
        PeerProcess("lerobot", Path(sys.executable), "benchmarks.cameras.reader", arguments, tmp_path / "log")


def comparison(eager_ms: float) -> dict[str, Any]:
    turns = {"transformers eager": [answer(eager_ms)] * 3, "vla-edge int8": [answer(10)] * 3}
    cameras = {OURS: [{"cpu_ms": 3.0, "loop_ms": 1.0}], "cv2": [{"cpu_ms": 4.0, "loop_ms": 2.5}]}
    return {
        "decision": {"peers": figures(turns, "vla-edge int8"), "versions": {"torch": "2.13.0"}},
        "camera": {"peers": held_against(cameras, OURS), "versions": {}},
    }


def test_a_goal_is_met_missed_or_not_measured_and_all_three_are_said(capsys: pytest.CaptureFixture[str]):
    parts = comparison(39)
    goals = judged(parts)
    found = {(goal["part"], goal["peer"], goal["measure"]): goal["met"] for goal in goals}
    assert found["decision", "transformers eager", "cpu_ms"] is False
    assert found["camera", "cv2", "loop_ms"] is True and found["camera", "cv2", "cpu_ms"] is False
    assert found["decision", "openvino", "cpu_ms"] is None
    assert len(found) == len([goal for goal in GOALS if goal.part != "loop"]), "no loop was measured"
    assert judged(comparison(41))[0]["met"] is True
    machine = {"cpu": "a processor", "load_before": 0.1, "load_after": 0.2}
    document = {"parts": parts, "goals": goals, "unmeasured": {"openvino": "no room"}, "machine": machine}
    print_comparison(json.loads(json.dumps(document)))
    said = capsys.readouterr().out
    assert "goal missed: decision, transformers eager" in said and "not measured: openvino: no room" in said
    assert "goal met: camera, cv2" in said and "goal not measured: decision, openvino:" in said


def test_an_environment_is_installed_once_with_the_versions_of_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commands: list[list[str]] = []
    folder = tmp_path / "models"

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (folder / "venv/bin").mkdir(parents=True, exist_ok=True)
        (folder / "venv/bin/python").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(venv.subprocess, "run", run)
    said: list[str] = []
    for _ in range(2):
        assert make_venv(tmp_path, MODELS, said.append) == folder / "venv/bin/python"
    assert len(commands) == 2 and len(said) == 1 and "1.8 GB" in said[0]
    constraints = (folder / "constraints.txt").read_text()
    assert "torch==" in constraints and "sha256" not in constraints and "\\" not in constraints
    (folder / "installed.txt").write_text(contents(MODELS).replace("openvino", "another"))
    make_venv(tmp_path, MODELS, said.append)
    assert len(commands) == 4, "another version is installed anew"
    assert "torch==" not in contents(LEROBOT), "LeRobot's own requirements count"


def test_what_pip_says_last_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, "", "many words\nERROR: no space left on device\n")
    monkeypatch.setattr(venv.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UsageError, match="no space left on device"):
        make_venv(tmp_path, MODELS, lambda text: None)
    assert not (tmp_path / "models/installed.txt").exists()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--cpu", "4095"], "there is no core 4095"),
        (["--only", "wheels"], "invalid choice"),
        (["--rounds", "0"], "0 is not a whole number above 0"),
    ],
)
def test_bad_options_are_refused_before_anything_is_installed(argv: list[str], says: str, tmp_path: Path):
    with pytest.raises(UsageError, match=says):
        main([*argv, "--cache", str(tmp_path / "cache")])
    assert not (tmp_path / "cache").exists()
