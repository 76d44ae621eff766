"""Faults 12 to 18: bundles."""

import io
import json
import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge.bundle.archive import pack_bundle
from edge.bundle.bundle import file_info, load_bundle, write_bundle
from tests.edge.engines.test_tensorrt import with_plans
from tests.faults.conftest import FaultRecord
from tests.faults.rig import REPO, Rig

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be spoilt."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "spoilt"))


@pytest.mark.slow
@pytest.mark.fault(12, "bundle: hash mismatch")
def test_an_altered_bundle_is_refused_before_anything_reads_it(rig: Rig, fault: FaultRecord, copy: Path):
    """No graph could be made of these bytes: an engine that had seen them would say so."""
    size = (copy / "vision.onnx").stat().st_size
    (copy / "vision.onnx").write_bytes(b"\xff" * size)
    refusal = rig.refused("--bundle", str(copy))
    fault.said(refusal.check(6, "vision.onnx", "altered"))
    assert "ONNX" not in refusal.err


@pytest.mark.slow
@pytest.mark.fault(13, "bundle: another TensorRT or GPU")
def test_plans_of_another_tensorrt_are_refused(rig: Rig, fault: FaultRecord, tmp_path: Path):
    """On the double of an Orin with TensorRT 10.3."""
    write_bundle(tmp_path / "plans", with_plans(load_bundle(rig.bundle), tensorrt="10.13.3"))
    refusal = rig.refused("--bundle", str(tmp_path / "plans"), VLA_EDGE_TEST="orin")
    fault.said(refusal.check(6, "built for TensorRT '10.13.3', and this is '10.3.0'", "vla-edge build"))
    other_gpu = with_plans(load_bundle(rig.bundle), device="NVIDIA Thor, sm_110")
    write_bundle(tmp_path / "other", other_gpu)
    rig.refused("--bundle", str(tmp_path / "other"), VLA_EDGE_TEST="orin").check(6, "NVIDIA Thor, sm_110")


@pytest.mark.fault(14, "bundle: cut short")
def test_a_bundle_that_is_cut_short_never_arms_the_motors(rig: Rig, fault: FaultRecord, copy: Path):
    graph = copy / "decode.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    fault.said(rig.refused("--bundle", str(copy)).check(6, "decode.onnx", "bytes, the manifest says"))


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._mark,)


@pytest.mark.slow
@pytest.mark.fault(15, "bundle: a pickle")
def test_a_pickle_is_refused_and_not_run(rig: Rig, fault: FaultRecord, copy: Path, tmp_path: Path):
    """Once as a file of its own, once in place of a graph with a manifest that agrees."""
    bomb = pickle.dumps(_Bomb(tmp_path / "ran"))
    (copy / "weights.pkl").write_bytes(bomb)
    fault.said(rig.refused("--bundle", str(copy)).check(6, "weights.pkl"))
    (copy / "weights.pkl").unlink()
    (copy / "vision.onnx").write_bytes(bomb)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["graphs"]["vision"].update(file_info("vision.onnx", bomb).model_dump())
    (copy / "manifest.json").write_text(json.dumps(manifest))
    load_bundle(copy)  # the hash is right
    rig.refused("--bundle", str(copy)).check(6, "not a whole ONNX file")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.fault(16, "bundle: slow warm-up")
def test_nothing_is_armed_before_the_model_is_warm(rig: Rig, fault: FaultRecord):
    with rig.rover("--max-seconds", "2", mode="slow_warm_up") as run:
        warm_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check_went_on()
    armed = [line["stamp_ns"] for line in run.drive.setpoints() if line["armed"]]
    assert armed[0] > warm_ns and run.drive.turns
    fault.said("not armed until the model is warm")


@pytest.mark.slow
@pytest.mark.fault(17, "bundle: actions of another width than the robot's")
def test_actions_of_an_arm_are_refused_at_a_base(rig: Rig, fault: FaultRecord, copy: Path):
    manifest = json.loads((copy / "manifest.json").read_text())
    arm = [f"joint{number}" for number in range(7)]
    manifest["action"] = {**manifest["action"], "names": arm}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    fault.said(rig.refused("--bundle", str(copy)).check(6, "actions ('joint0'", "those of a base"))


@pytest.mark.slow
@pytest.mark.fault(18, "bundle: path traversal, links, size bombs in an archive")
def test_an_archive_that_reaches_outside_is_refused_whole(fault: FaultRecord, rig: Rig, tmp_path: Path):
    pack_bundle(rig.bundle, tmp_path / "good.zip")
    inside = tmp_path / "inside"
    inside.mkdir()
    link = zipfile.ZipInfo("link.onnx")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = zipfile.ZipInfo("packed.onnx")
    packed.compress_type = zipfile.ZIP_DEFLATED
    evil: list[tuple[str | zipfile.ZipInfo, bytes]] = [
        ("../outside.onnx", b"x"),
        (f"{tmp_path}/outside.onnx", b"x"),
        (link, b"/etc/passwd"),
        (packed, bytes(1 << 24)),
    ]
    for number, (name, content) in enumerate(evil):
        archive = io.BytesIO((tmp_path / "good.zip").read_bytes())
        with zipfile.ZipFile(archive, "a") as opened:
            opened.writestr(name, content)
        file = inside / f"{number}.zip"
        file.write_bytes(archive.getvalue())
        command = [sys.executable, "-m", "edge.cli", "bundle", "unpack", str(file), str(inside / "out")]
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)
        assert done.returncode == 6 and "\nhint: " in done.stderr, (number, done.stderr)
        assert not (inside / "out").exists() and not (tmp_path / "outside.onnx").exists()
        fault.said(done.stderr)
