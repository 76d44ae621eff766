"""A run's numbers over time, for the page's plots: seconds since the start, and values in SI units."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from edge.report.material import RunMaterial, part
from edge.report.recording import ShownRecording

BLUE, GREEN, ORANGE, PURPLE, RED, GREY = "#2f6fde", "#1b9e77", "#e07b1a", "#9b59b6", "#c8372d", "#7a8499"
_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, RED, "#0e9aa7", "#b8860b", GREY)
MOST_POINTS = 6000  # each line's; a run of 60 s at 50 Hz has 3000
Plot = dict[str, Any]
Points = Iterable[tuple[float, float | None]]


def plots_of(run: RunMaterial) -> list[Plot]:
    """Return the plots of a run: title, unit, and lines with name, colour, seconds and values."""
    recording = run.recording
    plots = _of_recording(run, recording) if recording is not None else _of_folder(run)
    return [plot for plot in plots if plot["lines"]]


def spans_of(run: RunMaterial) -> list[dict[str, Any]]:
    """Return what the policy and the motor process were doing: rows of [from, to, state]."""
    recording = run.recording
    if recording is None:
        states = [(run.seconds(e.stamp_ns), e.values["state"]) for e in run.log if e.event == "policy"]
        return [{"name": "policy", "spans": _spans(states)}] if states else []
    policy = [(run.seconds(_frame_ns(each)), each["policy"]["state"]) for each in recording.ticks]
    motor = [(run.seconds(each["stamp_ns"]), each["state"]) for each in recording.motor]
    rows = {"policy": policy, "motor": motor}
    return [{"name": name, "spans": _spans(states)} for name, states in rows.items() if states]


def _of_recording(run: RunMaterial, recording: ShownRecording) -> list[Plot]:
    ticks, motor = recording.ticks, recording.motor
    wanted = [(run.seconds(_frame_ns(t)), t["decided"]["values"][0]) for t in ticks if _decides(t)]
    sent = [(run.seconds(each["stamp_ns"]), each["sent"]) for each in motor]
    moved = [(run.seconds(each["stamp_ns"]), _velocity(each)) for each in motor]
    plots: list[Plot] = []
    for title, unit, row, key in (
        ("speed ahead", "m/s", 0, "linear_x_m_s"),
        ("speed to the left", "m/s", 1, "linear_y_m_s"),
        ("turn", "rad/s", 2, "angular_z_rad_s"),
    ):
        lines = [
            _line("wanted", ORANGE, ((t, values[row]) for t, values in wanted)),
            _line("sent", BLUE, ((t, values[key]) for t, values in sent)),
            _line("moved", GREEN, ((t, values[key] if values else None) for t, values in moved)),
        ]
        if row != 1 or any(abs(y) > 0.01 for line in lines for y in line["y"] if y is not None):
            plots.append(_plot(title, unit, lines))
    return [*plots, _latency(run, recording), _ages(run, recording), _refusals(run, recording),
            _confidence(run, recording), *_machine(run, recording)]  # fmt: skip


def _latency(run: RunMaterial, recording: ShownRecording) -> Plot:
    answers = [
        (run.seconds(each["stamp_ns"]), each["inference"]["stages_ms"]) for each in recording.inferences
    ]
    names = list(dict.fromkeys(name for _, stages in answers for name in stages))
    lines = [_line("all", GREY, ((t, sum(stages.values())) for t, stages in answers))]
    for number, name in enumerate(names):
        points = ((t, stages.get(name)) for t, stages in answers)
        lines.append(_line(name, _COLOURS[number % len(_COLOURS)], points))
    return _plot("model, by stage", "ms", lines)


def _ages(run: RunMaterial, recording: ShownRecording) -> Plot:
    """Return how old what the wheels obey is: frame of the chunk, frame of the answer, frame to motor."""
    frames = {
        each["decided"]["decision"]: each["decided"]["t0_ns"] for each in recording.ticks if _decides(each)
    }
    chunk = [
        (run.seconds(each["stamp_ns"]), (each["stamp_ns"] - frames[each["decision"]]) / 1e6)
        for each in recording.motor
        if each["decision"] in frames and each["state"] == "following"
    ]
    answers = sorted((e["stamp_ns"], e["inference"]["frame"]["stamp_ns"]) for e in recording.inferences)
    came = [stamp_ns for stamp_ns, _ in answers]
    age: list[tuple[float, float | None]] = []
    for tick in recording.ticks:
        now_ns = tick["stamp_ns"]
        if newest := bisect_right(came, now_ns):
            age.append((run.seconds(_frame_ns(tick)), (now_ns - answers[newest - 1][1]) / 1e6))
    first: dict[int, tuple[float, float]] = {}
    for each in recording.motor:
        if each["frame_to_motor_ns"] >= 0:
            point = run.seconds(each["stamp_ns"]), each["frame_to_motor_ns"] / 1e6
            first.setdefault(each["decision"], point)
    lines = [
        _line("frame that is driven on", BLUE, chunk),
        _line("frame of the newest answer", ORANGE, age),
        _line("frame to motor", GREEN, first.values()),
    ]
    return _plot("ages", "ms", lines)


def _refusals(run: RunMaterial, recording: ShownRecording) -> Plot:
    motor = recording.motor
    names = [name for name, count in part(motor[-1] if motor else None, "refused").items() if count]
    lines = [
        _line(name, colour, ((run.seconds(each["stamp_ns"]), each["refused"][name]) for each in motor))
        for name, colour in zip(names, _COLOURS, strict=False)
    ]
    if motor and motor[-1]["missed_ticks"]:
        lines.append(
            _line("missed ticks", GREY, ((run.seconds(e["stamp_ns"]), e["missed_ticks"]) for e in motor))
        )
    return _plot("chunks refused so far", "", lines)


def _confidence(run: RunMaterial, recording: ShownRecording) -> Plot:
    points = ((run.seconds(e["stamp_ns"]), e["inference"]["confidence"]) for e in recording.inferences)
    return _plot("confidence of the model", "", [_line("", BLUE, points)])


def _machine(run: RunMaterial, recording: ShownRecording) -> list[Plot]:
    rows = [(run.seconds(stamp_ns), facts) for stamp_ns, facts in recording.machine]
    plots: list[Plot] = []
    for title, unit, key in (("temperature", "°C", "temperatures_c"), ("clocks", "MHz", "clocks_mhz")):
        names = list(dict.fromkeys(name for _, facts in rows for name in part(facts, key)))[: len(_COLOURS)]
        lines = [
            _line(name, _COLOURS[number], ((t, facts[key].get(name)) for t, facts in rows))
            for number, name in enumerate(names)
        ]
        plots.append(_plot(title, unit, lines))
    for title, unit, key, scale in (
        ("power", "W", "power_w", 1.0),
        ("memory that is free", "GiB", "memory_available_bytes", 2.0**-30),
        ("load of the machine", "", "load", 1.0),
    ):
        points = [(t, facts[key] * scale) for t, facts in rows if facts.get(key) is not None]
        plots.append(_plot(title, unit, [_line("", GREY, points)]))
    return plots


def _of_folder(run: RunMaterial) -> list[Plot]:
    """Return what a run that was not recorded tells: decisions.jsonl and the setpoints of its firmware."""
    sent = [(each["at_s"], each["sent"]["first_row"]) for each in run.decisions if _has_row(each)]
    obeyed = [(run.seconds(each["stamp_ns"]), each) for each in run.setpoints]
    plots = [
        _plot(
            title,
            unit,
            [
                _line("wanted", ORANGE, ((t, values[row]) for t, values in sent)),
                _line("at the firmware", BLUE, ((t, each[key]) for t, each in obeyed)),
            ],
        )
        for title, unit, row, key in (
            ("speed ahead", "m/s", 0, "linear_x"),
            ("turn", "rad/s", 2, "angular_z"),
        )
    ]
    for title, unit, key in (("model", "ms", "ms"), ("confidence of the model", "", "confidence")):
        points = ((each["at_s"], each[key]) for each in run.decisions)
        plots.append(_plot(title, unit, [_line("", BLUE, points)]))
    return plots


def _has_row(decision: dict[str, Any]) -> bool:
    return bool(decision.get("sent")) and bool(decision["sent"].get("first_row"))


def _frame_ns(tick: dict[str, Any]) -> int:
    """Return the stamp of the frame that the policy acted on."""
    frames = tick["frames"]
    return (frames.get(tick["camera"]) or next(iter(frames.values())))["stamp_ns"]


def _decides(tick: dict[str, Any]) -> bool:
    return tick["decided"] is not None and bool(tick["decided"]["values"])


def _velocity(status: dict[str, Any]) -> dict[str, float] | None:
    return None if status["odometry"] is None else status["odometry"]["velocity"]


def _plot(title: str, unit: str, lines: list[dict[str, Any]]) -> Plot:
    return {"title": title, "unit": unit, "lines": [line for line in lines if line["x"]]}


def _line(name: str, colour: str, points: Points) -> dict[str, Any]:
    kept = [(x, None if y is None or not math.isfinite(y) else float(f"{y:.4g}")) for x, y in points]
    step = -(-len(kept) // MOST_POINTS)
    kept = kept[:: max(step, 1)]
    if all(y is None for _, y in kept):
        kept = []
    return {"name": name, "colour": colour, "x": [x for x, _ in kept], "y": [y for _, y in kept]}


def _spans(states: list[tuple[float, str]]) -> list[list[Any]]:
    """Return [from, to, state] for each stretch of one state."""
    stretches = [(state, [t for t, _ in group]) for state, group in groupby(states, key=lambda each: each[1])]
    begins = [times[0] for _, times in stretches]
    ends = [*begins[1:], states[-1][0]]
    return [[a, b, state] for (state, _), a, b in zip(stretches, begins, ends, strict=True)]
