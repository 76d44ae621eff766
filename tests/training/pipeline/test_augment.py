"""Augmentation changes pictures, actions and words, and nothing else."""

import numpy as np
import pytest

from edge.errors import UsageError
from training.config import AugmentSettings
from training.config_data import InstructionSettings
from training.pipeline.augment import augment_actions, augment_images, check_instruction, instruct


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_without_settings_nothing_changes(images: np.ndarray) -> None:
    assert augment_images(images, AugmentSettings(), rng()) is images
    actions = rng().normal(size=(4, 3))
    assert augment_actions(actions, False, AugmentSettings(), rng()) is actions


def test_all_frames_of_a_window_change_alike(images: np.ndarray) -> None:
    settings = AugmentSettings(shift_px=3, brightness=0.2, contrast=0.3, colour=0.2)
    together = augment_images(images, settings, rng(1))
    for i in range(3):
        alone = augment_images(images[i : i + 1], settings, rng(1))
        np.testing.assert_array_equal(alone[0], together[i])
    assert together.shape == images.shape and together.dtype == np.uint8
    assert (together != images).any()
    np.testing.assert_array_equal(together, augment_images(images, settings, rng(1)))
    assert (together != augment_images(images, settings, rng(2))).any()


def test_a_shift_moves_pixels_and_repeats_the_edge() -> None:
    images = np.zeros((1, 20, 20, 3), np.uint8)
    images[0, 10, 10] = 255
    places = set()
    for seed in range(200):
        shifted = augment_images(images, AugmentSettings(shift_px=2), rng(seed))
        [place] = np.argwhere(shifted[0, ..., 0] == 255)
        places.add(tuple(int(v) - 10 for v in place))
    assert places == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}
    edge = np.zeros((1, 8, 8, 3), np.uint8)
    edge[0, 0] = 7
    seen = [augment_images(edge, AugmentSettings(shift_px=2), rng(s)) for s in range(50)]
    assert {int((s[0, :, 0, 0] == 7).sum()) for s in seen} == {0, 1, 2, 3}


def test_brightness_contrast_and_colour_stay_in_their_range() -> None:
    grey = np.full((1, 2, 2, 3), 100, np.uint8)
    for settings, low, high in (
        (AugmentSettings(brightness=0.1), 100 - 26, 100 + 26),
        (AugmentSettings(colour=0.1), 90, 110),
        (AugmentSettings(contrast=0.5), 127 - 42, 127 - 13),
    ):
        found = [augment_images(grey, settings, rng(seed))[0, 0, 0] for seed in range(200)]
        assert low <= np.min(found) < np.max(found) <= high
        assert settings.colour == 0 or any(len(set(pixel.tolist())) > 1 for pixel in found)
    white = augment_images(np.full((1, 2, 2, 3), 250, np.uint8), AugmentSettings(brightness=1.0), rng(3))
    assert white.dtype == np.uint8 and len(np.unique(white)) == 1  # clipped, not wrapped round


def test_noise_spares_the_gripper_and_the_range() -> None:
    actions = rng().uniform(-1, 1, (500, 2, 3))
    actions[..., -1] = 1.0
    noisy = augment_actions(actions, True, AugmentSettings(action_noise=0.05), rng(1))
    assert (noisy[..., -1] == 1).all() and np.abs(noisy).max() <= 1
    inside = np.abs(actions[..., :2]) < 0.7
    assert (noisy - actions)[..., :2][inside].std() == pytest.approx(0.05, rel=0.1)
    everywhere = augment_actions(actions, False, AugmentSettings(action_noise=0.05), rng(1))
    assert (everywhere[..., -1] < 1).any()


def test_an_instruction_is_paraphrased_in_training_only() -> None:
    settings = InstructionSettings(
        replace={"find the ": ""},
        templates=("detect {task}", "seek {task}"),
        paraphrases={"find the red cup": ("find the crimson mug",)},
        end="\n",
    )
    assert instruct("find the red cup", settings, None) == "detect red cup\n"
    assert {instruct("find the red cup", settings, rng(seed)) for seed in range(50)} == {
        "detect red cup\n", "seek red cup\n", "detect crimson mug\n", "seek crimson mug\n"
    }  # fmt: skip
    assert instruct("find the {task}", settings, None) == "detect {task}\n"


def test_what_is_said_of_tasks_must_be_about_tasks_that_there_are() -> None:
    tasks = ("find the red cup", "find the blue box")

    def check(replace: dict[str, str], **paraphrases: tuple[str, ...]) -> None:
        by_task = {key.replace("_", " "): words for key, words in paraphrases.items()}
        check_instruction(InstructionSettings(replace=replace, paraphrases=by_task), tasks)

    check({"find the": "detect", "detect red": "see red"}, find_the_red_cup=("seek a mug",))
    check({"seek": "detect"}, find_the_red_cup=("seek a mug",))  # only a paraphrase has it
    with pytest.raises(UsageError, match=r"no task is 'find red cup'; the nearest is 'find the red cup'"):
        check({}, find_red_cup=("seek a mug",))
    with pytest.raises(UsageError, match=r"no task is 'xyz'; the nearest is 'find the "):
        check({}, xyz=("seek a mug",))
    with pytest.raises(UsageError, match=r"replace: no task has 'find a' in it; one is 'find the blue box'"):
        check({"find a": ""})
    with pytest.raises(UsageError, match=r"replace: no task has 'find the' in it"):
        check({"find ": "", "find the": ""})
