"""Replays: the same policy decides the same, bit by bit, and what differs is found."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from edge import cli
from edge.base_spec import DEFAULT_BASE
from edge.board.tree import Tree
from edge.bundle.bundle import Bundle, load_bundle
from edge.goals.prompts import goal_prompt
from edge.policies.open import make_policy
from edge.records import (
    ActionChunk,
    DriveEnd,
    Frame,
    Goal,
    MotorState,
    MotorStatus,
    Observation,
    Odometry,
    Outcome,
    Velocity,
)
from edge.runs.recording.header import RunFacts, header
from edge.runs.tap.options import Images, TapOptions
from edge.runs.tap.tap import QUEUED_IMAGES, Tap
from edge.runtime.loop import Loop
from edge.runtime.robot import PLAIN_MOUNT
from tests.waiting import until

PERIOD_NS = 33_000_000
GOAL = Goal("find_object", "cup")
END = DriveEnd(Outcome.TIMEOUT, "not reached within 2 s", 3)


class LateWorker:
    """Answers about a frame come two frames later, in one thread."""

    def __init__(self, policy) -> None:
        self._policy, self._waiting, self._left = policy, None, 0

    @property
    def busy(self) -> bool:
        return self._waiting is not None

    def submit(self, observation: Observation) -> None:
        self._waiting, self._left = self._policy.infer(observation), 3

    def poll(self):
        self._left -= 1
        if self._waiting is None or self._left > 0:
            return None
        inference, self._waiting = self._waiting, None
        return inference


def scene(seq: int) -> Frame:
    """A floor, a wall and a thing that grows, with noise."""
    rng = np.random.default_rng(seq)
    image = np.full((240, 320, 3), (120, 110, 100), np.uint8)
    image[:110] = (200, 200, 190)
    size = 20 + seq
    image[120 - size : 120 + size // 2, 150 : 150 + size] = (190, 30, 30)
    noisy = image.astype(np.int16) + rng.integers(-4, 5, image.shape)
    return Frame(np.clip(noisy, 0, 255).astype(np.uint8), 10**12 + seq * PERIOD_NS, seq)


def record(
    folder: Path, name: str, frames: int = 24, images: Images = Images.LOSSLESS, loses: int = -1
) -> Path:
    """Record a policy that drives through made-up images; one contact on its way."""
    bundle = load_bundle(name)
    options = TapOptions(str(folder), str(folder / "run.mcap"), images)
    with (
        Tap(options, lambda inference: {}) as tap,
        make_policy(bundle, GOAL, PLAIN_MOUNT, DEFAULT_BASE) as policy,
    ):
        tap.on_header(told(bundle, name, images))
        tap.on_start(10**12)
        loop = Loop(policy, LateWorker(policy), GOAL)
        for seq in range(frames):
            until(lambda: tap.waiting < QUEUED_IMAGES)
            report = status(seq)
            tap.on_status(report)
            if seq == frames // 2:
                policy.touched(report.touched)
            step = loop.on_frame({"front": scene(seq)}, report.odometry)
            if seq == loses:
                tap._count += 1  # an event that a full queue would have dropped
            tap.on_step(step.observation, step.inference, step.chunk, "")
            tap.on_frame(step.observation, policy.status)
            if step.inference is not None:
                tap.on_inference(step.inference)
            if step.chunk is not None:
                tap.on_chunk(step.chunk)
        tap.on_end(END)
        assert tap.finish(END).notes == ()
    return folder / "run.mcap"


def told(bundle: Bundle, name: str, images: Images) -> dict[str, object]:
    facts = RunFacts(
        goal=GOAL, prompt=goal_prompt(bundle.manifest, GOAL), bundle_from=name, mount=PLAIN_MOUNT,
        base=DEFAULT_BASE, size=None, threads=1, camera="", cameras={}, machine={}, run="",
        images=images.value, max_seconds=2.0,
    )  # fmt: skip
    return header(facts, bundle)


def status(seq: int) -> MotorStatus:
    stamp_ns = 10**12 + seq * PERIOD_NS
    odometry = Odometry(stamp_ns, 0.01 * seq, math.sin(seq) / 100, 0.02 * seq, Velocity(0.3, 0.0, 0.1))
    return MotorStatus(
        stamp_ns, MotorState.FOLLOWING, Velocity(0.1), odometry=odometry, contacts=int(seq >= 12),
        touched=Velocity(0.2),
    )  # fmt: skip


def replay(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict]:
    capsys.readouterr()
    code = cli.main(["replay", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["default-int8", "head", pytest.param("token", marks=pytest.mark.slow)])
def test_a_recorded_drive_replays_to_the_last_bit(name: str, tmp_path: Path, capsys):
    code, found = replay(capsys, record(tmp_path, name))
    assert (code, found["ticks"], found["ticks_different"], found["missing_events"]) == (0, 24, 0, 0)
    assert found["decisions"] > 2 and found["different"] == 0
    assert found["identical"] == found["decisions"]
    assert found["ended"] == "timeout" and found["no_end_record"] is None


def test_a_replay_finds_what_differs(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    """One constant of the policy has changed since."""
    file = record(tmp_path, "default-int8")
    from edge.policies import seeker

    real = seeker.velocity_chunk

    def changed(velocity: Velocity, stamp_ns: int, decision: int, confidence: float = 1.0) -> ActionChunk:
        turn_rad_s = float(np.nextafter(np.float32(velocity.angular_z_rad_s), np.float32(2)))
        return real(dataclasses.replace(velocity, angular_z_rad_s=turn_rad_s), stamp_ns, decision, confidence)

    monkeypatch.setattr(seeker, "velocity_chunk", changed)
    code, found = replay(capsys, file, "--layer", "decision")
    assert code == 3 and found["ticks_different"] >= 1 and found["first_tick"]["tick"] == 0


def test_another_bundle_is_compared_by_its_answers(tmp_path: Path, capsys):
    file = record(tmp_path, "default-int8")
    code, found = replay(capsys, file, "--bundle", "default")
    assert "ticks" not in found and found["decisions"] > 2 and found["identical"] < found["decisions"]
    assert code == (3 if found["different"] else 0)
    code, found = replay(capsys, file, "--bundle", "head")
    assert code == 3 and found["different"] == found["decisions"]
    assert found["differences"][0]["why"] == "actions against words"
    assert len(list(Path(found["pictures"]).iterdir())) == found["different"]
    assert replay(capsys, file, "--bundle", "head", "--allow", "99")[0] == 0


def test_another_engine_is_compared_by_its_answers(tmp_path: Path, capsys):
    """It was recorded by what the bundle is for."""
    file = record(tmp_path, "default-int8", 6)
    code, found = replay(capsys, file, "--engine", "cpu")
    assert code == 0 and "ticks" not in found and found["identical"] == found["decisions"] > 0
    code, found = replay(capsys, file, "--engine", "cpu", "--layer", "decision")
    assert (
        code == 2
        and found["error"] == "the decision layer needs the engine that drove: what the bundle is for"
    )


def test_what_can_not_be_exact_is_refused_by_name(tmp_path: Path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    jpeg = record(tmp_path / "a", "default-int8", 6, Images.JPEG)
    code, found = replay(capsys, jpeg)
    assert code == 2 and "JPEG" in found["error"] and "--layer model" in found["hint"]
    assert replay(capsys, jpeg, "--layer", "model")[0] in (0, 3)
    code, found = replay(capsys, record(tmp_path / "b", "default-int8", 6, loses=3))
    assert code == 2 and found["error"].startswith("1 events of the run are missing")
    code, found = replay(capsys, tmp_path)
    assert code == 2 and "has 0 recordings" in found["error"]


def test_the_last_seconds_can_be_looked_at_and_not_replayed(tmp_path: Path, capsys):
    record(tmp_path, "default-int8", 6)
    code, found = replay(capsys, tmp_path / "last30s.mcap")
    assert code == 2 and "few and small images" in found["error"]


def test_a_recording_without_an_end_says_so(tmp_path: Path, capsys):
    file = record(tmp_path, "default-int8", 12)
    content = file.read_bytes()
    (tmp_path / "torn.mcap").write_bytes(content[: len(content) // 2])
    assert cli.main(["recover", str(tmp_path / "torn.mcap")]) == 0
    assert "no end record" in capsys.readouterr().out
    code, found = replay(capsys, tmp_path / "torn-recovered.mcap")
    assert code == 0 and "killed, or crashed" in found["no_end_record"] and 0 < found["ticks"] < 12


def test_the_machine_is_told_by_its_own_files(tmp_path: Path):
    from edge.runs.recording.machine import MachineWatch

    for name, text in {
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone0/temp": "51250",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400",
        "sys/class/devfreq/17000000.gpu/cur_freq": "612000000",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    watch = MachineWatch(Tree(tmp_path))
    event = watch.due(10**9)
    assert event is not None and watch.due(10**9 + 1) is None
    assert event.data["temperatures_c"] == {"cpu-thermal": 51.25}
    assert event.data["clocks_mhz"] == {"cpu0": 1510.4, "17000000.gpu": 612.0}
