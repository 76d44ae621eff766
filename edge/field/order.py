"""Which trials a sheet means, and in which order they are driven."""

import random
from dataclasses import dataclass

from edge.field.sheet import SettingSection, TrialSheet

Key = tuple[str, str, str, int]  # bundle, setting, target, scene


@dataclass(frozen=True)
class PlannedTrial:
    """One trial: a bundle that drives in a scene. Every bundle drives in every scene, so that they pair."""

    bundle: str
    setting: SettingSection
    target: str  # empty for goals without one
    scene: int  # counts from 1 for a target in a setting
    room: int  # seed of the simulated room; the same for all bundles

    @property
    def key(self) -> Key:
        """What tells this trial from the others of its sheet."""
        return self.bundle, self.setting.name, self.target, self.scene


def planned_trials(sheet: TrialSheet) -> list[PlannedTrial]:
    """Return the trials in the order in which they are driven.

    The bundles follow each other in each scene, and take turns in beginning, so that what drifts during a day
    (light, battery, heat) meets all of them alike. With `order: random` scenes and turns are shuffled by the
    sheet's seed, and each bundle still begins as often as the others, or once less.
    """
    scenes = _scenes(sheet)
    count = len(sheet.bundles)
    begins = [number % count for number in range(len(scenes))]
    if sheet.order == "random":
        dice = random.Random(sheet.seed)
        dice.shuffle(scenes)
        dice.shuffle(begins)
    ordered: list[PlannedTrial] = []
    for (setting, target, scene, room), first in zip(scenes, begins, strict=True):
        turns = sheet.bundles[first:] + sheet.bundles[:first]
        ordered += [PlannedTrial(bundle, setting, target, scene, room) for bundle in turns]
    return ordered


def command_of(sheet: TrialSheet, trial: PlannedTrial) -> list[str]:
    """Return the words behind `vla-edge run` that drive a trial, without the folder of its run."""
    words = ["--goal", sheet.goal, *([f"--target={trial.target}"] if trial.target else [])]
    words += [f"--bundle={trial.bundle}", f"--robot={sheet.robot_in(trial.setting)}"]
    words += [f"--max-seconds={sheet.max_seconds:g}", f"--seed={trial.room}"]
    return [*words, *sheet.options]


def _scenes(sheet: TrialSheet) -> list[tuple[SettingSection, str, int, int]]:
    """Return all scenes, settings in turn; a scene keeps its room when a sheet gets more trials."""
    found: list[tuple[int, SettingSection, str, int, int]] = []
    for index, setting in enumerate(sheet.settings):
        targets = sheet.targets_in(setting)
        first = 1000 * (index + 1) if setting.room is None else setting.room
        for scene in range(sheet.trials_in(setting)):
            for number, target in enumerate(targets):
                found.append((scene, setting, target, scene + 1, first + scene * len(targets) + number))
    found.sort(key=lambda each: each[0])  # stable: the first scenes of all settings, then the second ones
    return [(setting, target, scene, room) for _, setting, target, scene, room in found]
