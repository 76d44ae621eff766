"""`vla-edge calibrate activations`: pictures and prompts that activation ranges are computed from."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from calibration.diverse import SAME, distance, most_different, thumbnail
from calibration.sample_set import Part, Question, write_set
from edge.bundle.bundle import load_bundle
from edge.bundle.manifest import Manifest
from edge.cameras.frame_check import image_breach
from edge.cameras.recordings.encoded import decode_picture
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_int
from edge.commands.output import ProgressLine, print_json
from edge.errors import UsageError
from edge.goals.prompts import goal_prompt
from edge.plugins import PICTURES
from edge.records import Goal, Image

CANDIDATES = 4  # pictures that are compared for each one that is kept
ABSENT = 0.35  # share of questions about something that is not there, as far as is known
WORDS = 0.1  # share of questions whose answers are plain words
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
LabelledImage = tuple[Image, tuple[str, ...]]  # names of what is in sight, as far as is known


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    p = ArgumentParser("calibrate activations", "Choose diverse pictures and store them with prompts.")
    p.add_argument("--from", dest="source", help="a folder of pictures of the robot's camera")
    p.add_argument("--robot", help="instead: a robot whose package delivers pictures, such as sim")
    p.add_argument("--frames", type=positive_int, default=96, help="pictures for the ranges (%(default)s)")
    p.add_argument("--held-out", type=positive_int, default=96, help="others for the gate (%(default)s)")
    p.add_argument(
        "--questions", type=positive_int, default=2, help="questions about each picture (%(default)s)"
    )
    p.add_argument("--target", action="append", default=[], help="an object to ask for; default: any known")
    p.add_argument(
        "--bundle", default="default", help="bundle whose family and vocabulary are used (%(default)s)"
    )
    p.add_argument("--seed", type=non_negative_int, default=0, help="seed of the choice (%(default)s)")
    p.add_argument("--out", type=Path, required=True, help="folder of the set; must not be there yet")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    a = p.parse_args(argv)
    if (a.source is None) == (a.robot is None):
        raise UsageError("give either --from FOLDER or --robot sim")
    if a.out.exists() and (not a.out.is_dir() or any(a.out.iterdir())):
        raise UsageError(f"{a.out} is not an empty folder", "give another --out, or remove it first")
    manifest = load_bundle(a.bundle).manifest
    images = from_robot(a.robot, a.seed) if a.robot else from_folder(Path(a.source))
    chosen = choose(images, a.frames, a.held_out)
    rng = np.random.default_rng(a.seed)
    pictures: list[tuple[Part, Image, Sequence[Question]]] = [
        (part, image, make_questions(manifest, names, a.questions, a.target, rng))
        for part, (image, names) in chosen
    ]
    source = a.robot or Path(a.source).name
    digest = write_set(a.out, manifest.family, source, pictures)
    counts = {part: sum(p == part for p, _ in chosen) for part in ("calibrate", "held-out")}
    if a.json:
        print_json({"out": str(a.out), "digest": digest, **counts})
    else:
        print(f"{a.out}: {counts['calibrate']} pictures, {counts['held-out']} more to judge by")
        print(f"next: vla-edge export MODEL --precision int8 --calibration {a.out} --out BUNDLE")
    return 0


def from_robot(name: str, seed: int) -> Iterator[LabelledImage]:
    """Return the pictures that a robot's package delivers. Raises UsageError if none does."""
    PICTURES.load(name)
    return _delivered(name, seed)


def _delivered(name: str, seed: int) -> Iterator[LabelledImage]:
    """Yield a package's pictures. Raises PluginError if its code fails, or yields something else."""
    with PICTURES.blaming(name):
        none = True
        for image, names in PICTURES.open(name, seed):
            if why := image_breach(image):
                raise TypeError(why)
            if not all(isinstance(each, str) for each in names):
                raise TypeError(f"the names in sight are {names!r:.80}, not texts")
            none = False
            yield np.ascontiguousarray(image), tuple(names)
        if none:
            raise TypeError("it yields no pictures")


def from_folder(folder: Path) -> Iterator[LabelledImage]:
    """Return the pictures of a folder in the order of their names.

    Raises UsageError if there are none, and at one that can't be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of pictures")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UsageError(f"{folder} holds no pictures", f"it takes {', '.join(SUFFIXES)}")
    return map(_read, paths)


def _read(path: Path) -> LabelledImage:
    try:
        image = decode_picture(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}", "remove it and start again") from error
    if image is None:
        raise UsageError(f"{path} is not a picture that can be read", "remove it and start again")
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8), ()


def choose(images: Iterator[LabelledImage], frames: int, held_out: int) -> list[tuple[Part, LabelledImage]]:
    """Choose pictures for the ranges and others to hold out, out of CANDIDATES times as many.

    Those for the ranges are the ones least like each other. The held-out ones are taken from the rest in
    their order; none is a double of another or of those. Raises UsageError if too few are different.
    """
    wanted = frames + held_out
    found: list[LabelledImage] = []
    most = wanted * CANDIDATES if frames else wanted
    with ProgressLine() as progress:
        for one in itertools.islice(images, most):
            found.append(one)
            progress.show("pictures looked at", len(found), most)
    points = np.stack([thumbnail(image) for image, _ in found])
    kept = most_different(points, frames)
    others: list[int] = []
    for index in range(len(found)):
        if len(others) < held_out and distance(points[index], points[kept + others]).min() >= SAME:
            others.append(index)
    if len(kept) < frames or len(others) < held_out:
        raise UsageError(
            f"{len(found)} pictures have {len(kept) + len(others)} different ones, {wanted} are wanted",
            "record more, or ask for fewer with --frames and --held-out",
        )
    parts: list[tuple[Part, list[int]]] = [("calibrate", kept), ("held-out", others)]
    return [(part, found[i]) for part, indices in parts for i in indices]


def make_questions(
    manifest: Manifest, names: tuple[str, ...], count: int, targets: list[str], rng: np.random.Generator
) -> list[Question]:
    """Make questions about a picture, mostly about what is there if that is known.

    Raises UsageError if neither the bundle nor `targets` say what to ask for.
    """
    kinds, colours = manifest.vocabulary.kinds, manifest.vocabulary.colours
    if not targets and not kinds:
        raise UsageError("the bundle takes any words", "say what to ask for with --target, once or more")
    plain = [goal for goal in ("describe_scene", "identify_main_object") if goal in manifest.goals]
    questions: list[Question] = []
    for _ in range(count):
        if plain and rng.random() < WORDS:
            goal = Goal(plain[int(rng.integers(len(plain)))])
        elif names and rng.random() >= ABSENT:
            words = names[int(rng.integers(len(names)))].split()
            goal = Goal("find_object", " ".join(words if rng.random() < 0.5 else words[-1:]))
        elif targets:
            goal = Goal("find_object", targets[int(rng.integers(len(targets)))])
        else:
            goal = Goal("find_object", _any_name(kinds, colours, rng))
        questions.append(Question(goal=goal.kind, target=goal.target, prompt=goal_prompt(manifest, goal)))
    return questions


def _any_name(kinds: tuple[str, ...], colours: tuple[str, ...], rng: np.random.Generator) -> str:
    """Return a kind of thing, half of the time with a colour in the same language."""
    kind = kinds[int(rng.integers(len(kinds)))]
    if not colours or rng.random() < 0.5:
        return kind
    same = [c for c in colours if c.isascii() == kind.isascii()]  # no name is half Korean
    return f"{same[int(rng.integers(len(same)))]} {kind}" if same else kind
