"""The command `vla-edge calibrate stop-distance`: measure, judge, and write into the robot file.

The target stands at known distances; the bundle's own boxes are measured. Size times distance is then one
number, which goes into the robot file, and from then on a drive to that target judges distances by it.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from calibration.stop_distance.sizes import SizedBox, draw, fit_size, judge
from calibration.verdict import add_options, conclude, folder_of, robot_file_of
from edge.bundle.bundle import Bundle, load_bundle
from edge.bundle.choice import AUTO, AUTO_HELP
from edge.cameras.open import EndOfFrames, open_camera
from edge.cameras.recordings.pictures import read_picture
from edge.clock import MonotonicClock
from edge.commands.arguments import ArgumentParser
from edge.commands.output import ProgressLine
from edge.errors import StaleFrame, UsageError
from edge.goals.goals import parse_goal
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_target
from edge.model.boxes import BoxReader
from edge.perception.lens import Lens, Straightener, behind
from edge.policies.seeker_states import SeekerParams
from edge.records import CameraMount, Goal, Image
from edge.robots.robot_file import RobotFile, seen_through
from edge.robots.sections import parse_mount
from edge.robots.write import write_size
from edge.runtime.cameras import DEFAULT_CAMERA

DISTANCES_M = (0.5, 0.75, 1.0, 1.5, 2.0)
RANGE_M = (0.1, 20.0)
FRAMES = 5  # that are measured at each distance, live
SILENT_LIMIT_S = 10.0
_EXAMPLE = "such as --at 0.5=near.jpg --at 1=middle.jpg --at 2=far.jpg"


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    shots = [_shot(text) for text in options.at]
    file = robot_file_of(options)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved)
    goal = check_target(bundle, parse_goal("find_object", options.target))
    name = file.sees_with if file.camera_uris else DEFAULT_CAMERA
    lens = file.lenses.get(name)
    mount = _mount_of(options, file, name, lens)
    if shots:
        images = _of_pictures(shots, lens)
    else:
        images = _live(file, name, lens, options.distance or DISTANCES_M, goal.target)
    boxes = measure(bundle, goal, images)
    size = fit_size(boxes, mount, bundle.manifest.name)
    verdict = judge(goal.target, size, boxes, mount)

    def save() -> str:
        write_size(file.path, goal.target, size)
        return f"written into {file.path}: its distance is judged by its size from now on"

    report = folder_of(options, file) / f"size-{goal.target.replace(' ', '-')}"
    return conclude(verdict, draw(size, boxes, mount), report, save, options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "calibrate stop-distance",
        "Measure how large a target looks at known distances, by the bundle's own boxes, and write that into "
        "the robot file. Distances count from the middle of the base to the target's foot.",
    )
    add_options(parser)
    parser.add_argument("--target", required=True, help='what is measured, such as "red cup"')
    parser.add_argument(
        "--at", action="append", default=[], metavar="METRES=PICTURE",
        help="a picture of the target at a distance, once for each; without any, the camera is used",
    )  # fmt: skip
    parser.add_argument(
        "--distance", action="append", type=_distance, metavar="METRES",
        help=f"live: where to ask for the target, once for each ({', '.join(f'{d:g}' for d in DISTANCES_M)})",
    )  # fmt: skip
    parser.add_argument("--mount", help="where the camera sits, if the file does not say: see `vla-edge run`")
    parser.add_argument("--bundle", default=AUTO, help=f"whose boxes are measured: {AUTO_HELP}")
    parser.add_argument(
        "--allow-unproved", action="store_true", help="accept a bundle that failed its export's gate"
    )
    return parser


def _distance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not RANGE_M[0] <= value <= RANGE_M[1]:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a distance from {RANGE_M[0]:g} to {RANGE_M[1]:g} metres"
        )
    return value


def _shot(text: str) -> tuple[float, Path]:
    """Return the distance and the picture in a text such as 0.5=near.jpg. Raises UsageError."""
    metres, _, path = text.partition("=")
    if not path:
        raise UsageError(f"--at {text[:80]!r} is not METRES=PICTURE", _EXAMPLE)
    try:
        return _distance(metres), Path(path)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--at {text[:80]!r}: {error}", _EXAMPLE) from error


def _mount_of(options: argparse.Namespace, file: RobotFile, name: str, lens: Lens | None) -> CameraMount:
    """Return where the camera sits. Raises UsageError if nobody has said."""
    mount = file.mounts.get(name) if options.mount is None else parse_mount(options.mount)
    if mount is None:
        raise UsageError(
            f"{file.path}: where the camera {name!r} sits is not known",
            f"measure cameras.{name}.mount (docs/robot-files.md), or say it with --mount",
        )
    return seen_through(lens, mount)


def _of_pictures(shots: Sequence[tuple[float, Path]], lens: Lens | None) -> Iterator[tuple[float, Image]]:
    straightener = None if lens is None else Straightener(lens)
    for ahead_m, path in shots:
        image = read_picture(path)
        if straightener is not None and not straightener.fits(image):
            width, height = straightener.size_px
            raise UsageError(
                f"{path} has {image.shape[1]} x {image.shape[0]} pixels, the camera's lens was measured in "
                f"{width} x {height}", "take it with the camera as it drives",
            )  # fmt: skip
        yield ahead_m, image if straightener is None else straightener.apply(image)


def _live(
    file: RobotFile, name: str, lens: Lens | None, distances_m: Sequence[float], target: str
) -> Iterator[tuple[float, Image]]:
    """Ask for the target at each distance, and yield frames of it there."""
    if not file.camera_uris:
        raise UsageError(f"{file.path}: its cameras are brought by a package", f"give pictures: {_EXAMPLE}")
    camera = behind(lens, open_camera(file.camera_uris[name], MonotonicClock(), name))
    try:
        for ahead_m in sorted(distances_m):
            print(
                f"Put the {target} {ahead_m:g} m ahead of the middle of the base, then press Enter "
                "(s and Enter: skip): ", end="", file=sys.stderr, flush=True,
            )  # fmt: skip
            answer = sys.stdin.readline()
            if not answer:
                raise UsageError("nobody answers: the end of the input", f"or give pictures: {_EXAMPLE}")
            if answer.strip().lower().startswith("s"):
                continue
            seq, seen, asked_s = -1, 0, time.monotonic()
            while seen < FRAMES:
                try:
                    frame = camera.latest(0.25)
                except EndOfFrames as error:
                    raise UsageError(
                        f"{name}: its recording is over before {ahead_m:g} m", f"give pictures: {_EXAMPLE}"
                    ) from error
                except StaleFrame:
                    if time.monotonic() - asked_s > SILENT_LIMIT_S:
                        raise
                    time.sleep(0.02)
                    continue
                if frame.seq == seq:
                    time.sleep(0.005)
                    continue
                seq, seen = frame.seq, seen + 1
                yield ahead_m, frame.image
    finally:
        camera.close()


def measure(bundle: Bundle, goal: Goal, images: Iterator[tuple[float, Image]]) -> list[SizedBox]:
    """Return the box of the target in each image. Raises BundleRefused for a bundle that gives none."""
    from edge.model.grounding import GroundingModel  # it needs the inference engine

    prompt, least = goal_prompt(bundle.manifest, goal), SeekerParams().min_confidence
    reader = BoxReader(bundle.manifest.family, bundle.manifest.image)
    boxes: list[SizedBox] = []
    with GroundingModel(bundle) as model, ProgressLine() as progress:
        for ahead_m, image in images:
            said = model.ground(image, prompt, goal.target)
            found = reader.read(said.text, said.confidence, goal.target, image).detections
            box = max((each.box for each in found), key=lambda box: box.area, default=None)
            sure = box if said.confidence >= least else None
            boxes.append(SizedBox(ahead_m, sure, image.shape[1] / image.shape[0]))
            progress.show("images measured", len(boxes), 1, f"{ahead_m:g} m")
    return boxes
