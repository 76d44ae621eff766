"""One measured drive: `python -m benchmarks.drives.drive OUT -- ARGUMENTS` of `vla-edge run`.

It is the run of `vla-edge run`: its loop, worker, policy, motor process and guard. Functions are wrapped
where things happen, and what is noted stays in memory until the drive is over.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.drives.camera import start_camera
from benchmarks.drives.motor import STAMPS_FILE
from benchmarks.drives.stamps import (
    AnswerStamps,
    FrameRead,
    RuntimeStamps,
    Slowed,
    drive_rows,
    peak_memory_mb,
)
from edge.bundle.bundle import load_bundle
from edge.cameras.shm import FrameRing
from edge.commands.run import Run
from edge.commands.run_arguments import choose_hardware, run_arguments
from edge.errors import EdgeError
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from edge.interfaces import Inference, Policy
from edge.model.boxes import BoxReader
from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.records import ActionChunk, Frame, Observation, Odometry
from edge.runs.setup import Setup
from edge.runtime.drive import Drive, DriveParts
from edge.runtime.robot import Robot


@dataclass
class ModelNotes:
    """What the engines did for one answer."""

    passes: int = 0  # through decode
    ends_cpu_ns: int = 0  # the thread's own time when the model had answered
    cpu_ms: dict[str, float] = field(default_factory=dict[str, float])  # by stage, the thread's own


class MeasuredRun(Run):
    """A run that notes when things happen."""

    def __init__(self, stamps: RuntimeStamps, slowed: Slowed, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.stamps = stamps
        self.slowed = slowed
        self.load_ms = 0.0
        self.model_notes = ModelNotes()

    def _start_motor(self, robot: Robot, setup: Setup) -> MotorProcess:
        limits = MotorLimits.of(setup.base)
        return MotorProcess.start(robot.motors_uri, limits, module="benchmarks.drives.motor")

    def _make_policy(self, setup: Setup, size: ApparentSize | None) -> Policy:
        begin_s = time.perf_counter()
        with _watched_engines(self.slowed, self.model_notes):
            policy = super()._make_policy(setup, size)
        self.load_ms = (time.perf_counter() - begin_s) * 1e3
        return policy

    def _make_drive(self, parts: DriveParts) -> Drive:
        _stamp_cameras(parts, self.stamps, self.slowed)
        _stamp_policy(parts, self.stamps, self.slowed, self.model_notes)
        drive = super()._make_drive(parts)
        run = drive._drive  # from the first frame to the last one: neither the warm-up nor the braking

        def stamped(max_seconds: float) -> Any:
            self.stamps.cpu_begin_s, self.stamps.start_ns = time.process_time(), time.monotonic_ns()
            try:
                return run(max_seconds)
            finally:
                self.stamps.cpu_end_s, self.stamps.end_ns = time.process_time(), time.monotonic_ns()

        drive._drive = stamped
        return drive


def _stamp_cameras(parts: DriveParts, stamps: RuntimeStamps, slowed: Slowed) -> None:
    following, pacing = parts.cameras.next, parts.cameras.pacing

    def stamped(odometry: Odometry | None = None) -> dict[str, Frame] | None:
        begin_ns, begin_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        if stamps.turn_begins:
            stamps.turns_ns.append(begin_ns - stamps.turn_begins)
        frames = following(odometry)
        stamps.turn_begins = begin_ns if frames is not None else 0
        if frames is not None:
            slowed.spin("capture", begin_cpu_ns)
            cpu_ns = time.thread_time_ns() - begin_cpu_ns
            stamps.reads[frames[pacing].stamp_ns] = FrameRead(begin_ns, time.monotonic_ns(), cpu_ns)
        return frames

    parts.cameras.next = stamped


def _stamp_policy(parts: DriveParts, stamps: RuntimeStamps, slowed: Slowed, notes: ModelNotes) -> None:
    policy: Any = parts.policy
    infer, act = policy.infer, policy.act
    newest: list[AnswerStamps] = []  # the one whose inference is under way; the worker's thread alone uses it
    reading = [0, 0]  # ns of this act that went into reading the answer: passed, and of the thread's own

    def stamped_infer(observation: Observation) -> Inference:
        answer = AnswerStamps(observation.frame.stamp_ns, time.monotonic_ns())
        newest[:] = [answer]
        notes.passes, notes.cpu_ms = 0, {}
        inference = infer(observation)
        answer.infer_ends, ends_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        answer.passes, answer.cpu_ms = notes.passes, notes.cpu_ms
        answer.cpu_ms["parse"] = (ends_cpu_ns - notes.ends_cpu_ns) / 1e6
        answer.stages_ms = inference.stages_ms
        if stamps.first_infer_ms is None:
            stamps.first_infer_ms = (answer.infer_ends - answer.infer_begins) / 1e6
        stamps.answers[answer.exposed] = answer
        return inference

    def stamped_act(observation: Observation, inference: Inference | None) -> ActionChunk | None:
        begin_ns, begin_cpu_ns, reading[:] = time.monotonic_ns(), time.thread_time_ns(), [0, 0]
        chunk = act(observation, inference)
        slowed.spin("plan", begin_cpu_ns)
        cpu_ns = time.thread_time_ns() - begin_cpu_ns
        if inference is not None:
            answer = stamps.answers[inference.frame.stamp_ns]
            answer.act_begins, answer.act_ends = begin_ns, time.monotonic_ns()
            answer.parse_ns = reading[0]
            answer.cpu_ms["parse"] += reading[1] / 1e6
            answer.cpu_ms["plan"] = (cpu_ns - reading[1]) / 1e6
            answer.chunk = None if chunk is None else (chunk.t0_ns, chunk.decision)
        return chunk

    policy.infer, policy.act = stamped_infer, stamped_act
    if model := getattr(policy, "_model", None):
        for name in ("ground", "caption", "step"):
            if hasattr(model, name):
                setattr(model, name, _stamped_model(getattr(model, name), newest, notes))
    if hasattr(policy, "_boxes"):
        policy._boxes = _TimedBoxes(policy._boxes, reading, slowed)
        policy.reset(parts.goal)  # what it has made of the boxes so far holds the other reader


def _stamped_model(ask: Any, newest: list[AnswerStamps], notes: ModelNotes) -> Any:
    def stamped(*arguments: Any, **options: Any) -> Any:
        newest[0].model_begins = time.monotonic_ns()
        said = ask(*arguments, **options)
        newest[0].model_ends, notes.ends_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        return said

    return stamped


class _TimedBoxes:
    """Reads boxes as its reader does, and adds up the time."""

    def __init__(self, reader: BoxReader, reading: list[int], slowed: Slowed) -> None:
        self._reader, self._reading, self._slowed = reader, reading, slowed

    def read(self, *arguments: Any) -> Any:
        begin_ns, begin_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        found = self._reader.read(*arguments)
        self._slowed.spin("parse", begin_cpu_ns)
        self._reading[0] += time.monotonic_ns() - begin_ns
        self._reading[1] += time.thread_time_ns() - begin_cpu_ns
        return found


@contextlib.contextmanager
def _watched_engines(slowed: Slowed, notes: ModelNotes) -> Any:
    """Note what the engines do that are opened within this context, and slow a stage."""
    # The modules that open engines; each has the functions under its own name.
    generation: Any = import_module("edge.model.generation")
    actions: Any = import_module("edge.model.actions")
    opens = generation.open_engine

    def watched(bundle: Any, stage: str, *more: Any) -> Any:
        engine = opens(bundle, stage, *more)
        # A head over several steps is the graph "window": its time is the head's.
        engine.run = _noted_call(engine.run, "head" if stage == "window" else stage, slowed, notes)
        return engine

    generation.open_engine = actions.open_engine = watched
    # It is looked up at each call, so it stays.
    generation.image_to_tensor = _noted_call(generation.image_to_tensor, "preprocess", slowed, notes)
    try:
        yield
    finally:
        generation.open_engine = actions.open_engine = opens


def _noted_call(call: Any, stage: str, slowed: Slowed, notes: ModelNotes) -> Any:
    def noted(*arguments: Any) -> Any:
        begin_ns = time.thread_time_ns()
        result = call(*arguments)
        slowed.spin(stage, begin_ns)
        spent_ms = (time.thread_time_ns() - begin_ns) / 1e6
        notes.cpu_ms[stage] = notes.cpu_ms.get(stage, 0.0) + spent_ms
        notes.passes += stage == "decode"
        return result

    return noted


def measured_run(run_type: type[MeasuredRun], argv: list[str], folder: Path) -> dict[str, Any]:
    """Drive, and return what was measured, or how the drive failed."""
    options = run_arguments().parse_args([*argv, "--runs-dir", str(folder), "--json"])
    os.environ[STAMPS_FILE] = str(folder / "motor.json")
    choice = choose_hardware(options)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved, engine=options.engine)
    goal = check_target(bundle, parse_goal(options.goal, options.target))
    stamps = RuntimeStamps()
    origin = bundle.origin() | {"bytes": sum(map(len, bundle.contents.values()))}
    run = run_type(stamps, Slowed.of_environment(), options, goal, bundle, choice)
    end = run.go()
    if end.exit_code not in (0, 3):
        return {"error": end.reason, "hint": end.hint, "exit_code": end.exit_code}
    assert run.summary is not None
    figures = run.summary.figures
    motor = json.loads((folder / "motor.json").read_text())
    first_ns = min((read.ends for read in stamps.reads.values()), default=None)
    seconds = (stamps.end_ns - stamps.start_ns) / 1e9
    return {
        **drive_rows(stamps, motor),
        "bundle": origin,
        "engine": bundle.manifest.target.engine,
        "threads": options.threads,
        "seconds": seconds,
        "start_ns": stamps.start_ns,
        "end_ns": stamps.end_ns,
        "first_frame_ns": first_ns,
        "load_ms": run.load_ms,
        "first_infer_ms": stamps.first_infer_ms,
        "passes": median(answer.passes for answer in stamps.answers.values()) if stamps.answers else 0,
        "turn_ms": median(stamps.turns_ns) / 1e6 if stamps.turns_ns else None,
        "frames": sum(stamps.start_ns <= read.ends for read in stamps.reads.values()),
        "answers": figures.decisions,
        "chunks": figures.chunks,
        "ticks": figures.ticks,
        "missed_ticks": figures.missed_ticks,
        "runtime_cpu_s": stamps.cpu_end_s - stamps.cpu_begin_s,
        "runtime_memory_mb": peak_memory_mb(),
        "motor_memory_mb": motor["memory_mb"],
        "motor_cpu_s": motor["cpu_s"],
        "writes_ns": motor["writes"],
    }


def main(argv: list[str], run_type: type[MeasuredRun] = MeasuredRun) -> int:
    """Drive once, and write what was measured, or the error, as JSON; return the exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.drives.drive", description="One measured drive.")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--pictures", type=Path, help="show these; without: the arguments name a camera")
    p.add_argument("--rate-hz", type=float, default=30.0)
    p.add_argument("arguments", nargs="*")
    a = p.parse_args(argv)
    ring = f"vla-edge-bench-{os.getpid()}"
    try:
        with contextlib.ExitStack() as stack:
            arguments, begin_ns = list(a.arguments), time.monotonic_ns()
            camera_ns = begin_ns
            if a.pictures is not None:
                camera = start_camera(ring, a.pictures, a.rate_hz)
                stack.callback(FrameRing.unlink, ring)
                stack.callback(camera.wait)
                assert camera.stdin is not None and camera.stdout is not None
                stack.callback(camera.stdin.close)
                stack.callback(camera.stdout.close)
                camera.stdout.readline()
                camera_ns = time.monotonic_ns()
                arguments += ["--camera", f"shm://{ring}", "--motors", "null://"]
            document = measured_run(run_type, arguments, a.out.parent)
            document["camera_start_s"] = (camera_ns - begin_ns) / 1e9  # robots have no such process
    except EdgeError as error:
        document = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
    except KeyboardInterrupt:
        return 130
    a.out.write_text(json.dumps(document))
    return document.get("exit_code", 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
