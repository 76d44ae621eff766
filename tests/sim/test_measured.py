"""What was measured of a simulated robot is used: its lens, and the size of what it seeks."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.camera.boards import CHARUCO, CalibrationBoard
from calibration.camera.command import main as calibrate
from calibration.stop_distance.sizes import SizedBox, fit_size
from edge.commands.run import main as run
from edge.errors import UsageError
from edge.model.boxes import BoxReader
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import Straightener
from edge.policies.seeker import Seeker
from edge.policies.seeker_states import SeekerParams
from edge.records import CameraMount, Goal
from sim.lockstep import CameraSettings, EpisodeResult, parse_camera, play
from sim.realtime.lens import Bending, bent_lens
from sim.render import CameraSpec, Renderer
from sim.scene import Scene
from sim.targets import make_scene, matching
from sim.world import World
from tests.calibration.camera.rendered_boards import BoardStudio
from tests.sim.test_lockstep import LATENCY_S, PerfectEye

GOAL = Goal("find_object", "red cup")


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    made = Renderer(CameraSpec())
    yield made
    made.close()


def cup_alone() -> Scene:
    scene = make_scene(3, GOAL.target)
    return replace(scene, objects=(matching(scene, GOAL.target)[0],), clutter=())


def drive(renderer: Renderer, mount: CameraMount, size: ApparentSize | None) -> tuple[EpisodeResult, float]:
    """Return how a drive to the cup ends, and how far from it the base stands then, metres."""
    scene = cup_alone()
    world = World(scene, 1003)
    renderer.load(world.model, scene)
    eye, params = PerfectEye(world, renderer), SeekerParams(size=size)
    seeker = Seeker(eye.ask, BoxReader("paligemma"), mount, world.base, None, params)
    result = play(world, renderer, seeker, GOAL, LATENCY_S, 9.0, CameraSettings(judged=False))
    (cup,) = scene.objects
    return result, math.hypot(world.pose.x_m - cup.x_m, world.pose.y_m - cup.y_m)


def test_a_measured_size_stops_the_robot_though_its_mount_is_wrong(renderer: Renderer):
    """The camera looks 12 degrees down, and its mount says 6: by its foot the cup seems far away."""
    scene = cup_alone()
    (cup,) = scene.objects
    world = World(scene)
    renderer.load(world.model, scene)
    wrong = replace(renderer.spec.mount, pitch_rad=math.radians(6))
    away, boxes = math.atan2(-cup.y_m, -cup.x_m), list[SizedBox]()
    for ahead_m in (0.56, 0.7, 1.0, 1.5, 2.0):
        at = cup.x_m + ahead_m * math.cos(away), cup.y_m + ahead_m * math.sin(away), away + math.pi
        boxes.append(SizedBox(ahead_m, renderer.truth(world.data, *at)[0].box, 4 / 3))
    size = fit_size(boxes, wrong, "default")
    assert size.spread < 0.1
    blind, _ = drive(renderer, wrong, None)
    assert not blind.success and blind.bumps
    told, left_m = drive(renderer, wrong, size)
    assert told.success and not told.bumps
    assert left_m == pytest.approx(SeekerParams().stop_at_m, abs=0.1)


def test_a_bent_image_straightened_is_what_a_pinhole_camera_of_its_view_shows(renderer: Renderer):
    """But for what two interpolations blur. The true box is bent with the image."""
    scene = cup_alone()
    (cup,) = scene.objects
    world = World(scene)
    away = math.atan2(-cup.y_m, -cup.x_m)
    at = cup.x_m + math.cos(away), cup.y_m + math.sin(away), away + math.pi
    lens = bent_lens(320, 240, renderer.spec.vertical_fov_rad, -0.15)
    bent = Renderer(CameraSpec(distortion=-0.15))
    straight = Renderer(CameraSpec(vertical_fov_rad=lens.vertical_fov_rad))
    images, boxes = [], []
    for each in (bent, straight):
        each.load(world.model, scene)
        images.append(each.image(world.data, *at))
        boxes.append(each.truth(world.data, *at)[0].box)
        each.close()
    assert boxes[0].iou(boxes[1]) < 0.95
    off = np.abs(Straightener(lens).apply(images[0]).astype(int) - images[1])
    assert np.median(off) <= 1 and off.mean() < 2.5
    assert np.abs(images[0].astype(int) - images[1]).mean() > 2 * off.mean()


def test_a_lens_that_shows_nothing_in_its_corners_is_refused():
    assert parse_camera("distortion=-0.1").distortion == -0.1
    with pytest.raises(UsageError, match="nothing in the corners"):
        Bending.of(bent_lens(320, 240, 1.5, -0.15))
    with pytest.raises(UsageError, match=r"distortion '-0\.5' is not"):
        parse_camera("distortion=-0.5")


@pytest.mark.slow
def test_a_run_behind_a_bent_lens_is_calibrated_and_arrives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """From pictures of a board to a real drive in real time."""
    studio = BoardStudio(
        CalibrationBoard(CHARUCO, 6, 4), bent_lens(320, 240, CameraSpec().vertical_fov_rad, -0.15)
    )
    (tmp_path / "board").mkdir()
    for number, image in enumerate(studio.all_round()):
        cv2.imwrite(str(tmp_path / "board" / f"{number}.png"), image)
    robot = tmp_path / "bent.yaml"
    robot.write_text('opens: "sim?distortion=-0.15"\n')
    assert calibrate([str(robot), "--charuco", "7x5", "--from", str(tmp_path / "board"), "--json"]) == 0
    capsys.readouterr()
    options = ["--goal", "find_object", "--target", "cup", "--robot", str(robot), "--bundle", "default"]
    assert run([*options, "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["outcome"] == "reached" and "its lens measured" in summary["mount"]["from"]
    assert summary["mount"]["vertical_fov_deg"] == pytest.approx(57.4, abs=0.4)
