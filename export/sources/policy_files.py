"""The files of a policy that training wrote: weights, prompts, images, and the scalings of its actions.

`training/policy.py` writes it: vla.json, model.safetensors, config.yaml, statistics.json, tokenizer.json.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from safetensors import SafetensorError

from edge.bundle.manifest import (
    ActionHead,
    ActionTokens,
    ImageSpec,
    MeanStdScaling,
    MinMaxScaling,
    PromptSpec,
    StateInput,
    first_problem,
)
from edge.errors import UsageError, reason_of
from edge.model.actions import STATE_COLUMNS
from edge.records import BASE_ACTION
from vla.backbones.families import FAMILIES
from vla.checkpoint import load_vla
from vla.model import VLA

TASK = "find the {target}"  # the words of `vla-edge collect` for a task
END = "\n"  # the end of PaliGemma's prompts; `edge.model.tokenizer` adds it
_FILES = ("vla.json", "model.safetensors", "config.yaml", "statistics.json", "tokenizer.json")
_AGAIN = "give a checkpoint's folder that training wrote, such as OUT/best"


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy, and the parts of its bundle's manifest."""

    policy: VLA  # in fp32 and evaluation mode
    head: ActionHead
    image: ImageSpec
    prompt: str  # with {target}, without its end
    spec: PromptSpec | None  # None: the backbone is the tiny one, with a closed vocabulary


def read_trained_policy(folder: Path) -> TrainedPolicy:
    """Read a policy's folder.

    Raises UsageError if a file is missing or damaged, and for a policy that no bundle can drive yet.
    """
    for name in _FILES:
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name} is missing", _AGAIN)
    shape = _read(folder / "vla.json")
    _check_shape(folder, shape)
    config, statistics = _read(folder / "config.yaml"), _read(folder / "statistics.json")
    try:
        policy = load_vla(folder).float()
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"{folder} does not hold a policy that can be read: {reason_of(error)}", _AGAIN
        ) from error
    try:
        return TrainedPolicy(
            policy,
            _action_head(policy, config, statistics),
            _image(folder, config, shape),
            *_prompt(policy, config["inputs"]["instruction"], "tiny" in shape["backbone"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ValidationError):
            error = ValueError(first_problem(error))
        raise UsageError(
            f"{folder}: config.yaml and statistics.json do not fit: {reason_of(error)}",
            _AGAIN,
        ) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        found = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {file}: {reason_of(error)}", _AGAIN) from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} holds no keys", _AGAIN)
    return found


def _check_shape(folder: Path, shape: dict[str, Any]) -> None:
    """Check that graphs can hold the policy, before anything large is read. Raises UsageError if not."""
    try:
        family, vla = shape["family"], shape["vla"]
        history, hand_camera, gripper = vla["history"], vla["hand_camera"], vla["head"]["gripper"]
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{folder / 'vla.json'} does not describe a policy: {reason_of(error)}", _AGAIN
        ) from error
    if family not in FAMILIES:
        raise UsageError(
            f"{folder} is a policy on {family}, which has no exporter", f"families: {', '.join(FAMILIES)}"
        )
    if history not in ("none", "post"):
        raise UsageError(
            f"{folder} has history {history}; only none and post can be driven",
            "train with policy.history post: its head has the memory instead",
        )
    if hand_camera or gripper:
        raise UsageError(
            f"{folder} is an arm's policy: it has a {'hand camera' if hand_camera else 'gripper'}",
            f"a bundle drives a base with the actions {', '.join(BASE_ACTION.names)}",
        )


def _prompt(policy: VLA, instruction: dict[str, Any], tiny: bool) -> tuple[str, PromptSpec | None]:
    """Read the plain prompt of a target, and how it becomes ids; other wordings are for training only."""
    words = TASK
    for part, instead in instruction["replace"].items():
        if part not in TASK:
            # Such a replacement may change a target's name, which a template can't.
            raise UsageError(
                f"inputs.instruction.replace changes {part!r}, which is not a part of {TASK!r}",
                "a bundle's prompt must be the same for all targets",
            )
        words = words.replace(part, instead)
    prompt = instruction["templates"][0].replace("{task}", words)
    if not tiny:
        layout = policy.backbone.layout
        return prompt, PromptSpec(after_image=layout.image_end + layout.after, end=instruction["end"])
    prompt += instruction["end"]
    if not prompt.endswith(END) or END in prompt[: -len(END)]:
        raise UsageError(
            f"the prompt {prompt!r} does not end in one newline as PaliGemma's do",
            'train with inputs.instruction.end "\\n"',
        )
    return prompt.removesuffix(END), None


def _image(folder: Path, config: dict[str, Any], shape: dict[str, Any]) -> ImageSpec:
    if config["inputs"]["image"] is not None:
        return ImageSpec.model_validate_json(json.dumps(config["inputs"]["image"]))
    tiny = shape["backbone"].get("tiny")
    if tiny is None:
        raise UsageError(
            f"{folder / 'config.yaml'} does not describe the policy's images",
            "add inputs.image with height, width, resize, mean and std of the backbone's preprocessor",
        )
    half = (0.5, 0.5, 0.5)
    return ImageSpec(
        height=tiny["image_height"], width=tiny["image_width"], resize="area", mean=half, std=half
    )


def _action_head(policy: VLA, config: dict[str, Any], statistics: dict[str, Any]) -> ActionHead:
    shape, actions = policy.config, config["actions"]
    columns = tuple(actions["columns"]) or tuple(statistics["action"]["names"])
    if len(columns) != shape.head.action_dims:
        raise UsageError(
            f"the policy has {shape.head.action_dims} columns, its config {len(columns)}", _AGAIN
        )
    return ActionHead(
        kind=shape.head.kind,  # type: ignore[arg-type]
        history=shape.history,  # type: ignore[arg-type]
        window=shape.window,
        horizon=shape.head.horizon,
        rate_hz=float(statistics["rate_hz"]),
        columns=columns,
        scaling=_scaling(actions, columns, statistics["action"]),
        mu_law=actions["mu_law"],
        tokens=ActionTokens(first_id=shape.first_id, bins=shape.bins) if shape.discrete else None,
        state=_state(policy, tuple(config["inputs"]["state"]), statistics["state"]),
    )


def _scaling(
    actions: dict[str, Any], columns: tuple[str, ...], span: dict[str, Any]
) -> MinMaxScaling | MeanStdScaling:
    kind = actions["scaling"]
    if kind == "limits":
        return MinMaxScaling(kind="min_max", low=tuple(actions["low"]), high=tuple(actions["high"]))
    keys = {"min_max": ("min", "max"), "quantile": ("q01", "q99"), "mean_std": ("mean", "std")}[kind]
    first, second = (_chosen(span, columns, key) for key in keys)
    if kind == "mean_std":
        return MeanStdScaling(kind="mean_std", mean=first, std=second)
    return MinMaxScaling(kind="min_max", low=first, high=second)


def _state(policy: VLA, columns: tuple[str, ...], span: dict[str, Any]) -> StateInput | None:
    if not columns:
        return None
    strange = [name for name in columns if name not in STATE_COLUMNS]
    if strange or len(columns) != policy.config.state_pose_dims:
        raise UsageError(
            f"the policy takes the state {', '.join(columns)}; a bundle's comes from the odometry",
            f"which has {', '.join(STATE_COLUMNS)}",
        )
    return StateInput(columns=columns, mean=_chosen(span, columns, "mean"), std=_chosen(span, columns, "std"))


def _chosen(span: dict[str, Any], columns: tuple[str, ...], key: str) -> tuple[float, ...]:
    """Pick a figure of some columns. Raises ValueError for columns and numbers that are not there."""
    names, values = list(span["names"]), list(span[key])
    if len(values) != len(names) or not all(math.isfinite(value) for value in values):
        raise ValueError(f"statistics.json has {values} as {key} of {', '.join(names)}")
    return tuple(float(values[names.index(name)]) for name in columns)
