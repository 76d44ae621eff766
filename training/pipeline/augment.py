"""Random changes to a training sample that leave what it asks for true."""

from collections.abc import Collection
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from training.config import AugmentSettings
from training.config_data import InstructionSettings
from training.datasets.source import Images

Floats = NDArray[np.float64]


def augment_images(images: Images, settings: AugmentSettings, rng: np.random.Generator) -> Images:
    """(n, height, width, 3) uint8 RGB, all n changed alike: what moves in a window is the robot's doing.

    Shifted with its edges repeated, contrast about mid-grey, channels and brightness. Without settings, the
    same array.
    """
    reach = settings.shift_px
    if reach:
        down, right = rng.integers(-reach, reach + 1, 2)
        rows = np.clip(np.arange(images.shape[1]) + down, 0, images.shape[1] - 1)
        columns = np.clip(np.arange(images.shape[2]) + right, 0, images.shape[2] - 1)
        images = images[:, rows][:, :, columns]
    if not (settings.brightness or settings.contrast or settings.colour):
        return images
    gain = 1 + rng.uniform(-settings.contrast, settings.contrast)
    tint = 1 + rng.uniform(-settings.colour, settings.colour, 3)
    light = 255 * rng.uniform(-settings.brightness, settings.brightness)
    # A table of 256 values for each channel is much faster than float pictures.
    table = np.rint(((np.arange(256)[:, None] - 127.5) * gain + 127.5) * tint + light)
    table = np.clip(table, 0, 255).astype(np.uint8)
    return np.stack([table[images[..., channel], channel] for channel in range(3)], axis=-1)


def augment_actions(
    actions: Floats, gripper: bool, settings: AugmentSettings, rng: np.random.Generator
) -> Floats:
    """Normalised actions (..., A) with noise on all but a gripper, clipped to [-1, 1] where it was added."""
    if not settings.action_noise:
        return actions
    columns = actions.shape[-1] - gripper
    noisy = actions.copy()
    noisy[..., :columns] += rng.normal(0, settings.action_noise, noisy[..., :columns].shape)
    noisy[..., :columns] = noisy[..., :columns].clip(-1, 1)
    return noisy


def prompts(task: str, settings: InstructionSettings) -> list[str]:
    """All prompts of a task, the plain one first."""
    found: list[str] = []
    for words in (task, *settings.paraphrases.get(task, ())):
        for part, instead in settings.replace.items():
            words = words.replace(part, instead)
        found += [template.replace("{task}", words) + settings.end for template in settings.templates]
    return found


def instruct(task: str, settings: InstructionSettings, rng: np.random.Generator | None) -> str:
    """A task's prompt: with `rng` any of them, without it the plain one."""
    found = prompts(task, settings)
    return found[0 if rng is None else int(rng.integers(len(found)))]


def check_instruction(settings: InstructionSettings, tasks: Collection[str]) -> None:
    """Raises UsageError for paraphrases of a task, and for parts to replace, that no dataset has."""
    for task in settings.paraphrases:
        if task not in tasks:
            nearest = get_close_matches(task, tasks, n=1, cutoff=0)
            raise UsageError(
                f"inputs.instruction.paraphrases: no task is {task!r}; the nearest is {nearest[0]!r}",
                "its keys are whole tasks in the words of the dataset",
            )
    words = {w for task in tasks for w in (task, *settings.paraphrases.get(task, ()))}
    for part, instead in settings.replace.items():
        if not any(part in each for each in words):
            raise UsageError(
                f"inputs.instruction.replace: no task has {part!r} in it; one is {min(words)!r}",
                "take it out, or write it as the dataset does",
            )
        words = {each.replace(part, instead) for each in words}
