"""A person takes the stick in a recorded run; what is made of it afterwards says so."""

import json
import time
from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader

from edge.cli import main
from sim.faults.gamepad import PRETENDED, Pad
from tests.faults.rig import Rig
from tests.waiting import until


@pytest.mark.slow
def test_a_takeover_is_marked_in_summary_decisions_dataset_and_bag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The policy turns to the left all the time; the stick turns to the right for a while."""
    rig = Rig(tmp_path, Path("default"))
    folder = rig.new_folder()
    options = ["--max-seconds", "6", "--record", str(folder / "recordings")]
    with Pad(folder) as pad, rig.rover("--gamepad", str(pad.path), *options, **PRETENDED) as run:
        run.drive.until_it_turns()
        taken_ns = time.monotonic_ns()
        pad.turn(0.6)
        child = run.drive.child
        until(lambda: child.poll() or any(line["angular_z"] < -0.3 for line in run.drive.setpoints(taken_ns)))
        time.sleep(0.5)
        pad.turn(0.0)
        end = run.drive.end()
        runs = run.drive.folder
    end.check_went_on()
    counted = end.summary["interventions"]
    assert counted["number"] == 1 and 0.5 < counted["seconds"] < 4
    (stretch,) = counted["stretches"]
    lines = [json.loads(line) for line in (runs / "decisions.jsonl").read_text().splitlines()]
    by_hand_s = sum(line["by_hand_s"] for line in lines)
    assert by_hand_s == pytest.approx(counted["seconds"], abs=0.2)
    assert 0 < sum(line["by_hand_s"] > 0 for line in lines) < len(lines)
    assert "a person drives" in (runs / "run.log").read_text()

    recordings = str(folder / "recordings")
    assert main(["convert", recordings, "--to", "lerobot", "--out", str(folder / "set"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["episodes"]
    assert (told["interventions"], told["success"], told["outcome"]) == (1, False, "timeout")
    from training.datasets.lerobot import LeRobotSource  # and torch with it, for 3 s

    source = LeRobotSource(folder / "set", state_keys=["intervention"])
    marked, turns = source.states(0)[:, 0] > 0, source.actions(0)[:, 2]
    assert marked.sum() / 10 == pytest.approx(stretch["seconds"], abs=0.25)
    assert source.tasks == ("find the red cup",)
    assert turns[marked].min() < -0.3 and turns[~marked].min() > -0.3 and turns[~marked].max() > 0.5
    assert source.images(0, [0, len(turns) - 1])["front"].shape == (2, 48, 64, 3)

    assert main(["convert", recordings, "--to", "rosbag2", "--out", str(folder / "bag")]) == 0
    with AnyReader([folder / "bag"]) as reader:
        wanted = [each for each in reader.connections if each.topic == "/vla_edge/by_hand"]
        driven_ns = [
            at_ns
            for each, at_ns, raw in reader.messages(wanted)
            if reader.deserialize(raw, each.msgtype).data
        ]
    assert (driven_ns[-1] - driven_ns[0]) / 1e9 == pytest.approx(stretch["seconds"], abs=0.2)
