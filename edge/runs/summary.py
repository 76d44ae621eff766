"""The summary of a run: summary.json, and the same for people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.records import DriveEnd, Goal, Outcome, Refusals, StopCause


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The median and the 99th percentile of a measurement. None where nothing was measured."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in a run."""

    seconds: float  # since the drive's start
    distance_m: float
    decisions: int  # inferences
    detections: int  # inferences with a box in them
    cut_answers: int  # inferences that were stopped at the token limit
    latency_ms: Mapping[str, Percentiles]  # milliseconds by stage of the model, and "total"
    frame_to_motor_ms: Percentiles  # milliseconds from a frame's capture to its first setpoint
    missed_ticks: int  # ticks that the motor process left out because it was late
    ticks: int
    refused_chunks: Refusals


@dataclass(frozen=True, slots=True)
class Summary:
    """One run, from its end to its figures."""

    end: DriveEnd
    goal: Goal
    moves: bool  # the goal needs motion; the others end in an answer
    figures: Figures
    bundle: str
    bundle_sha256: str
    engine: str
    robot: str  # for people; may be empty
    truth: Mapping[str, Any]  # what a simulated robot knows about the run; may be empty
    folder: str

    def to_json(self) -> dict[str, Any]:
        """Return the document of summary.json. Null where nothing was measured or known."""
        end = self.end
        return {
            "outcome": end.outcome.value,
            "reason": end.reason,
            "cause": None if end.cause is StopCause.NONE else end.cause.value,
            **({"hint": end.hint} if end.hint else {}),
            **({} if self.moves else {"answer": end.answer}),
            **({} if end.kept_fraction is None else {"kept_fraction": end.kept_fraction}),
            "exit_code": end.exit_code,
            "goal": self.goal.kind,
            "target": self.goal.target,
            **asdict(self.figures),
            "bundle": {"name": self.bundle, "sha256": self.bundle_sha256},
            "engine": self.engine,
            "robot": self.robot,
            "truth": dict(self.truth) or None,
            "folder": self.folder,
        }

    @property
    def headline(self) -> str:
        """How it ended, on one line."""
        end = self.end
        if end.outcome is Outcome.FALSE_ARRIVAL:
            return end.reason
        answered = end.outcome is Outcome.REACHED and not self.moves
        return f"{end.outcome.value}: {(answered and end.answer) or end.reason}"

    def lines(self) -> list[str]:
        """Return the summary for people; without what went wrong, which belongs on stderr."""
        end, figures = self.end, self.figures
        lines: list[str] = []
        if end.outcome is not Outcome.FAULT:
            lines.append(self.headline)
        if self.robot:
            lines.append(self.robot)
        lines.append(
            f"{figures.seconds:.1f} s, {figures.distance_m:.2f} m, {figures.decisions} decisions"
            + (f", {figures.detections} of them saw the target" if figures.detections else "")
            + (f", {figures.cut_answers} answers cut off" if figures.cut_answers else "")
        )
        if (p99_ms := figures.frame_to_motor_ms.p99) is not None:
            missed = f"{figures.missed_ticks} of {figures.ticks} motor ticks missed"
            lines.append(f"frame to motor {p99_ms:.0f} ms (99 %), {missed}")
        counts = asdict(figures.refused_chunks)
        del counts["early"]  # every run begins with frames from before arming
        if refused := [f"{count} {reason}" for reason, count in counts.items() if count]:
            lines.append(f"chunks that the motor process refused: {', '.join(refused)}")
        return lines
