"""The loop and its worker, without a model."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from edge.interfaces import Inference, PolicyStatus
from edge.records import ActionChunk, Frame, Goal, Observation, Odometry, Velocity
from edge.runtime import loop as loop_module
from edge.runtime.loop import Loop, Sent, Step, ThreadWorker
from tests.waiting import until

GOAL = Goal("find_object", "red cup")
ODOMETRY = Odometry(0, 1.0, 2.0, 0.0, Velocity())
PATIENCE_S = 10


def frame(seq: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), seq * 1000, seq)


def frames(seq: int) -> dict[str, Frame]:
    return {"front": frame(seq)}


class Recorder:
    """A policy that remembers what it was given."""

    status = PolicyStatus("search")

    def __init__(self) -> None:
        self.inferred: list[Observation] = []
        self.acted: list[tuple[Observation, Inference | None]] = []
        self.gate = threading.Event()
        self.error: Exception | None = None

    def reset(self, goal: Goal) -> None: ...

    def infer(self, observation: Observation) -> Inference:
        self.inferred.append(observation)
        self.gate.wait(PATIENCE_S)
        if self.error:
            raise self.error
        return Inference(observation.frame, f"seen {observation.frame.seq}", 0.9, {"vision": 1.0})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        self.acted.append((observation, inference))
        return ActionChunk(np.zeros((1, 3), np.float32), 0.1, observation.frame.stamp_ns, 1, 1.0, 0)


class OneLater:
    """A worker whose answer is there at the next frame."""

    def __init__(self, policy: Recorder) -> None:
        self.policy = policy
        self.submitted: Observation | None = None

    @property
    def busy(self) -> bool:
        return self.submitted is not None

    def submit(self, observation: Observation) -> None:
        self.submitted = observation

    def poll(self) -> Inference | None:
        submitted, self.submitted = self.submitted, None
        return self.policy.infer(submitted) if submitted else None


def test_every_frame_is_acted_on_and_each_inference_handed_over_once():
    policy = Recorder()
    policy.gate.set()
    loop = Loop(policy, OneLater(policy), GOAL)
    steps = [loop.on_frame(frames(seq), ODOMETRY) for seq in range(4)]
    assert [step.chunk.t0_ns for step in steps if step.chunk] == [0, 1000, 2000, 3000]
    answers = [inference.frame.seq if inference else None for _, inference in policy.acted]
    assert answers == [None, 0, 1, 2]
    observation = policy.acted[-1][0]
    assert observation.goal == GOAL and observation.odometry == ODOMETRY and observation.frame.seq == 3
    assert [step.inference and step.inference.frame.seq for step in steps] == [None, 0, 1, 2]
    assert [step.observation.frame.seq for step in steps] == [0, 1, 2, 3]


def test_an_image_that_waits_for_its_answer_is_inferred_once():
    policy = Recorder()
    policy.gate.set()
    loop = Loop(policy, OneLater(policy), GOAL, images_once=True)
    first, second = frame(0), frame(1)
    shown = [first, replace(first, seq=1, stamp_ns=1000), replace(first, seq=2, stamp_ns=2000), second]
    steps = [loop.on_frame({"front": each}, None) for each in shown]
    assert [each.inference is not None for each in steps] == [False, True, False, False]
    assert [each.frame.seq for each in policy.inferred] == [0]
    loop.on_frame({"front": replace(second, seq=2)}, None)
    assert [each.frame.image is second.image for each in policy.inferred] == [False, True]


def test_a_busy_worker_is_left_alone_while_frames_go_on():
    policy = Recorder()
    with ThreadWorker(policy) as worker:
        loop = Loop(policy, worker, GOAL)
        for seq in range(5):
            loop.on_frame(frames(seq), None)
        assert len(policy.acted) == 5 and worker.busy
        policy.gate.set()
        until(lambda: not worker._finished.empty())
        loop.on_frame(frames(5), None)
        newest = policy.acted[-1][1]
        assert newest is not None and newest.text == "seen 0"
        until(lambda: len(policy.inferred) == 2)
        assert policy.inferred[1].frame.seq == 5  # the newest frame, not one that waited


def test_what_the_inference_raises_comes_out_of_the_loop():
    policy = Recorder()
    policy.error = FloatingPointError("the engine broke")
    policy.gate.set()
    with ThreadWorker(policy) as worker:
        loop = Loop(policy, worker, GOAL)
        loop.on_frame(frames(0), None)
        until(lambda: not worker._finished.empty())
        with pytest.raises(FloatingPointError, match="engine broke"):
            loop.on_frame(frames(1), None)
        assert not worker.busy


def test_a_second_submit_while_busy_is_an_error():
    policy = Recorder()
    with ThreadWorker(policy) as worker:
        observation = Observation({"front": frame(0)}, GOAL)
        worker.submit(observation)
        with pytest.raises(RuntimeError, match="busy"):
            worker.submit(observation)
        policy.gate.set()


def test_closing_tells_whether_the_inference_hangs(monkeypatch):
    monkeypatch.setattr(loop_module, "JOIN_S", 0.05)
    policy = Recorder()
    worker = ThreadWorker(policy)
    worker.submit(Observation({"front": frame(0)}, GOAL))
    until(lambda: policy.inferred)
    assert worker.close() is False
    policy.gate.set()
    until(lambda: not worker._thread.is_alive())
    assert worker.close() is True


def submitted_at(period_ns: int, stamps_ns: list[int], busy_frames: int = 0) -> list[int]:
    """Stamps of the frames submitted to a policy of this period; an answer takes `busy_frames` more."""

    class Slow(OneLater):
        left = 0

        def submit(self, observation: Observation) -> None:
            super().submit(observation)
            self.left = busy_frames

        def poll(self) -> Inference | None:
            self.left -= 1
            return super().poll() if self.left < 0 else None

    policy = Recorder()
    policy.gate.set()
    if period_ns:
        policy.period_ns = period_ns
    loop = Loop(policy, Slow(policy), GOAL)
    for stamp_ns in stamps_ns:
        loop.on_frame({"front": Frame(np.zeros((2, 2, 3), np.uint8), stamp_ns, 0)}, None)
    return [observation.frame.stamp_ns for observation in policy.inferred]


@pytest.mark.parametrize("rate_hz", [10, 12, 15, 30, 50])
def test_a_paced_policy_gets_frames_at_its_rate_whatever_the_cameras(rate_hz: int):
    rng = np.random.default_rng(rate_hz)
    gap_ns = 1e9 / rate_hz
    jitter = rng.uniform(-0.15, 0.15, 20 * rate_hz)
    kept = rng.uniform(size=20 * rate_hz) > (0.05 if rate_hz > 15 else 0)  # some frames are lost
    stamps_ns = [round((i + j) * gap_ns) for i, (j, k) in enumerate(zip(jitter, kept, strict=True)) if k]
    submitted_ns = submitted_at(100_000_000, stamps_ns)
    assert len(submitted_ns) == pytest.approx(200, abs=2), "10 times a second, without drift"
    off_ns = [abs(a - submitted_ns[0] - i * 100_000_000) for i, a in enumerate(submitted_ns)]
    assert np.median(off_ns) <= 0.5 * gap_ns


def test_without_a_period_every_frame_is_submitted_and_missed_turns_are_left_out():
    stamps_ns = [i * 33_333_333 for i in range(90)]
    assert len(submitted_at(0, stamps_ns)) == 89  # the last answer is not polled
    slow_ns = submitted_at(100_000_000, stamps_ns, busy_frames=4)  # an answer takes 167 ms
    gaps_ms = np.diff(slow_ns) / 1e6
    assert gaps_ms.min() > 160 and gaps_ms.max() < 240, "no burst to catch up"


class Picky(Recorder):
    """Wants every third frame."""

    def wants(self, observation: Observation, inference: Inference | None) -> bool:
        return observation.frame.seq % 3 == 0 and inference is None


def test_a_policy_that_picks_its_frames_infers_no_other():
    policy = Picky()
    policy.gate.set()
    with ThreadWorker(policy) as worker:
        loop = Loop(policy, worker, GOAL)
        for seq in range(9):
            loop.on_frame(frames(seq), ODOMETRY)
            until(lambda: not worker.busy or not worker._finished.empty())
    assert [each.frame.seq for each in policy.inferred] == [0, 3, 6]
    assert len(policy.acted) == 9


def test_after_a_doubt_answers_about_older_frames_than_it_stood_for_are_dropped() -> None:
    """The motor process would refuse them as out of order."""
    policy, sent = Recorder(), Sent()

    def step(seq: int, answered: int | None) -> Step:
        seen = Observation(frames(seq), GOAL, ODOMETRY)
        answer = None if answered is None else policy.act(Observation(frames(answered), GOAL, ODOMETRY), None)
        return Step(seen, answer, None)

    assert sent.choose(step(2, None), "frozen", False) is None
    assert sent.choose(step(3, 1), "", False) is None
    assert sent.choose(step(3, 2), "", False) is not None
    standing = sent.choose(step(6, 4), "frozen", False)
    assert standing is not None and standing.t0_ns == 6000 and not standing.values.any()
    assert sent.choose(step(8, 5), "", False) is None
    assert sent.choose(step(9, 6), "", False) is not None
