"""`vla-edge replay`: a recorded run once more, by the same policy and model or by another bundle."""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edge.base_spec import BaseSpec
from edge.bundle.bundle import Bundle, load_bundle
from edge.commands.arguments import ArgumentParser, add_engine, non_negative_int
from edge.commands.output import ProgressLine, print_json
from edge.errors import UsageError, write_hint
from edge.files import write_whole
from edge.goals.vocabulary import check_target
from edge.model.boxes import BoxReader
from edge.perception.apparent_size import ApparentSize
from edge.policies.open import BundlePolicy, make_policy
from edge.records import CameraMount
from edge.replay.decisions import DecisionReplay, replay_decisions
from edge.replay.model import ComparedAnswer, replay_model
from edge.replay.recording import RecordedRun, find_recording, without_end
from edge.runs.drawing import AnsweredFrame, draw_strip
from edge.runs.tap.options import Images
from edge.runs.tap.parts import part_of
from edge.runs.tap.plain import from_plain

LAYERS = ("decision", "model")
MOST_PICTURES = 100
LISTED = 10  # differences that are printed
DIFFERENT = 3  # exit code
LATE = "the recording begins in the middle of the drive, without what the policy knew by then"


@dataclass(frozen=True)
class Replayed:
    """What a replay found."""

    decision: DecisionReplay | None
    answers: tuple[int, int, list[ComparedAnswer]] | None  # compared, identical, those that differ
    pictures: Path | None

    def failed(self, allow: int) -> bool:
        """Return True if more differs than is allowed. A decision from the same answers never may."""
        decisions = self.decision is not None and self.decision.different > 0
        return decisions or (self.answers is not None and len(self.answers[2]) > allow)


def main(argv: list[str]) -> int:
    """Replay one recording; returns 3 if more decisions differ than --allow."""
    options = _parser().parse_args(argv)
    path = find_recording(options.run)
    recording = RecordedRun(path)
    bundle, same = _bundle(options, recording)
    exact = same and not recording.facts.late
    layers = [options.layer] if options.layer else [*LAYERS] if exact else ["model"]
    _check(recording, layers, same)
    decision = replay_decisions(_policy(bundle, recording), recording) if "decision" in layers else None
    answers = _answers(bundle, recording) if "model" in layers else None
    pictures = None
    if answers is not None and answers[2]:
        folder = options.out or path.with_name(f"{path.stem}.replay")
        pictures = _draw(answers[2], folder, recording.facts.header["prompt"])
    replayed = Replayed(decision, answers, pictures)
    if options.json:
        print_json(_json(replayed, recording, bundle))
    else:
        print("\n".join(_lines(replayed, recording, bundle)))
    return DIFFERENT if replayed.failed(options.allow) else 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "replay",
        "Replay a recorded run. Nothing moves. The decision layer: a fresh policy is given the recorded "
        "images, answers and times, and must decide the same, bit by bit. The model layer: the recorded "
        "images go through a bundle, and its answers are compared with the recorded ones.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a recording (.mcap), or a folder with one")
    parser.add_argument(
        "--bundle", help="the bundle, a name or a folder (the one that drove); another one: model layer only"
    )
    add_engine(parser)
    parser.add_argument("--layer", choices=LAYERS, help="replay only this layer")
    parser.add_argument(
        "--allow", type=non_negative_int, default=0, metavar="N", help="answers that may differ (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for pictures of answers that differ (RUN.replay)"
    )
    parser.add_argument(
        "--allow-unproved", action="store_true", help="accept a bundle that failed its export's gate"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _bundle(options: argparse.Namespace, recording: RecordedRun) -> tuple[Bundle, bool]:
    """Return the bundle, and whether it drove, by that engine. Raises UsageError if that is not there."""
    header = recording.facts.header
    wanted = header["bundle"]
    named = header["bundle_from"] if header["bundle_from"] != "auto" else wanted["name"]
    allowed = options.allow_unproved or not options.bundle
    drove_by = wanted.get("engine", "")
    bundle = load_bundle(options.bundle or named, allow_unproved=allowed, engine=options.engine or drove_by)
    same = bundle.sha256 == wanted["sha256"]
    if not same and not options.bundle:
        raise UsageError(
            f"bundle {named!r} is not the one that drove: sha256 {bundle.sha256[:12]}…, recorded "
            f"{wanted['sha256'][:12]}…",
            "`vla-edge replay RUN --bundle FOLDER` names the one that drove, or another one to compare",
        )
    if not same and options.layer == "decision":
        raise UsageError(
            f"the decision layer needs the bundle that drove, {wanted['name']!r} with sha256 "
            f"{wanted['sha256'][:12]}…",
            "leave --layer decision out to compare the answers of another one",
        )
    if same and bundle.engine != drove_by and options.layer == "decision":
        raise UsageError(
            f"the decision layer needs the engine that drove: {drove_by or 'what the bundle is for'}",
            "leave --layer decision out to compare the answers of another one",
        )
    check_target(bundle, recording.goal)
    return bundle, same and bundle.engine == drove_by


def _check(recording: RecordedRun, layers: list[str], same: bool) -> None:
    """Raise UsageError if the recording can't be replayed so."""
    images = recording.facts.header["images"]
    if images == Images.FEW.value:
        raise UsageError(
            f"{recording.path} holds few and small images: it can be looked at, not replayed",
            "record with `vla-edge run --record DIR`",
        )
    if "decision" not in layers:
        return
    if images != Images.LOSSLESS.value:
        raise UsageError(
            "the images of this recording are JPEGs: the tracker and the floor scan read pixels, so the "
            "decision layer can't be replayed bit by bit",
            "`--layer model` compares the model's answers; record with --record-images lossless",
        )
    if recording.facts.late:
        raise UsageError(
            f"the decision layer can't be replayed: {LATE}",
            "`--layer model` compares the model's answers; record from the start with `--record DIR`",
        )
    if recording.facts.missing:
        raise UsageError(
            f"{recording.facts.missing} events of the run are missing in the recording: the decision layer "
            "can't be replayed bit by bit",
            "`--layer model` compares the model's answers",
        )


def _policy(bundle: Bundle, recording: RecordedRun) -> BundlePolicy:
    header = recording.facts.header
    size = None if header["size"] is None else from_plain(ApparentSize, header["size"])
    mount, base = from_plain(CameraMount, header["mount"]), from_plain(BaseSpec, header["base"])
    return make_policy(bundle, recording.goal, mount, base, header["threads"], size=size)


def _answers(bundle: Bundle, recording: RecordedRun) -> tuple[int, int, list[ComparedAnswer]]:
    boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
    compared = identical = 0
    different: list[ComparedAnswer] = []
    total = len(recording.facts.inferences)
    with _policy(bundle, recording) as policy, ProgressLine() as progress:
        for answer in replay_model(policy, recording, boxes):
            compared += 1
            identical += answer.identical
            different += [answer] if answer.why else []
            progress.show("answers", compared, total)
    return compared, identical, different


def _draw(different: list[ComparedAnswer], folder: Path, prompt: str) -> Path:
    """Draw what differs, each in a file: left as it was recorded, right as it is now."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in different[:MOST_PICTURES]:
            sides = ((each.recorded, each.found_before), (each.replayed, each.found))
            strip = draw_strip(
                [
                    AnsweredFrame(
                        said.frame.image, each.at_s, prompt, f"{said.confidence:.2f}  {said.words}", found
                    )
                    for said, found in sides
                ]
            )
            png = cv2.imencode(".png", cv2.cvtColor(strip, cv2.COLOR_RGB2BGR))[1].tobytes()
            write_whole(folder / f"{each.number:06d}.png", png)
    except OSError as error:
        raise UsageError(f"can't write into {folder}: {error.strerror}", write_hint(error)) from error
    return folder


def _json(replayed: Replayed, recording: RecordedRun, bundle: Bundle) -> dict[str, Any]:
    facts, decision, answers = recording.facts, replayed.decision, replayed.answers
    document: dict[str, Any] = {
        "recording": str(recording.path),
        "bundle": bundle.origin(),
        "ended": facts.outcome["outcome"] if facts.outcome else None,
        "no_end_record": without_end(facts, recording.whole) or None,
        "missing_events": facts.missing,
        "begun_late": facts.late,
        "part": part_of(recording.path, facts.header, facts.went_on).words or None,
        "ended_by_a_person": facts.stopped,
    }
    if decision is not None:
        first = decision.first
        document["ticks"], document["ticks_different"] = decision.ticks, decision.different
        document["first_tick"] = None if first is None else {"tick": first.tick, "at_s": first.at_s}
    if answers is not None:
        compared, identical, different = answers
        document["decisions"], document["different"] = compared, len(different)
        document["identical"] = identical
        document["differences"] = [
            {"number": each.number, "at_s": each.at_s, "why": each.why} for each in different
        ]
        document["pictures"] = str(replayed.pictures) if replayed.pictures else None
    return document


def _lines(replayed: Replayed, recording: RecordedRun, bundle: Bundle) -> list[str]:
    facts, decision, answers = recording.facts, replayed.decision, replayed.answers
    ended = facts.outcome["reason"] if facts.outcome else without_end(facts, recording.whole)
    went_on = "the recording was ended by a person" if facts.stopped else "its engine was started again"
    lines = [f"{recording.path}: {ended or went_on}"]
    if part := part_of(recording.path, facts.header, facts.went_on).words:
        lines.append(f"this is {part}")
    if recording.facts.late:
        lines.append(f"decision layer: not replayed, {LATE}")
    if decision is not None:
        same = (
            f"{decision.ticks - decision.different} of {decision.ticks} frames decided the same, bit by bit"
        )
        lines.append(f"decision layer: {same}")
    if decision is not None and (first := decision.first) is not None:
        lines.append(f"  first at {first.at_s:.2f} s, frame {first.tick}:")
        lines += [f"    recorded {first.recorded}", f"    replayed {first.replayed}"]
    if answers is not None:
        compared, identical, different = answers
        name = bundle.manifest.name
        lines.append(
            f"model layer, {name}: {len(different)} of {compared} answers differ, {identical} identical"
        )
        lines += [
            f"  {each.at_s:6.2f} s  {each.why}: {each.recorded.words} | {each.replayed.words}"
            for each in different[:LISTED]
        ]
        kinds = Counter(each.why.partition(" (")[0] for each in different)
        if len(different) > LISTED:
            lines.append("  in all: " + ", ".join(f"{count} {why}" for why, count in kinds.most_common()))
        if replayed.pictures is not None:
            lines.append(f"pictures: {replayed.pictures}/")
    return lines
