"""What happened in a run, in words: sentences, and events with their seconds."""

import re
from collections import defaultdict
from typing import Any

from edge.report.material import RunMaterial, part, parts
from edge.report.run_log import LogLine
from edge.report.series import spans_of

_FACTS = ("run starts", "bundle", "mount", "base", "robot", "machine", "processes", "cameras")
_LOCATIONS = re.compile(r"<[a-z_]*\d{2,5}>")
_LOUD = ("warning", "error", "critical")
Event = dict[str, Any]


def events_of(run: RunMaterial) -> list[Event]:
    """Return what happened, in order: seconds, words, whether it is a warning, whether the base stopped."""
    ended = any(line.event == "drive ended" for line in run.log)
    hidden = (*_FACTS, *(["run ended"] if ended else []))
    events = [_event(run, line) for line in run.log if line.event not in hidden]
    if (seen := _first_seen(run)) is not None:
        events.append(seen)
    events += _from_motor(run)
    return sorted(events, key=lambda each: each["t"])


def headline_of(run: RunMaterial) -> str:
    """Return how it ended, on one line."""
    if run.summary is not None:
        return f"{run.summary['outcome']}: {run.summary['reason']}"
    end = None if run.recording is None else run.recording.end
    return "it has no end" if end is None else f"{end['outcome']}: {end['reason']}"


def words_of(run: RunMaterial) -> list[str]:
    """Return the run in sentences."""
    summary = run.summary or {}
    words = [_what(run)]
    if hint := summary.get("hint"):
        words.append(f"What to do: {hint}.")
    if summary.get("seconds"):
        words.append(_drive(summary))
    if states := _states(run):
        words.append(f"The policy: {states}.")
    for contact in parts(summary, "contacts"):
        words.append(f"It touched something after {contact['at_s']:.1f} s: {contact['why']}.")
    by_hand = part(summary, "interventions")
    if times := by_hand.get("number"):
        words.append(f"A person drove {times} times, for {by_hand['seconds']:.1f} s.")
    refused = {name: count for name, count in part(summary, "refused_chunks").items() if count}
    if refused:
        counts, total = ", ".join(f"{count} {name}" for name, count in refused.items()), sum(refused.values())
        words.append(f"The motor process did not follow {total} chunk{'s' * (total > 1)}: {counts}.")
    for late in ("slowed_s", "stop_look_move_s"):
        if summary.get(late):
            how = "stood for each answer" if late == "stop_look_move_s" else "drove slower"
            words.append(f"Answers came late: it {how} for {summary[late]:.1f} s.")
    if run.trial is not None:
        words.append(_trial(run.trial))
    return words


def said(inference: dict[str, Any], read: object) -> str:
    """Return an answer of the model in words: boxes by what they are named."""
    found = parts(part({"read": read}, "read"), "detections") or parts(inference, "detections")
    boxes = [f"{each['label']} {each['confidence']:.2f}" for each in found]
    return ", ".join(boxes) or _LOCATIONS.sub("", inference["text"]).strip()


def _what(run: RunMaterial) -> str:
    summary = run.summary
    header = {} if run.recording is None else run.recording.header
    goal = summary or {**part(header, "goal"), "goal": part(header, "goal").get("kind", "")}
    bundle = part(summary or header, "bundle").get("name", "")
    target = f' "{goal.get("target")}"' if goal.get("target") else ""
    return f"{goal.get('goal', 'A run')}{target} with the bundle {bundle}. {headline_of(run)}."


def _drive(summary: dict[str, Any]) -> str:
    answers = f"{summary['decisions']} answers of the model"
    if summary.get("detections"):
        answers += f", {summary['detections']} with the target"
    late = part(summary, "frame_to_motor_ms").get("p99")
    motor = "" if late is None else f"; from frame to motors in {late:.0f} ms (99 %)"
    return f"{summary['seconds']:.1f} s, {summary.get('distance_m', 0):.2f} m; {answers}{motor}."


def _states(run: RunMaterial) -> str:
    row = next((each for each in spans_of(run) if each["name"] == "policy"), None)
    if row is None:
        return ""
    end_s = (run.summary or {}).get("seconds") or 0.0
    seconds: dict[str, float] = defaultdict(float)
    for number, (begin, end, state) in enumerate(row["spans"], start=1):
        seconds[state] += max(end, end_s if number == len(row["spans"]) else end) - begin
    return ", ".join(f"{state} {passed:.1f} s" for state, passed in seconds.items())


def _trial(trial: dict[str, Any]) -> str:
    verdict = "does not count" if trial["void"] else "reached" if trial["reached"] else "not reached"
    seen = "seen" if trial["seen"] else "unseen"
    note = f"; {trial['note']}" if trial["note"] else ""
    return (
        f"A trial in {trial['setting']} ({seen}), scene {trial['scene']}: {verdict}, by the "
        f"{trial['judged_by']}, {trial['interventions']} interventions{note}."
    )


def _event(run: RunMaterial, line: LogLine) -> Event:
    values = dict(line.values)
    what, stop = line.event, line.event == "base stopped"
    if line.event == "policy":
        what = f"the policy: {values.pop('state', '')}"
    elif stop:
        what = f"the base stopped: {values.pop('reason', '')}"
    elif line.event in ("drive ended", "run ended"):
        what = f"{line.event}: {values.pop('outcome', '')}, {values.pop('reason', '')}"
    details = ", ".join(f"{key} {value}" for key, value in values.items() if value)
    loud = line.level in _LOUD
    return {"t": run.seconds(line.stamp_ns), "what": what, "more": details, "loud": loud, "stop": stop}


def _from_motor(run: RunMaterial) -> list[Event]:
    """Return what the motor process reported while it drove: new reasons to limit, and contacts."""
    events: list[Event] = []
    reason, contacts = "", 0
    for status in run.recording.motor if run.recording is not None else []:
        t = run.seconds(status["stamp_ns"])
        if status["contacts"] > contacts:
            what = f"contact {status['contacts']}: {status['reason']}"
            events.append({"t": t, "what": what, "more": "", "loud": True, "stop": True})
        elif status["state"] == "following" and status["reason"] not in ("", reason):
            what = f"limited: {status['reason']}"
            events.append({"t": t, "what": what, "more": "", "loud": False, "stop": False})
        reason, contacts = status["reason"], status["contacts"]
    return events


def _first_seen(run: RunMaterial) -> Event | None:
    """Return when the model first named the target, if it did."""
    recorded = [] if run.recording is None else run.recording.inferences
    answers = [(run.seconds(each["stamp_ns"]), each) for each in recorded]
    for t, each in answers or [(each["at_s"], each) for each in run.decisions]:
        if found := parts(part(each, "read"), "detections"):
            what = f"the model sees it first: {found[0]['label']} {found[0]['confidence']:.2f}"
            return {"t": t, "what": what, "more": "", "loud": False, "stop": False}
    return None
