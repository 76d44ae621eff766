"""The default bundle, as `vla-edge export` makes it for TensorRT in int8, in NVIDIA's own builder."""

from pathlib import Path

import pytest

from calibration.activations import main as calibrate
from edge.bundle.bundle import load_bundle
from export.commands.export import main
from export.tensorrt.layers import count_types
from export.tensorrt.plans import build_plan
from tests.export.tensorrt.rtx import RTX

pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx (x86-64 Linux)")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_default_bundle_in_the_tensorrt_profile_builds_in_int8(tmp_path: Path):
    pictures = ["--frames", "8", "--held-out", "6", "--questions", "1", "--seed", "2"]
    assert calibrate(["--robot", "sim", *pictures, "--out", str(tmp_path / "set"), "--json"]) == 0
    how = ["--precision", "int8", "--engine", "tensorrt", "--method", "minmax", "--budget-db", "0", "--force"]
    out = tmp_path / "int8"
    assert main(["default", *how, "--calibration", str(tmp_path / "set"), "--out", str(out), "--json"]) == 0
    bundle = load_bundle(out, allow_unproved=True)
    assert bundle.manifest.target.engine == "tensorrt"
    for role, info in bundle.manifest.graphs.items():
        plan = build_plan(role, bundle.read(role), RTX, tmp_path / "cache")
        plan.check(role)  # raises where a type is not the graph's, or the plan holds wider weights
        types = count_types(plan.network)
        assert info.precision == ("fp32" if role == "floor" else "int8")
        assert ("int8" in types) == (info.precision == "int8"), (role, types)
