"""`vla-edge eval`: its options, and what it prints: figures, and runs that show the rooms that went wrong."""

import argparse
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.success import EpisodeSettings, Trial, evaluate, measured_latency_s, summarize, targets
from edge.bundle.bundle import load_bundle
from edge.bundle.choice import AUTO, AUTO_HELP, choose_here
from edge.commands.arguments import (
    ArgumentParser,
    add_engine,
    non_negative_float,
    non_negative_int,
    parallel_int,
    positive_float,
    positive_int,
)
from edge.commands.field.command import main as field
from edge.commands.output import ProgressLine, counted, figure, print_json
from edge.errors import UsageError
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from edge.perception.lens import Lens
from edge.robots.robot_file import MEASURED, read_robot_file
from edge.runtime.cameras import DEFAULT_CAMERA
from sim.bases import parse_base, parse_response
from sim.lockstep import parse_camera
from sim.world import WHEELS

SHOWN = 10  # rooms that are listed for people; --json has all


def failures(trials: Sequence[Trial], settings: EpisodeSettings, robot: str) -> list[dict[str, Any]]:
    """Return the rooms that failed or were touched: seed, target, what happened, the run that shows it.

    `robot` is what `robot_of` returns: `settings` holds it as specs.
    """
    return [
        {
            "seed": trial.seed,
            "target": trial.target,
            "what": what,
            "command": shlex.join(run_command(trial, settings, robot)),
        }
        for trial in trials
        if (what := _what_happened(trial, settings.absent))
    ]


def run_command(trial: Trial, settings: EpisodeSettings, robot: str) -> list[str]:
    """Return the command that drives in the room of a trial, with the same bundle, robot and target."""
    command = ["vla-edge", "run", "--goal", "find_object", "--target", trial.target]
    command += ["--seed", str(trial.seed), "--bundle", settings.bundle]
    command += ["--max-seconds", f"{settings.max_s:g}"]
    measured = settings.camera.lens or settings.camera.known_delay_s or settings.measured
    named = robot if measured else f"sim?{robot}"
    command += ["--robot", named] if robot else []
    command += ["--absent"] if settings.absent else []
    command += ["--engine", settings.engine] if settings.engine else []
    return [*command, "--allow-unproved"] if settings.allow_unproved else command


def _what_happened(trial: Trial, absent: bool) -> str:
    """Say what went wrong in an episode; empty if nothing did."""
    episode = trial.episode
    times = "once" if episode.bumps == 1 else f"{episode.bumps} times"
    found = [f"touched something {times} ({episode.contacts} noticed)"] if episode.bumps else []
    if episode.stopped:
        return " and ".join([f"stopped after {episode.seconds:.0f} s: {episode.stopped}", *found])
    if episode.claimed and (absent or not episode.success):
        found.insert(0, f"claimed a false arrival after {episode.seconds:.0f} s")
    elif not absent and not episode.success:
        found.insert(0, f"had not arrived after {episode.seconds:.0f} s")
    return " and ".join(found)


def table(summary: dict[str, Any]) -> str:
    """Return the figures for people."""
    low, high = summary["wilson95"]
    seconds = summary["median_seconds"]
    bundle = summary["bundle"]
    chosen = f" ({bundle['chosen']})" if "chosen" in bundle else ""
    lines = [
        f"bundle          {bundle['name']}{chosen}",
        f"success         {summary['success']:.3f}   "
        f"(95 %: {low:.3f} to {high:.3f}, {counted(summary['episodes'], 'episode')})"
        f"{': never claimed an arrival' if summary['absent'] else ''}",
    ]
    lines += [
        f"  {name:<12}  {row['success']:.2f}    of {row['episodes']}"
        for name, row in summary["per_target"].items()
    ]
    lines += [
        f"collisions      {summary['collisions']:.3f}   of the episodes",
        f"contacts        {summary['contacts']['touched']}       {summary['contacts']['noticed']} noticed; "
        f"at most {summary['contacts']['most_touched']} in a room",
        f"false arrivals  {summary['false_arrivals']:.3f}",
    ]
    if not summary["absent"]:
        lines += [
            f"median time     {figure(seconds, 1)}{' s' if seconds is not None else '       none arrived'}",
            f"SPL             {summary['spl']:.3f}   1: all arrive, on the shortest way",
        ]
    wrong = summary["failures"]
    if wrong:
        rooms = counted(len(wrong), "room")
        lines += ["", f"Something went wrong in {rooms}. A run shows it; in real time it may end otherwise."]
    for row in wrong[:SHOWN]:
        lines += [f"seed {row['seed']}, {row['target']}: {row['what']}", f"  {row['command']}"]
    if len(wrong) > SHOWN:
        lines.append(f"and {len(wrong) - SHOWN} more, which --json lists")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    p = ArgumentParser("eval", "Measure success rates over simulated episodes, in lockstep.")
    p.add_argument(
        "--suite",
        default="sim",
        choices=["sim", "real"],
        help="where to drive: simulated rooms, or the trials of a sheet",
    )
    p.add_argument("--sheet", metavar="FILE", help="with --suite real: what `vla-edge field` takes")
    p.add_argument("--goal", default="find_object", help="what is judged; only %(default)s has a rule")
    p.add_argument("--target", help="default: every kind in turn, half of them with a colour")
    p.add_argument("--episodes", type=positive_int, default=100, help="rooms to drive in (%(default)s)")
    p.add_argument("--seed", type=non_negative_int, default=1000, help="seed of the first room (%(default)s)")
    p.add_argument("--bundle", default=AUTO, help=AUTO_HELP)
    p.add_argument(
        "--base", default="", help='the base under the robot, such as "drive=differential&speed_m_s=0.25"'
    )
    p.add_argument(
        "--camera", default="", help='how the camera hangs, and its faults: "upside_down=yes&flip=180"'
    )
    p.add_argument("--no-floor", action="store_true", help="the policy does not see where the floor ends")
    p.add_argument("--wheels", default=WHEELS[0], choices=WHEELS, help="what they do (%(default)s)")
    p.add_argument("--no-bumper", action="store_true", help="contacts are felt by wheels and picture alone")
    p.add_argument("--signs", action="store_true", help="words on the walls, such as STOP and go left")
    p.add_argument(
        "--lens",
        type=Path,
        metavar="FILE",
        help="a robot file whose measured lens straightens the images, and whose measured delay counts",
    )
    p.add_argument(
        "--response", default="", help='what its wheels make of setpoints: "scale=0.8&dead_band=0.05"'
    )
    p.add_argument(
        "--motion", type=Path, metavar="FILE", help="a robot file whose measured motion corrects setpoints"
    )
    p.add_argument("--absent", action="store_true", help="the named object is not in the room")
    p.add_argument("--jobs", type=parallel_int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    p.add_argument("--latency-ms", type=non_negative_float, help="default: as measured on this machine")
    p.add_argument(
        "--max-seconds",
        type=positive_float,
        default=60.0,
        help="simulated seconds of an episode (%(default)g)",
    )
    p.add_argument(
        "--allow-unproved", action="store_true", help="also a bundle that failed its export's gate"
    )
    add_engine(p)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p


def main(argv: list[str]) -> int:
    """Run `vla-edge eval` and return the exit code."""
    if (words := _words_for_field(argv)) is not None:
        return field(words)
    a = _parser().parse_args(argv)
    if a.sheet is not None:
        raise UsageError("--sheet goes with --suite real", "--suite real --sheet FILE")
    if a.goal != "find_object":
        raise UsageError(f"the simulated suite has no success rule for {a.goal}", "--goal find_object")
    if a.signs and a.lens is not None:
        raise UsageError("--signs and --lens don't go together", "leave one of them out")
    base, camera = parse_base(a.base), parse_camera(a.camera)
    if a.lens is not None:
        lens, known_delay_s = seen_in(a.lens)
        camera = replace(camera, lens=lens, known_delay_s=known_delay_s)
    bundle = load_bundle(a.bundle, allow_unproved=a.allow_unproved, engine=a.engine)
    response, measured = parse_response(a.response), {} if a.motion is None else motion_in(a.motion)
    goals = [check_target(bundle, parse_goal(a.goal, name)) for name in targets(a.episodes, a.seed, a.target)]
    latency_s = measured_latency_s(bundle) if a.latency_ms is None else a.latency_ms / 1e3
    name = choose_here(a.engine).name if a.bundle == AUTO else a.bundle  # the same one on another machine
    settings = EpisodeSettings(
        name,
        latency_s,
        a.max_seconds,
        a.absent,
        a.allow_unproved,
        base,
        camera,
        floor=not a.no_floor,
        wheels=a.wheels,
        bumper=not a.no_bumper,
        signs=a.signs,
        engine=a.engine,
        response=response,
        measured=measured,
    )
    with ProgressLine() as progress:
        progress.show("episodes", 0, len(goals), f"each answer {latency_s * 1e3:.0f} ms after its frame")
        trials = evaluate(
            settings,
            goals,
            a.seed,
            min(a.jobs, a.episodes),
            lambda over: progress.show("episodes", len(over), len(goals), _so_far(over, a.absent)),
        )
    summary = summarize(trials, a.absent) | {
        "episodes": len(trials),
        "seed": a.seed,
        "absent": a.absent,
        "latency_ms": round(latency_s * 1e3, 1),
        "max_seconds": a.max_seconds,
        **({"base": a.base} if a.base else {}),
        **({"camera": a.camera} if a.camera else {}),
        **({"lens": str(a.lens)} if a.lens else {}),
        **({"signs": True} if a.signs else {}),
        **({"response": a.response} if a.response else {}),
        **({"motion": str(a.motion)} if a.motion else {}),
        "failures": failures(trials, settings, robot_of(a)),
        "bundle": bundle.origin(),
    }
    print_json(summary) if a.json else print(table(summary))
    return 0


def robot_of(a: argparse.Namespace) -> str:
    """Return what names the robot of an evaluation for a run: a file of its measures, or its settings."""
    if file := a.lens or a.motion:
        return str(file)
    named = [a.base, a.camera, a.response, "signs=yes" if a.signs else "", "bumper=no" if a.no_bumper else ""]
    return "&".join(filter(None, [*named, f"wheels={a.wheels}" if a.wheels != WHEELS[0] else ""]))


def _words_for_field(argv: list[str]) -> list[str] | None:
    """Return what `vla-edge field` gets of --suite real; None for another suite. Raises UsageError."""
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    p.add_argument("--suite")
    p.add_argument("--sheet")
    known, others = p.parse_known_args(argv)
    if known.suite != "real" or {"-h", "--help"} & set(others):
        return None
    if known.sheet is None:
        raise UsageError("--suite real needs the sheet of its trials", "--sheet FILE; docs/field.md has one")
    return [known.sheet, *others]


def motion_in(path: Path) -> dict[str, float]:
    """Return what was measured about the base in a robot file. Raises UsageError if nothing was."""
    base = read_robot_file(path).sections.base or {}
    if measured := {key: value for key, value in base.items() if key in MEASURED}:
        return measured
    raise UsageError(f"{path}: nothing was measured about its motion", f"`vla-edge calibrate motors {path}`")


def seen_in(path: Path) -> tuple[Lens | None, float]:
    """Return the lens and the delay, seconds, of the simulated camera in a robot file.

    Raises UsageError if it has neither.
    """
    file = read_robot_file(path)
    if DEFAULT_CAMERA not in {*file.lenses, *file.camera_delays_s}:
        raise UsageError(
            f"{path} has neither lens nor delay of {DEFAULT_CAMERA!r}",
            "`vla-edge calibrate camera` and `vla-edge calibrate latency` measure them",
        )
    return file.lenses.get(DEFAULT_CAMERA), file.camera_delays_s.get(DEFAULT_CAMERA, 0.0)


def _so_far(trials: list[Trial], absent: bool) -> str:
    if absent:
        return f"{sum(t.episode.claimed for t in trials)} claimed an arrival"
    return f"{sum(t.episode.success for t in trials)} reached"
