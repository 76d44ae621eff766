"""The command `vla-edge calibrate camera`: measure a lens, judge it, and write it into the robot file."""

import argparse
from pathlib import Path

import cv2

from calibration.camera.boards import (
    CHARUCO,
    CHECKERBOARD,
    DICTIONARIES,
    MARKER_SHARE,
    CalibrationBoard,
    board_size,
    markers_of,
)
from calibration.camera.fit import LEAST_VIEWS, fit_lens
from calibration.camera.judge import draw, judge, why_dropped
from calibration.camera.sources import collect_live, collect_recorded
from calibration.camera.views import FEWEST_VIEWS, ViewCollector
from calibration.verdict import add_options, conclude, folder_of, robot_file_of
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.commands.arguments import ArgumentParser, positive_float
from edge.commands.output import counted
from edge.errors import UsageError, write_hint
from edge.files import write_whole
from edge.interfaces import PlaysRecording
from edge.perception.lens import BROWN, FISHEYE
from edge.robots.robot_file import RobotFile
from edge.robots.write import write_lens
from edge.runtime.cameras import DEFAULT_CAMERA

_PRINT_SQUARE_PX = 200


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    board = board_of(options)
    if options.print is not None:
        return _print(board, options.print)
    file = robot_file_of(options)
    name = camera_of(options, file)
    folder = folder_of(options, file)
    collector = ViewCollector(board)
    if options.source is not None:
        collect_recorded(options.source, collector)
    else:
        _collect_live(options, file.camera_uris[name], name, collector, folder)
    _check_enough(collector)
    assert collector.size_px is not None
    fit = fit_lens(board, collector.views, collector.size_px, options.model)
    verdict = judge(name, fit, collector)

    def save() -> str:
        write_lens(file.path, name, fit.lens)
        return f"written into {file.path}: its images are straightened from now on"

    return conclude(verdict, draw(fit, collector), folder / f"camera-{name}", save, options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "calibrate camera",
        "Measure a camera's lens with a board of squares, live or from pictures, and write it into the robot "
        "file: the runtime then straightens its images.",
    )
    add_options(parser)
    parser.add_argument("--camera", metavar="NAME", help="which camera of the file (the one that drives)")
    board = parser.add_mutually_exclusive_group(required=True)
    board.add_argument(
        "--charuco", metavar="COLUMNSxROWS", help="a ChArUco board of so many squares, such as 7x5"
    )
    board.add_argument(
        "--checkerboard", metavar="COLUMNSxROWS", help="a checkerboard of so many inner corners, such as 9x6"
    )
    parser.add_argument(
        "--dictionary",
        default="4X4_50",
        choices=DICTIONARIES,
        help="markers of a ChArUco board (%(default)s)",
    )
    parser.add_argument(
        "--marker-share", type=positive_float, default=MARKER_SHARE,
        help="side of its markers, as a share of a square's (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--legacy", action="store_true", help="a ChArUco board made by OpenCV before 4.6")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="PATH",
        help="pictures or a video that this camera took, instead of what it shows now",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=positive_float, default=300.0, help="time limit of a live calibration (%(default)g)"
    )
    parser.add_argument(
        "--model", default="auto", choices=("auto", BROWN, FISHEYE),
        help="of the distortion; auto takes the simplest that explains held-out views (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--print", type=Path, metavar="BOARD.png", help="only write the board as a picture to print"
    )
    return parser


def board_of(options: argparse.Namespace) -> CalibrationBoard:
    """Return the board that the options describe. Raises UsageError for one that can't be."""
    if options.checkerboard is not None:
        return CalibrationBoard(CHECKERBOARD, *board_size(options.checkerboard, CHECKERBOARD))
    columns, rows = board_size(options.charuco, CHARUCO)
    board = CalibrationBoard(
        CHARUCO, columns - 1, rows - 1, marker_share=options.marker_share, dictionary=options.dictionary,
        legacy=options.legacy,
    )  # fmt: skip
    if not 0.3 <= options.marker_share <= 0.95:
        raise UsageError(
            f"--marker-share {options.marker_share:g} is not from 0.3 to 0.95", "measure marker and square"
        )
    has, needs = int(options.dictionary.partition("_")[2]), markers_of(board)
    if needs > has:
        raise UsageError(
            f"a board of {columns} x {rows} squares needs {needs} markers, {options.dictionary} has {has}",
            "name another --dictionary, the one that the board was made with",
        )
    return board


def camera_of(options: argparse.Namespace, file: RobotFile) -> str:
    """Return the camera that is meant. Raises UsageError if the file has no such camera to look through."""
    names = file.camera_uris
    name: str = options.camera or (file.sees_with if names else DEFAULT_CAMERA)
    if names and name not in names:
        raise UsageError(f"{file.path} has no camera {name[:40]!r}", f"it has {', '.join(names)}")
    if not names and options.source is None:
        raise UsageError(
            f"{file.path}: its cameras are brought by {file.sections.opens.partition('?')[0]}",
            "give pictures that it took: --from PATH",
        )
    return name


def _collect_live(
    options: argparse.Namespace, uri: str, name: str, collector: ViewCollector, folder: Path
) -> None:
    camera = open_camera(uri, MonotonicClock(), name)
    try:
        collector.live = not (isinstance(camera, PlaysRecording) and camera.plays_recording)
        collect_live(camera, collector, options.seconds, folder / f"views-{name}")
    finally:
        camera.close()


def _check_enough(collector: ViewCollector) -> None:
    """Raise UsageError if so few views are usable that nothing can be computed."""
    if len(collector.views) >= LEAST_VIEWS:
        return
    images, dropped = counted(collector.offered, "image"), why_dropped(collector)
    raise UsageError(
        f"{counted(len(collector.views), 'usable view')} of the board in {images} (at least {FEWEST_VIEWS})"
        f"{f': {dropped}' if dropped else ''}",
        "are the numbers of --checkerboard (inner corners) or --charuco (squares) those of the board? Hold "
        "it still, in good light, as large as a third of the image",
    )


def _print(board: CalibrationBoard, path: Path) -> int:
    """Write the board as a picture."""
    suffix = path.suffix.lower()
    if suffix != ".png":
        raise UsageError(f"{path} does not end in .png", "name the picture so: board.png")
    drawn = cv2.imencode(".png", board.draw(_PRINT_SQUARE_PX))[1].tobytes()
    try:
        write_whole(path, drawn)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}", write_hint(error)) from error
    print(f"{path}: print it, glue it onto something flat and stiff, and keep its white margin")
    return 0
