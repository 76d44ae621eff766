"""What `eval` prints, and whether the run that it names drives in the same room."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import benchmarks.success
import sim.realtime.robot
from benchmarks.success import EpisodeSettings, Trial, summarize
from benchmarks.success_command import _parser, failures, main, robot_of, table
from edge import cli
from edge.commands.run_arguments import run_arguments
from edge.errors import UsageError
from edge.goals.goals import parse_goal
from edge.runtime.robot import find_robot
from sim.bases import base_of, parse_base, parse_response
from sim.lockstep import EpisodeResult


def trial(seed: int, claimed: bool, success: bool, bumps: int = 0) -> Trial:
    return Trial(seed, "red cup", EpisodeResult(claimed, success, bumps, 10.0, 2.0, "arrived", 7.0, 100), 1.9)


def settings(**changes: Any) -> EpisodeSettings:
    return EpisodeSettings(**({"bundle": "default", "latency_s": 0.02, "max_s": 60.0} | changes))


def summary(trials: list[Trial], absent: bool = False) -> dict[str, Any]:
    wrong = failures(trials, settings(absent=absent), "")
    bundle = {"name": "default-int8", "sha256": "0" * 64, "chosen": "int8: the processor has avx_vnni"}
    about = {"episodes": len(trials), "absent": absent, "failures": wrong, "bundle": bundle}
    return summarize(trials, absent) | about


def test_what_went_wrong_is_told_apart_and_what_did_not_is_not_listed() -> None:
    trials = [
        trial(1, True, True),
        trial(2, True, False, bumps=3),
        trial(3, False, False),
        trial(4, True, True, 1),
    ]
    rows = summary(trials)["failures"]
    assert [(row["seed"], row["what"]) for row in rows] == [
        (2, "claimed a false arrival after 10 s and touched something 3 times (0 noticed)"),
        (3, "had not arrived after 10 s"),
        (4, "touched something once (0 noticed)"),
    ]
    absent = summary(trials[1:3], absent=True)["failures"]
    assert [row["seed"] for row in absent] == [2], "not to arrive at what is not there is right"


def test_nobody_who_arrived_has_no_median_time() -> None:
    text = table(summary([trial(7, False, False)]))
    assert "None" not in text and "none arrived" in text
    assert "default-int8 (int8: the processor has avx_vnni)" in text, "whose figures they are"
    assert "vla-edge run --goal find_object --target 'red cup' --seed 7 --bundle default" in text


def test_many_failures_are_counted_and_only_the_first_are_shown() -> None:
    text = table(summary([trial(seed, False, False) for seed in range(25)]))
    assert text.count("vla-edge run") == 10 and "and 15 more, which --json lists" in text


@pytest.mark.parametrize(
    ("base", "absent"), [("", False), ("drive=differential&speed_m_s=0.25&radius_m=0.26", True)]
)
def test_the_run_that_is_named_has_the_room_of_the_episode(
    base: str, absent: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rooms: list[object] = []
    make_scene = sim.realtime.robot.make_scene

    def note(*arguments: Any) -> object:
        rooms.append(make_scene(*arguments))
        raise UsageError("the room is all that is looked at")

    given = settings(absent=absent, base=parse_base(base))
    monkeypatch.setattr(benchmarks.success, "make_scene", note)
    with pytest.raises(UsageError, match="the room"):
        benchmarks.success._EpisodePlayer(given).play(1066, parse_goal("find_object", "red cup"))
    command = shlex.split(failures([trial(1066, True, False)], given, base)[0]["command"])
    monkeypatch.setattr(sim.realtime.robot, "make_scene", note)
    assert cli.main([*command[1:], "--runs-dir", str(tmp_path)]) == 2
    assert len(rooms) == 2 and rooms[0] == rooms[1]
    options = run_arguments().parse_args(command[2:])
    assert base_of(find_robot(options.robot or "sim")[1]) == given.base
    assert (options.bundle, options.max_seconds) == (given.bundle, given.max_s)


@pytest.mark.parametrize(("words", "robot"), [
    ("--response delay_ms=9 --wheels slip --no-bumper", "sim?delay_ms=9&bumper=no&wheels=slip"),
    ("--response scale=0.8 --motion weak.yaml", "weak.yaml"),
])  # fmt: skip
def test_the_run_that_shows_a_failure_has_its_base(words: str, robot: str):
    options = _parser().parse_args(words.split())
    response = parse_response(options.response)
    given = settings(response=response, measured={"ahead_scale": 0.8} if options.motion else {})
    command = shlex.split(failures([trial(7, False, False)], given, robot_of(options))[0]["command"])
    assert command[command.index("--robot") + 1] == robot
    if not options.motion:
        assert find_robot(robot)[1] is not None and run_arguments().parse_args(command[2:]).robot == robot


def test_one_short_episode_is_judged_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--episodes", "1", "--seed", "1002", "--max-seconds", "0.5", "--latency-ms", "20", "--jobs", "1"]
    assert main([*argv, "--json"]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out)
    assert figures["median_seconds"] is None and figures["failures"][0]["seed"] == 1002
    assert f"--bundle {figures['bundle']['name']} " in figures["failures"][0]["command"]
    assert captured.err.startswith("episodes, each answer 20 ms after its frame")
