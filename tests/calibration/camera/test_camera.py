"""A lens is measured from views of a board, judged, and written into the robot file, unless it is bad."""

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.camera.boards import CHARUCO, CHECKERBOARD, CalibrationBoard, Corners
from calibration.camera.command import main
from calibration.camera.fit import fit_lens
from calibration.camera.views import BoardView, ViewCollector
from edge.cameras.shm import FrameRing
from edge.commands.robot import check
from edge.commands.run import main as run
from edge.errors import UsageError
from edge.perception.lens import BROWN, FISHEYE, Lens, Straightener
from edge.records import Image
from edge.robots.robot_file import read_robot_file
from edge.robots.write import write_lens
from tests.calibration.camera.rendered_boards import BoardStudio

LENS = Lens(BROWN, (480, 360), (390.0, 391.5), (243.0, 177.0), (-0.28, 0.09, 0.0008, -0.0006, 0.0))
SMALL = Lens(BROWN, (320, 240), (260.0, 261.0), (162.0, 118.0), (-0.28, 0.09, 0.0008, -0.0006, 0.0))
BOARD = CalibrationBoard(CHARUCO, 6, 4)
ROBOT = """# mine
cameras:
  front:
    address: file://{pictures}
    mount: {{vertical_fov_deg: 60, height_m: 0.3, pitch_deg: 10, forward_m: 0.1}} # by ruler
motors: null://
"""


def save(images: list[Image], folder: Path) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(BoardStudio(BOARD, LENS).all_round(), tmp_path_factory.mktemp("board") / "pictures")


@pytest.fixture
def robot(tmp_path: Path, pictures: Path) -> Path:
    path = tmp_path / "robot.yaml"
    path.write_text(ROBOT.format(pictures=pictures))
    return path


@pytest.fixture(scope="module")
def small() -> Iterator[BoardStudio]:
    yield BoardStudio(BOARD, SMALL)


def test_the_lens_of_rendered_boards_is_found_and_written(robot: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(robot), "--charuco", "7x5", "--json"]) == 0  # by the address in the file
    found = json.loads(capsys.readouterr().out)
    figures = found["figures"]
    assert np.allclose(figures["focal_px"], LENS.focal_px, rtol=0.005)
    assert figures["error_px"] <= 0.3 and figures["held_out_px"] <= 0.3
    assert figures["model"] == BROWN and found["good"] and found["saved"]
    assert Path(found["picture"]).stat().st_size > 10_000
    file = read_robot_file(robot)
    lens = file.lenses["front"]
    assert file.mount is not None and file.mount.vertical_fov_rad == lens.vertical_fov_rad
    assert "# by ruler" in robot.read_text() and "_deg: 60" not in robot.read_text()
    grid = np.stack(np.meshgrid(np.linspace(0, 479, 9), np.linspace(0, 359, 9)), 2).reshape(-1, 2)
    points = np.column_stack([LENS.rays(grid), np.ones(81)])
    assert np.abs(lens.project(points) - grid).max() < 1.5  # the corners of the image are extrapolated


def test_straightened_rows_of_corners_are_straight(pictures: Path):
    image = cv2.imread(str(pictures / "0.png"))
    assert image is not None

    def bend(seen: Image) -> float:
        corners = BOARD.find(np.asarray(cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY), np.uint8))
        assert corners is not None
        rows = [corners.at_px[corners.ids // 6 == row] for row in range(4)]
        return max(float(np.linalg.svd(row - row.mean(0))[1][1]) for row in rows)

    before, after = bend(image), bend(Straightener(LENS).apply(np.asarray(image, np.uint8)))
    assert before > 1.0 and after < 0.3


def test_a_check_and_a_run_see_through_the_lens(
    pictures: Path, robot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Behind a lens of another size than its images, nothing drives."""
    write_lens(robot, "front", LENS)
    assert check([str(robot), "--out", str(tmp_path / "check")]) == 0
    assert "480 x 360, straightened by its measured lens" in capsys.readouterr().out
    write_lens(robot, "front", SMALL)
    drive = ["--goal", "find_object", "--target", "cup", "--bundle", "default", "--allow-domain"]
    assert run([*drive, "--robot", str(robot), "--runs-dir", str(tmp_path / "runs"), "--json"]) == 2
    assert "its lens was measured in images of 320 x 240" in capsys.readouterr().out


def test_too_few_views_are_refused(pictures: Path, robot: Path, tmp_path: Path):
    before = robot.read_text()
    few = tmp_path / "few"
    few.mkdir()
    for number in range(4):
        (few / f"{number}.png").write_bytes((pictures / f"{number}.png").read_bytes())
    with pytest.raises(UsageError, match="4 usable views of the board in 4 images"):
        main([str(robot), "--charuco", "7x5", "--from", str(few)])
    assert robot.read_text() == before


def test_blurred_views_are_refused(small: BoardStudio, robot: Path, tmp_path: Path):
    moved = [small.take((0.44 + 0.06 * k, 0.5), 0.2, (4 * k, 0, 0), sweep_px=6) for k in range(3)]
    soft = [small.take((0.44 + 0.06 * k, 0.5), 0.2, (4 * k, 0, 0), blur_px=2.2) for k in range(3)]
    with pytest.raises(UsageError, match=r"[34] no board in it, or too.*[23] blurred") as caught:
        main([str(robot), "--charuco", "7x5", "--from", str(save([*moved, *soft], tmp_path / "blurred"))])
    assert "0 usable views" in caught.value.message


def test_views_of_one_side_are_refused_and_saved_only_if_told_so(
    small: BoardStudio, robot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    images = [small.take((0.4, 0.4 + 0.02 * k), 0.3, (0, 0, 3 * k)) for k in range(14)]
    folder = str(save(images, tmp_path / "side"))
    before = robot.read_text()
    with pytest.raises(UsageError, match=r"not saved.*coverage.*tilts.*distances") as caught:
        main([str(robot), "--charuco", "7x5", "--from", folder])
    assert "right" in caught.value.hint and "--save-anyway" in caught.value.hint
    assert robot.read_text() == before
    assert "BAD" in capsys.readouterr().out
    assert main([str(robot), "--charuco", "7x5", "--from", folder, "--save-anyway"]) == 0
    assert "NOT good" in capsys.readouterr().out and read_robot_file(robot).lenses


def test_a_checkerboard_will_do(tmp_path: Path):
    """The corners alone: their search takes a quarter of a second an image."""
    board = CalibrationBoard(CHECKERBOARD, 7, 5)
    image = BoardStudio(board, SMALL).take((0.5, 0.5), 0.35, (20, 15, 5))
    collector = ViewCollector(board)
    assert collector.offer("a", image) == "" and collector.offer("b", image) == "like one before"
    assert len(collector.views[0].ids) == 35 and collector.views[0].edge_px < 3


def test_a_live_view_counts_once_the_board_is_held_still(small: BoardStudio):
    collector = ViewCollector(BOARD, live=True)
    images = [small.take((0.4 + 0.1 * k, 0.5), 0.35) for k in (0, 1, 1, 1)]
    assert [collector.offer("", image) for image in images] == [
        "the board moves", "the board moves", "", "like one before",
    ]  # fmt: skip
    assert "the board at the top left of the image" in collector.missing()


@pytest.mark.parametrize(
    ("lens", "model"),
    [
        pytest.param(LENS, BROWN, marks=pytest.mark.slow),  # as of the rendered boards above
        (Lens(FISHEYE, (640, 480), (240.0, 241.0), (318.0, 243.0), (0.05, -0.02, 0.004, 0.0)), FISHEYE),
    ],
)
def test_the_model_is_the_one_that_explains_held_out_views(lens: Lens, model: str):
    rng = np.random.default_rng(1)
    board = CalibrationBoard(CHECKERBOARD, 9, 6)
    views: list[BoardView] = []
    while len(views) < 12:
        turn = cv2.Rodrigues(rng.uniform(-0.5, 0.5, 3))[0]
        away = rng.uniform(0.1, 0.4)
        shift = np.array([*rng.uniform(-2.0, 2.0, 2) * away, away]) - turn @ board.points_m.mean(0)
        points = board.points_m @ turn.T + shift
        at = lens.project(points)
        if points[:, 2].min() > 0.03 and (at > 4).all() and (at < np.array(lens.size_px) - 4).all():
            ids = np.arange(54)
            at = at + rng.normal(0, 0.1, at.shape)
            views.append(BoardView(str(len(views)), Corners(ids, at), 2.0, 20.0))
    fit = fit_lens(board, views, lens.size_px)
    assert fit.lens.model == model
    assert np.allclose(fit.lens.focal_px, lens.focal_px, rtol=0.005)
    assert abs(fit.lens.focal_px[0] / lens.focal_px[0] - 1) < 4 * fit.focal_deviation < 0.02
    strange = Corners(views[0].ids, views[0].at_px[::-1] + 3 * rng.normal(size=(54, 2)))
    bad = BoardView("wrong", strange, 2.0, 20.0)
    again = fit_lens(board, [*views, bad], lens.size_px, model)
    assert [name.split()[0] for name in again.left_out] == ["wrong"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--checkerboard", "9"], "COLUMNSxROWS"),
        (["--charuco", "40x40"], "markers"),
        (["--charuco", "7x5", "--marker-share", "2"], "marker-share"),
        (["--charuco", "7x5", "--camera", "rear"], "no camera 'rear'"),
    ],
)
def test_what_can_not_be_meant_is_refused(options: list[str], why: str, robot: Path):
    with pytest.raises(UsageError, match=why) as caught:
        main([str(robot), *options])
    assert caught.value.hint


def test_the_board_that_is_printed_is_found(tmp_path: Path):
    assert main(["--charuco", "7x5", "--print", str(tmp_path / "board.png")]) == 0
    drawn = cv2.imread(str(tmp_path / "board.png"), cv2.IMREAD_GRAYSCALE)
    assert drawn is not None
    corners = BOARD.find(np.asarray(cv2.resize(drawn, None, fx=0.25, fy=0.25), np.uint8))
    assert corners is not None and len(corners.ids) == 24


@pytest.mark.slow
def test_a_live_camera_is_guided_through_until_nothing_is_missing(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A real camera of shared memory, before which somebody holds the board here and there."""
    images = [cv2.imread(str(pictures / f"{number}.png"))[..., ::-1] for number in range(16)]
    name, done = f"board-{os.getpid()}", threading.Event()
    rng = np.random.default_rng(0)
    with FrameRing.create(name, *images[0].shape[:2]) as ring:

        def show() -> None:
            for image in itertools.cycle(images):
                for _ in range(20):
                    noisy = np.clip(image + rng.normal(0, 1, image.shape), 0, 255).astype(np.uint8)
                    ring.write(noisy, time.monotonic_ns())
                    if done.wait(0.05):
                        return

        shows = threading.Thread(target=show)
        shows.start()
        try:
            robot = tmp_path / "robot.yaml"
            robot.write_text(f"cameras:\n  front:\n    address: shm://{name}\nmotors: null://\n")
            assert main([str(robot), "--charuco", "7x5", "--seconds", "100", "--json"]) == 0
        finally:
            done.set()
            shows.join()
    out = capsys.readouterr()
    assert "show the board" in out.err
    assert np.allclose(json.loads(out.out)["figures"]["focal_px"], LENS.focal_px, rtol=0.005)
    kept = tmp_path / "robot-calibration" / "views-front"
    assert len(list(kept.glob("*.png"))) >= 12
    assert main([str(robot), "--charuco", "7x5", "--from", str(kept)]) == 0
