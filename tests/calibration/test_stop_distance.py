"""A target's size by its distance is measured by a bundle's own boxes, judged, and used by runs."""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.stop_distance.command import main
from calibration.stop_distance.sizes import SizedBox, fit_size, judge
from edge.base_spec import DEFAULT_BASE
from edge.bundle.bundle import load_bundle
from edge.commands.run import main as run
from edge.errors import UsageError
from edge.perception.apparent_size import ApparentSize
from edge.policies.open import GroundingPolicy, make_policy
from edge.records import Box, CameraMount, Frame, Goal, Observation
from edge.robots.choose import choose_robot
from edge.robots.robot_file import read_robot_file
from edge.robots.write import write_size
from sim.render import CameraSpec, Renderer, degrade
from sim.targets import make_scene, matching
from sim.world import World

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
ROBOT = """cameras:
  front:
    address: file://{pictures}?rate=30
    mount: {{vertical_fov_deg: 55, height_m: 0.35, pitch_deg: 12, forward_m: 0.12}}
motors: null://
"""


@pytest.fixture(scope="module")
def cups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[float, Path]]:
    """Pictures of a red cup alone in a room, by the distance from the middle of the base."""
    folder, rng = tmp_path_factory.mktemp("cups"), np.random.default_rng(0)
    scene = make_scene(3, "red cup")
    cup = matching(scene, "red cup")[0]
    scene = replace(scene, objects=(cup,), clutter=())
    world, renderer = World(scene), Renderer(CameraSpec())
    renderer.load(world.model, scene)
    away = math.atan2(-cup.y_m, -cup.x_m)
    pictures: dict[float, Path] = {}
    for ahead_m in (0.6, 0.8, 1.2, 2.0):
        at = cup.x_m + ahead_m * math.cos(away), cup.y_m + ahead_m * math.sin(away), away + math.pi
        pictures[ahead_m] = folder / f"{ahead_m:g}.png"
        image = degrade(renderer.image(world.data, *at), rng)
        cv2.imwrite(str(pictures[ahead_m]), image[..., ::-1])
    renderer.close()
    yield pictures


def test_a_size_is_measured_written_and_chosen_by_a_run(
    cups: dict[float, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    robot = tmp_path / "robot.yaml"
    robot.write_text(ROBOT.format(pictures=tmp_path))
    at = [f"--at={ahead_m}={path}" for ahead_m, path in cups.items()]
    assert main([str(robot), "--target", "the red cup", "--bundle", "default", *at, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["good"] and Path(found["picture"]).is_file()
    choice = choose_robot(str(robot), False, None)
    size, notes = choice.size_for("red cup", "default")
    assert size == read_robot_file(robot).sizes["red cup"] and not notes
    assert size.fills_at_m == pytest.approx(found["figures"]["fills_at_m"], rel=1e-3)
    other, notes = choice.size_for("red cup", "mine")
    assert other is None and "bundle 'default'" in notes[0]


def test_a_policy_places_its_target_by_the_size(cups: dict[float, Path]):
    """Its mount is wrong by 6 degrees: by its foot the cup would be far beyond."""
    image = np.ascontiguousarray(cv2.imread(str(cups[1.2]))[..., ::-1])
    observation = Observation({"front": Frame(image, 10**9, 0, "front")}, Goal("find_object", "red cup"))
    size = ApparentSize("width", 0.1405, 0.07, 0.4, 1.9, "default")
    wrong = replace(MOUNT, pitch_rad=math.radians(6))
    placed: list[float] = []
    for known in (size, None):
        facts = load_bundle("default"), observation.goal, wrong, DEFAULT_BASE
        with make_policy(*facts, size=known) as policy:
            assert isinstance(policy, GroundingPolicy)
            policy.act(observation, policy.infer(observation))
            placed.append(policy._sight.target.x_m)
    assert placed[0] == pytest.approx(1.2, abs=0.15) and placed[1] > 1.4


def test_a_run_hands_the_size_to_its_policy(
    cups: dict[float, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    robot = tmp_path / "robot.yaml"
    robot.write_text(ROBOT.format(pictures=cups[0.8].parent))
    size = ApparentSize("width", 0.1405, 0.07, 0.4, 1.9, "default")
    write_size(robot, "red cup", size)
    handed: list[object] = []

    def note(*arguments: object, size: object) -> None:
        handed.append(size)
        raise UsageError("that will do")

    monkeypatch.setattr("edge.policies.open.make_policy", note)
    drive = ["--goal", "find_object", "--bundle", "default", "--allow-domain", "--robot", str(robot)]
    for target in ("the red cup", "ball"):
        with pytest.raises(UsageError, match="that will do"):
            run([*drive, "--target", target, "--runs-dir", str(tmp_path / "runs"), "--json"])
    assert handed == [size, None]


def test_live_it_asks_for_each_distance(
    cups: dict[float, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Everything stands at one distance, whatever it says: the law does not hold, and nothing is written."""
    picture = tmp_path / "one"
    picture.mkdir()
    for number in range(120):
        (picture / f"{number}.png").hardlink_to(cups[0.8])
    robot = tmp_path / "robot.yaml"
    robot.write_text(ROBOT.format(pictures=picture))
    before = robot.read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO("\ns\n\n"))
    distances = [f"--distance={ahead_m}" for ahead_m in (0.6, 0.8, 1.0)]
    with pytest.raises(UsageError, match=r"not saved.*law"):
        main([str(robot), "--target", "red cup", "--bundle", "default", *distances])
    asked = capsys.readouterr().err
    assert asked.count("press Enter") == 3 and "1 m ahead" in asked
    assert robot.read_text() == before


def boxes(law: float = 1.0, noise: float = 0.0, nearest_m: float = 0.5) -> list[SizedBox]:
    rng = np.random.default_rng(0)
    found: list[SizedBox] = []
    for ahead_m in np.linspace(nearest_m, 2.0, 7):
        high = 0.2 / (ahead_m - MOUNT.forward_m) ** law * (1 + rng.normal(0, noise))
        found.append(SizedBox(ahead_m, Box(0.5 - high / 2, 0.45, 0.5 + high / 2, 0.45 + high / 2), 4 / 3))
    return found


@pytest.mark.parametrize(
    ("given", "bad"),
    [
        (boxes(), set()),
        (boxes(noise=0.3), {"spread", "law"}),
        (boxes(law=0.5), {"spread", "law"}),
        (boxes(nearest_m=1.0), {"reaches the stop"}),
        ([*boxes(), *(SizedBox(1.0, None, 4 / 3) for _ in range(3))], {"found"}),
    ],
)
def test_what_does_not_tell_a_distance_is_not_good(given: list[SizedBox], bad: set[str]):
    verdict = judge("cup", fit_size(given, MOUNT, "default"), given, MOUNT)
    missed = {each.what for each in verdict.criteria if not each.met}
    assert bool(missed) == bool(bad) and missed <= bad
    assert verdict.good == (not bad)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--at", "near.jpg"], "METRES=PICTURE"),
        (["--at=-1=near.jpg"], "not a distance"),
        (["--distance", "nan"], "not a distance"),
    ],
)
def test_what_can_not_be_meant_is_refused(options: list[str], why: str, tmp_path: Path):
    robot = tmp_path / "robot.yaml"
    robot.write_text(ROBOT.format(pictures=tmp_path))
    with pytest.raises(UsageError, match=why):
        main([str(robot), "--target", "cup", *options])


def test_without_a_mount_nothing_is_measured(tmp_path: Path):
    robot = tmp_path / "robot.yaml"
    robot.write_text('opens: "sim"\n')
    with pytest.raises(UsageError, match="where the camera 'front' sits") as caught:
        main([str(robot), "--target", "cup", "--bundle", "default", "--at", "1=a.png"])
    assert "--mount" in caught.value.hint


def test_a_target_that_is_nowhere_whole_is_refused():
    with pytest.raises(UsageError, match="found in 0 of 2 images"):
        fit_size([SizedBox(1.0, None, 4 / 3), SizedBox(2.0, None, 4 / 3)], MOUNT, "default")
