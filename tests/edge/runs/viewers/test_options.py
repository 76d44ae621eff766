"""What `--rerun` and `--foxglove` take, and what is refused before anything starts."""

import argparse
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.runs.viewers.run_viewers import rerun_target
from tests.edge.runs.live.test_run import refused


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("10.0.0.2", "rerun+http://10.0.0.2:9876/proxy"),
        ("desk.local:9999", "rerun+http://desk.local:9999/proxy"),
        ("[::1]:9876", "rerun+http://[::1]:9876/proxy"),
        ("rerun+http://desk:9876/proxy", "rerun+http://desk:9876/proxy"),
        ("/tmp/a.rrd", "/tmp/a.rrd"),
        ("a.rrd", str(Path("a.rrd").absolute())),
    ],
)
def test_a_target_is_a_viewer_or_a_file(text: str, to: str):
    assert rerun_target(text) == to


@pytest.mark.parametrize("text", ["", "drive.mcap/", "http://desk:9876", "desk:0", "desk:99999", "a b"])
def test_what_is_neither_is_refused(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="neither"):
        rerun_target(text)


@pytest.mark.parametrize(("module", "option"), [("rerun", "--rerun"), ("foxglove", "--foxglove")])
def test_without_its_package_a_viewer_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str, option: str
):
    if find_spec(module) is not None:
        pytest.skip(f"{module}-sdk is installed")
    error = refused(capsys, "--runs-dir", str(tmp_path / "runs"), option)
    assert f"{option} needs the Python package {module}-sdk" in error and f"'.[{module}]'" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(find_spec("foxglove") is None, reason="this Python has no foxglove-sdk")
def test_a_port_that_is_taken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refused(capsys, "--runs-dir", str(tmp_path / "runs"), "--foxglove", str(port))
    assert "Address already in use" in error and "--foxglove" in error
    assert "port from 1 to 65535" in refused(capsys, "--foxglove", "0")
    assert not (tmp_path / "runs").exists()
