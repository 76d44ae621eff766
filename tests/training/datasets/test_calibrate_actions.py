"""A dataset's actions are judged, and how to scale them is written as a training config takes it."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from edge.actions.normalise import MinMax
from edge.errors import UsageError
from training.config import ActionSettings
from training.datasets.calibrate import main
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.datasets.statistics import stored_statistics

NAMES = ("linear_x", "linear_y", "angular_z")
FRAMES = 100


def nothing(actions: np.ndarray) -> None: ...


def write(path: Path, change: Callable[[np.ndarray], None] = nothing, episodes: int = 11) -> Path:
    rng = np.random.default_rng(0)
    picture = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with LeRobotWriter(path, "rover", 10, {"front": (4, 4)}, ("x", "y"), NAMES) as writer:
        for number in range(episodes):
            actions = rng.normal([0.2, 0, 0], [0.1, 0.05, 0.3], (FRAMES, 3)).astype(np.float32)
            if number == 1:
                change(actions)
            states = rng.normal(size=(FRAMES, 2)).astype(np.float32)
            pixels = np.zeros((4, 3), np.uint8)
            writer.add(
                Recording("find the cup", {"front": [picture] * FRAMES}, {"front": pixels}, states, actions)
            )
        writer.finish({})
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "drives")


def test_statistics_and_scaling_are_written_as_training_takes_them(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main([str(dataset), "--columns", "linear_x,angular_z", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["good"] and (out / "actions.png").is_file()
    source = LeRobotSource(dataset, cameras=())
    statistics = stored_statistics(out / "statistics.json", [source])
    assert statistics.count == 11 * FRAMES
    section = yaml.safe_load((out / "actions.yaml").read_text())["actions"]
    settings = ActionSettings.model_validate_json(json.dumps(section))
    assert settings.columns == ("linear_x", "angular_z")
    assert np.allclose(settings.low, np.array(statistics.action.q01)[[0, 2]], rtol=1e-4)
    assert np.abs(MinMax(settings.low, settings.high).encode([[0.2, 0.0]])).max() < 0.3


def jump(actions: np.ndarray) -> None:
    actions[7, 2] = 40.0


@pytest.mark.parametrize(
    ("change", "why"),
    [(jump, r"outliers angular_z 40 in episode 1, frame 7"), (nothing, "frames 200 of 2")],
)
def test_what_a_net_should_not_learn_is_refused(
    change: Callable[[np.ndarray], None], why: str, tmp_path: Path
):
    path = write(tmp_path / "bad", change, 11 if change is jump else 2)
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=why):
        main([str(path), "--out", str(out)])
    assert (out / "actions.png").is_file() and not (out / "actions.yaml").exists()
    assert main([str(path), "--out", str(out), "--save-anyway"]) == 0 and (out / "actions.yaml").exists()


def test_what_never_moves_and_what_is_in_degrees_are_named(tmp_path: Path):
    rng = np.random.default_rng(0)
    picture = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with LeRobotWriter(tmp_path / "odd", "rover", 10, {"front": (4, 4)}, ("x", "y"), NAMES) as writer:
        actions = rng.normal([0.2, 0, 0], [0.1, 0, 20], (FRAMES, 3)).astype(np.float32)
        states = rng.normal(size=(FRAMES, 2)).astype(np.float32)
        writer.add(
            Recording(
                "go", {"front": [picture] * FRAMES}, {"front": np.zeros((4, 3), np.uint8)}, states, actions
            )
        )
        writer.finish({})
    with pytest.raises(UsageError, match=r"moves linear_y.*units angular_z up to") as caught:
        main([str(tmp_path / "odd"), "--out", str(tmp_path / "out")])
    assert "--columns linear_x,angular_z" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "why"), [(["nowhere"], "not a folder"), (["--columns", "speed"], "no dimension 'speed'")]
)
def test_what_can_not_be_meant_is_refused(arguments: list[str], why: str, dataset: Path):
    with pytest.raises(UsageError, match=r"neither meta/ nor lang_annotations/"):
        main([str(dataset / "data")])
    with pytest.raises(UsageError, match=why):
        main(arguments if arguments[0] == "nowhere" else [str(dataset), *arguments])
