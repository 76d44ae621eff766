"""Rows at an even rate of a drive that was recorded."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.convert.driven_run import DrivenRun, find_runs
from edge.convert.sampled import OLD_NS, SampledDrive, sample, task_words
from edge.errors import UsageError
from edge.records import Goal, MotorState, MotorStatus, Velocity
from edge.replay.recording import find_recording
from edge.runs.recording.mcap_file import McapFile
from edge.runs.recording.torn import Stored
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import OWN, fixed_message
from edge.runs.tap.plain import to_line
from tests.edge.convert.made_up import BY_PERSON, BY_POLICY, START_NS, record, tear


class Made:
    """What `sample` takes of a run."""

    offset_ns = 0

    def __init__(self, statuses: list[MotorStatus], stamps_ns: dict[str, list[int]]) -> None:
        self.statuses, self.stamps_ns = statuses, stamps_ns


def sampled(statuses: list[MotorStatus], stamps_ns: dict[str, list[int]], rate_hz: int = 10) -> SampledDrive:
    drive = sample(Made(statuses, stamps_ns), rate_hz)  # type: ignore[arg-type]
    assert drive is not None
    return drive


def reports(speeds: list[float]) -> list[MotorStatus]:
    """Return reports every 20 ms of what was sent ahead."""
    return [
        MotorStatus(START_NS + at * 20_000_000, MotorState.FOLLOWING, Velocity(speed))
        for at, speed in enumerate(speeds)
    ]


@given(st.lists(st.floats(-0.5, 0.5), min_size=51, max_size=200), st.sampled_from([5, 10, 25, 50]))
def test_rows_add_up_to_the_way_that_was_commanded(speeds: list[float], rate_hz: int):
    """The way that the rows command is that of the reports that they stand for."""
    drive = sampled(reports(speeds), {"front": [START_NS]}, rate_hz)
    per_row = 50 // rate_hz
    whole = speeds[: drive.rows * per_row]
    assert drive.rows == (len(speeds) - 1) // per_row
    np.testing.assert_allclose(drive.actions[:, 0].sum() / rate_hz, sum(whole) * 0.02, atol=1e-5)


def test_a_row_sees_the_newest_image_that_was_there(tmp_path: Path):
    run = DrivenRun(record(tmp_path / "run.mcap", cameras=("front", "wrist")))
    drive = sample(run, 10)
    assert drive is not None and set(drive.images) == {"front", "wrist"}
    times_ns = START_NS + run.offset_ns + np.arange(drive.rows) * 100_000_000
    for stamps in drive.images.values():
        assert ((times_ns - stamps >= 0) & (times_ns - stamps < 33_000_000)).all()
    assert drive.old_images == 0 and drive.states.shape == (drive.rows, 6)
    np.testing.assert_allclose(drive.states[:, 0], np.arange(drive.rows) / 10, atol=1e-6)  # 1 m/s


def test_what_a_person_drove_is_marked_and_what_was_sent_meanwhile_is_its_action(tmp_path: Path):
    drive = sample(DrivenRun(record(tmp_path / "run.mcap", by_hand_s=(1.0, 1.5))), 10)
    assert drive is not None
    assert np.flatnonzero(drive.by_hand).tolist() == [10, 11, 12, 13, 14]
    for row, sent in ((0, BY_POLICY), (12, BY_PERSON), (20, BY_POLICY)):
        expected = sent.linear_x_m_s, sent.linear_y_m_s, sent.angular_z_rad_s
        np.testing.assert_allclose(drive.actions[row], expected, atol=1e-6)


def test_images_of_a_camera_that_was_away_are_counted():
    drive = sampled(reports([0.1] * 101), {"front": [START_NS, START_NS + 1_000_000_000]})
    late = np.arange(20) * 100_000_000
    late[10:] -= 1_000_000_000
    assert drive.old_images == (late > OLD_NS).sum() == 14


def test_braking_for_a_stop_is_not_in_the_rows():
    statuses = reports([0.3] * 60)
    statuses += [
        MotorStatus(START_NS + at * 20_000_000, MotorState.RAMPING, Velocity()) for at in range(60, 90)
    ]
    drive = sampled(statuses, {"front": [START_NS]})
    assert drive.rows == 11 and drive.actions[:, 0] == pytest.approx(0.3)


@pytest.mark.parametrize("more", [{"armed": False}, {"cameras": ()}, {"seconds": 0.06}])
def test_a_run_that_never_drove_has_no_rows(tmp_path: Path, more: dict[str, object]):
    cameras = more.get("cameras", ("front",))
    if cameras == ():  # its reports alone
        assert sample(Made(reports([0.1] * 50), {}), 10) is None  # type: ignore[arg-type]
        return
    assert sample(DrivenRun(record(tmp_path / "run.mcap", **more)), 10) is None  # type: ignore[arg-type]


def test_a_torn_file_gives_what_is_whole(tmp_path: Path):
    whole = sample(DrivenRun(record(tmp_path / "a.mcap", size=(240, 320))), 10)
    run = DrivenRun(tear(record(tmp_path / "b.mcap", size=(240, 320)), 0.6))
    drive = sample(run, 10)
    assert whole is not None and drive is not None
    assert not run.whole and run.end is None and 5 <= drive.rows < whole.rows
    np.testing.assert_array_equal(drive.actions, whole.actions[: drive.rows])


@given(st.binary(max_size=300))
def test_any_other_file_is_refused(content: bytes):
    with tempfile.NamedTemporaryFile(suffix=".mcap") as file:
        file.write(b"\x89MCAP0\r\n" + content)
        file.flush()
        with pytest.raises(UsageError, match="can't be converted"):
            DrivenRun(Path(file.name))


def test_a_folder_means_all_its_recordings(tmp_path: Path):
    for name in ("b.mcap", "a.mcap", "a.txt"):
        (tmp_path / name).touch()
    assert [each.name for each in find_runs([tmp_path])] == ["a.mcap", "b.mcap"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no recordings"):
        find_runs([tmp_path / "empty"])


def test_the_folder_of_a_run_means_what_was_recorded_of_it_elsewhere(tmp_path: Path):
    run, there = tmp_path / "runs" / "1", tmp_path / "recordings" / "1.mcap"
    for each in (run / "last30s.mcap", there):
        each.parent.mkdir(parents=True)
        each.touch()
    for summary, found in (("[]", [run / "last30s.mcap"]), ("{", [run / "last30s.mcap"]), ("", [there])):
        (run / "summary.json").write_text(summary or json.dumps({"recordings": [str(there)]}))
        assert find_runs([run]) == found == [find_recording(run)]
    there.unlink()
    assert find_runs([run]) == [run / "last30s.mcap"]


def test_a_person_who_judged_the_run_says_whether_it_succeeded(tmp_path: Path):
    from dataclasses import asdict

    from edge.field.results import TrialResult
    from edge.files import write_whole

    run = DrivenRun(record(tmp_path / "run.mcap"))
    assert run.verdict() == (True, "run")
    result = TrialResult(
        "b", "hall", True, "cup", 1, 0, False, "operator", 0, "", False, "reached", None, "", 0, 3.0, "", ""
    )
    (tmp_path / "run").mkdir()
    write_whole(tmp_path / "run/trial.json", to_line(asdict(result)))
    assert run.verdict() == (False, "operator")
    assert DrivenRun(record(tmp_path / "cut.mcap", end=None)).end is None


def test_a_part_that_ended_with_its_engine_is_no_success_however_the_run_was_judged(tmp_path: Path):
    run = DrivenRun(record(tmp_path / "run.mcap"))
    run._note(Stored(f"{OWN}outcome", "", 0, 0, b'{"end": null}'))
    assert run.went_on and run.end is None and run.verdict() == (False, "run")


def test_tasks_are_worded_as_those_of_collected_demonstrations():
    assert task_words(Goal("find_object", "red cup")) == "find the red cup"
    assert task_words(Goal("instruct", "go to the door")) == "go to the door"


@pytest.mark.parametrize(
    ("topic", "changed", "says"),
    [
        ("header", {"format": 2}, "its format is 2, this program reads 1"),
        ("header", {"goal": {"kind": "fly", "target": ""}}, "it has a goal 'fly'"),
        ("header", {"goal": 3}, "not a Goal"),
        ("motor", {"state": "dancing"}, "dancing"),
        ("outcome", {"end": {"outcome": "won"}}, "won"),
        ("inference", {"inference": {"text": 3}}, "an answer is not a text"),
        ("tick", {"frames": {"front": {}}}, "height"),
    ],
)
def test_a_recording_with_odd_content_is_refused(tmp_path: Path, topic: str, changed: object, says: str):
    """As a newer or foreign program might write it."""
    header = {
        "format": 1, "goal": {"kind": "find_object", "target": "cup"}, "run": "",
        "wall_minus_monotonic_ns": 0,
    }  # fmt: skip
    file = McapFile(tmp_path / "run.mcap")
    if topic == "header":
        file.write(TapEvent("header", 1, START_NS, to_line({**header, **changed})))  # type: ignore[dict-item]
    else:
        file.write(TapEvent("header", 1, START_NS, to_line(header)))
        file._add(fixed_message(OWN + topic, to_line(changed)), TapEvent(topic, 2, START_NS, b""))
    file.close()
    with pytest.raises(UsageError, match=f"can't be converted: .*{says}"):
        DrivenRun(tmp_path / "run.mcap")
