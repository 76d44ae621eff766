"""The summary of a run: summary.json, and the same for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.motor.operator.interventions import NO_INTERVENTIONS, Interventions
from edge.records import DriveEnd, Goal, Outcome, Refusals, StopCause
from edge.runs.setup import Setup
from edge.runs.would_do import Stretch, would_do_lines

# A higher share of chunks set aside is felt. Measured drives stay under 0.01.
NORMAL_SHARE = 0.1
REFUSED_WHY = {
    "malformed": "malformed",
    "future": "about a frame from the future",
    "repeated": "repeated or out of order",
    "old": "too late",
    "unsure": "too unsure, so that the base stood meanwhile",
    "jumps": "too unlike the one before",
    "messages": "unreadable",
}
_BROKEN = ("malformed", "future", "repeated", "messages")  # reasons that no sound policy and clock give


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The median and the 99th percentile of a measurement. None where nothing was measured."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Contact:
    """When and where the base touched something, and what told of it."""

    at_s: float  # since the drive's start
    x_m: float | None  # by its odometry, where it has some
    y_m: float | None
    why: str


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
    chunks: int  # sent to the motor process
    refused_chunks: Refusals
    contacts: tuple[Contact, ...] = ()
    slowed_s: float = 0.0  # driven more slowly, as answers came late
    slowed_to_m_s: float | None = None  # the lowest of the highest speeds meanwhile
    stop_look_move_s: float = 0.0  # driven by stop-look-move, as answers came later still
    interventions: Interventions = NO_INTERVENTIONS  # times that a person drove


@dataclass(frozen=True, slots=True)
class Summary:
    """One run, from its end to its figures."""

    end: DriveEnd
    goal: Goal
    moves: bool  # the goal needs motion; the others end in an answer
    figures: Figures
    bundle: Mapping[str, str]  # name, sha256, and why it was chosen if nobody named it
    engine: str
    robot: str  # for people; may be empty
    truth: Mapping[str, Any]  # what a simulated robot knows about the run; may be empty
    folder: str
    setup: Setup | None = None  # None before the robot is open
    would_do: Sequence[Stretch] | None = None  # on recorded frames, in which nothing moves
    machine: Mapping[str, Any] = field(default_factory=dict[str, Any])  # its board, power mode and heat
    restarts: Sequence[
        Mapping[str, Any]
    ] = ()  # times that its engine was started again; the figures are those since the last one
    recordings: Sequence[str] = ()  # files that were recorded; known once they are whole

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
            "bundle": dict(self.bundle),
            "engine": self.engine,
            "robot": self.robot,
            **({} if self.setup is None else self.setup.to_json()),
            "truth": dict(self.truth) or None,
            **({} if self.would_do is None else {"would_do": [each.to_json() for each in self.would_do]}),
            **({"machine": dict(self.machine)} if self.machine else {}),
            "restarts": [dict(each) for each in self.restarts],
            **({"recordings": list(self.recordings)} if self.recordings else {}),
            "folder": self.folder,
        }

    @property
    def headline(self) -> str:
        """How it ended, on one line."""
        end = self.end
        if end.outcome in (Outcome.FALSE_ARRIVAL, Outcome.FALSE_ANSWER):
            return end.reason
        if end.cause is StopCause.INTERRUPTED:
            return f"{end.outcome.value} by {'Ctrl-C' if end.reason == 'SIGINT' else end.reason}"
        if not self._answers:
            return f"{end.outcome.value}: {end.reason}"
        how = "said" if end.outcome is Outcome.REACHED else end.outcome.value
        return f"{how}: {end.answer or end.reason}"

    @property
    def title(self) -> str:
        """The goal and how it ended, short, for a drawing."""
        end, goal = self.end, " ".join(filter(None, (self.goal.kind, self.goal.target)))
        if self._answers:
            return f"{goal}, {self.headline}"
        false = end.outcome is Outcome.FALSE_ARRIVAL
        return f"{goal}: {end.reason.partition(' (')[0] if false else end.outcome.value}"  # limits don't fit

    @property
    def _answers(self) -> bool:
        return not self.moves and self.would_do is None  # the answers to a recording are listed

    def lines(self) -> list[str]:
        """Return the summary for people; without what went wrong, which belongs on stderr.

        What a model said may hold characters that would move a terminal's cursor: they become blanks.
        """
        return [printable(line) for line in self._lines()]

    def _lines(self) -> list[str]:
        end, figures = self.end, self.figures
        lines: list[str] = []
        if end.outcome is not Outcome.FAULT:
            lines.append(self.headline)
        if self.robot:
            lines.append(self.robot)
        lines += [_restart_line(each) for each in self.restarts]
        lines += would_do_lines(list(self.would_do or ()))
        if figures.seconds == 0:
            return lines  # it never drove
        # A recording goes nowhere.
        distance = f", {figures.distance_m:.2f} m" if self.would_do is None else ""
        lines.append(
            f"{figures.seconds:.1f} s{distance}; {_count(figures.decisions, 'answer')} of the model"
            + (f", {figures.detections} with the target" if figures.detections else "")
            + (f", {figures.cut_answers} cut off" if figures.cut_answers else "")
        )
        if (p99_ms := figures.frame_to_motor_ms.p99) is not None:
            missed = f"{figures.missed_ticks} of {figures.ticks} motor ticks missed"
            lines.append(f"from frame to motors in {p99_ms:.0f} ms (99 %), {missed}")
        return (
            lines
            + _hand_lines(figures.interventions)
            + _contact_lines(figures)
            + _late_lines(figures)
            + _heat_lines(self.machine)
            + _set_aside_lines(figures, end.cause)
        )


def _restart_line(restart: Mapping[str, Any]) -> str:
    stood_s = restart["stood_s"]
    then = "it never drove on" if stood_s is None else f"stood for {stood_s:.1f} s, then drove on"
    return f"the engine was started again after {restart['after_s']:.1f} s ({restart['reason']}): {then}"


def printable(text: str) -> str:
    """Return the text on one line, without characters that a terminal would act on."""
    return "".join(each if each.isprintable() else " " for each in text)


def slow_words(slowed_to_m_s: float) -> str:
    """Return for people how a policy drives whose answers come late."""
    return f"slowed to {slowed_to_m_s:.2f} m/s" if slowed_to_m_s else "stop-look-move"


def _hand_lines(by_hand: Interventions) -> list[str]:
    """Say how often and for how long a person drove; nothing if nobody did."""
    if not by_hand.number:
        return []
    return [f"a person drove {_count(by_hand.number, 'time')}, for {by_hand.seconds:.1f} s"]


def _contact_lines(figures: Figures) -> list[str]:
    """Say when, where and how the base touched something; nothing if it did not."""
    touched = figures.contacts
    lines = [f"touched something {len(touched)} times:"] if len(touched) > 1 else []
    for each in touched:
        where = "" if each.x_m is None else f" at x {each.x_m:.2f} m, y {each.y_m:.2f} m"
        lines.append(f"{'  ' if lines else 'touched something '}after {each.at_s:.1f} s{where}: {each.why}")
    return lines


def _late_lines(figures: Figures) -> list[str]:
    """Say for how long late answers slowed the run; nothing if they did not."""
    times = ((figures.slowed_to_m_s, figures.slowed_s), (0.0, figures.stop_look_move_s))
    parts = [f"{slow_words(speed or 0.0)} for {seconds:.1f} s" for speed, seconds in times if seconds]
    return [f"answers came late: {', '.join(parts)}"] if parts else []


def _heat_lines(machine: Mapping[str, Any]) -> list[str]:
    """Say for how long heat slowed the run; nothing if it did not."""
    rest_s, slow_s = machine.get("rest_s", 0.0), machine.get("slow_s", 0.0)
    if not rest_s:
        return []
    slower = f", the base drove slower for {slow_s:.0f} s" if slow_s else ""
    hottest = f" ({machine['hottest']} {machine['hottest_c']:.0f} °C)" if machine.get("hottest") else ""
    return [f"the machine was hot{hottest}: the model rested for {rest_s:.0f} s{slower}"]


def _set_aside_lines(figures: Figures, cause: StopCause) -> list[str]:
    """Say how many chunks the motor process did not follow, why, and whether that matters."""
    counts = asdict(figures.refused_chunks)
    chunks = figures.chunks - counts.pop("early")  # every run begins with frames from before arming
    reasons = [f"{count} {REFUSED_WHY[reason]}" for reason, count in counts.items() if count]
    if not reasons:
        return []
    aside = sum(counts.values())
    line = f"the motor process set {aside} of {_count(chunks, 'chunk')} aside: {', '.join(reasons)}"
    if any(counts[reason] for reason in _BROKEN):
        return [line, "  that should not happen: run.log tells when it did"]
    if cause in (StopCause.STALE_CHUNK, StopCause.JUMPING_CHUNK):
        return [line]  # the error tells why the base stopped
    if aside <= NORMAL_SHARE * chunks:
        return [line, "  that is normal: the base drove on by the chunk before"]
    hint = "close what else uses this machine, or take another bundle"
    return [line, f"  that is much, and the base drove in jerks: {hint}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
