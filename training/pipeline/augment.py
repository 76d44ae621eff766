"""Random changes to a training sample after which its answer is still right."""

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
    """Change (n, height, width, 3) uint8 RGB, all n alike: only the robot moves in a window.

    Shifts repeat the edges; contrast turns about mid-grey, then come the channels and brightness. Without
    settings it returns the same array.
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
    # A table of 256 values for each channel is much faster than float images.
    table = np.rint(((np.arange(256)[:, None] - 127.5) * gain + 127.5) * tint + light)
    table = np.clip(table, 0, 255).astype(np.uint8)
    return np.stack([table[images[..., channel], channel] for channel in range(3)], axis=-1)


def augment_actions(
    actions: Floats, gripper: bool, settings: AugmentSettings, rng: np.random.Generator
) -> Floats:
    """Add noise to normalised actions (..., A) but for a gripper, and clip them to [-1, 1]."""
    if not settings.action_noise:
        return actions
    columns = actions.shape[-1] - gripper
    noisy = actions.copy()
    noisy[..., :columns] += rng.normal(0, settings.action_noise, noisy[..., :columns].shape)
    noisy[..., :columns] = noisy[..., :columns].clip(-1, 1)
    return noisy


def prompts(task: str, settings: InstructionSettings) -> list[str]:
    """List all prompts of a task, the plain one first."""
    found: list[str] = []
    for words in (task, *settings.paraphrases.get(task, ())):
        for part, instead in settings.replace.items():
            words = words.replace(part, instead)
        found += [template.replace("{task}", words) + settings.end for template in settings.templates]
    return found


def instruct(task: str, settings: InstructionSettings, rng: np.random.Generator | None) -> str:
    """Choose a task's prompt: with `rng` any of them, without it the plain one."""
    found = prompts(task, settings)
    return found[0 if rng is None else int(rng.integers(len(found)))]


def check_instruction(settings: InstructionSettings, tasks: Collection[str]) -> None:
    """Check the settings. Raises UsageError for tasks and parts to replace that no dataset has."""
    for task in settings.paraphrases:
        if task not in tasks:
            nearest = get_close_matches(task, tasks, n=1, cutoff=0)
            raise UsageError(
                f"inputs.instruction.paraphrases: no task is {task!r}; the nearest is {nearest[0]!r}",
                "its keys are whole tasks, in the words of the dataset",
            )
    words = {w for task in tasks for w in (task, *settings.paraphrases.get(task, ()))}
    for part, instead in settings.replace.items():
        if not any(part in each for each in words):
            raise UsageError(
                f"inputs.instruction.replace: no task has {part!r} in it; one is {min(words)!r}",
                "remove this key, or write it as the dataset does",
            )
        words = {each.replace(part, instead) for each in words}
