"""Tells from a published checkpoint's files what it is, and refuses what can't be taken; without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from edge.errors import UsageError, reason_of

CONFIG = "config.json"
NATIVE_FLORENCE = "florence-community/Florence-2-base, -base-ft, -large or -large-ft"
_AGAIN = "get the checkpoint again"
_TILES = ("idefics3", "idefics3_vision", "smolvlm", "smolvlm_vision")

# Types that the parts of a family may have; names differ between versions of transformers.
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "paligemma": {"text_config": ("gemma", "gemma2"), "vision_config": ("siglip_vision_model",)},
    "kosmos-2": {"text_config": ("kosmos_2_text_model",), "vision_config": ("kosmos_2_vision_model",)},
    "qwen2_5_vl": {
        "text_config": ("qwen2_5_vl", "qwen2_5_vl_text"),
        "vision_config": ("qwen2_5_vl", "qwen2_5_vl_vision"),
    },
    "qwen3_vl": {
        "text_config": ("qwen3_vl", "qwen3_vl_text"),
        "vision_config": ("qwen3_vl", "qwen3_vl_vision"),
    },
    "llava": {
        "text_config": ("llama", "mistral", "qwen2"),
        "vision_config": ("clip_vision_model", "siglip_vision_model"),
    },
    "idefics": {"vision_config": ("idefics", "idefics_vision")},
    "smolvlm": {"text_config": ("llama",), "vision_config": _TILES},
    "idefics3": {"text_config": ("llama",), "vision_config": _TILES},
    "florence2": {"text_config": ("bart",), "vision_config": ("florence_vision", "florence2")},
}
# Policies of other projects, by "type" (LeRobot's) or "model_type", and their names in `vla-edge plan`.
_POLICIES = {
    "pi0": "pi0.5",
    "pi0_fast": "pi0.5",
    "pi0fast": "pi0.5",
    "pi05": "pi0.5",
    "smolvla": "smolvla",
    "groot": "gr00t-n1.6",
    "gr00t": "gr00t-n1.6",
    "openvla": "openvla",
}
_QUANTIZED_KEYS = ("quantization_config", "compression_config", "quantization")
_QUANTIZED_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


def read_json(file: Path) -> dict[str, Any]:
    """Read the keys of a JSON file. Raises UsageError if it is damaged or holds no keys."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} can't be read: {reason_of(error)}", _AGAIN) from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} holds no keys", _AGAIN)
    return cast("dict[str, Any]", found)


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises UsageError if it is missing or damaged."""
    file = folder / CONFIG
    if not file.is_file():
        raise UsageError(f"{file} is missing", "give the folder of a checkpoint, with all of its files")
    return read_json(file)


def check_checkpoint(folder: Path) -> None:
    """Check that a folder holds the trained weights of a family's net.

    Raises UsageError for an adapter that is not merged, quantized weights, Microsoft's Florence-2, another
    project's policy, and parts of another family.
    """
    check_adapter(folder)
    config = read_config(folder)
    check_kind(config, folder / CONFIG)
    if is_microsofts(config):
        raise UsageError(
            f"{folder} is a Florence-2 in Microsoft's naming, which transformers' own class can't load",
            f"give the same weights in transformers' naming: {NATIVE_FLORENCE} of the hub",
        )
    method = _quantized_by(config) or next((n for n in _QUANTIZED_FILES if (folder / n).is_file()), None)
    if method is not None:
        raise UsageError(
            f"{folder} is quantized ({method}): its weights are no longer those that were trained",
            "give the checkpoint that it was made from; vla-edge quantizes itself: "
            "--precision int8 or int4, with --calibration",
        )


def check_kind(config: Mapping[str, Any], file: Path) -> str:
    """Read the "model_type" of config.json; types that no family reads pass.

    Raises UsageError if there is none, if it is another project's policy, or if a part is another family's.
    """
    kind = config.get("model_type")
    policy = config.get("type") if kind is None else kind
    if isinstance(policy, str) and (kind is None or _known_policy(policy)):
        known = _known_policy(policy)
        project = "LeRobot policy" if kind is None else "policy of another project"
        raise UsageError(
            f"{file} is of a {project}, {policy!r}, and not of a vision-language model",
            f"type `vla-edge plan --model {known}` to see what {_relation(policy, known)} asks of a board"
            if known
            else "policies that vla-edge drives are trained with `vla-edge train`",
        )
    if not isinstance(kind, str):
        part = next((f", only a {key}" for key in ("text_config", "vision_config") if key in config), "")
        raise UsageError(
            f"{file} has no model_type{part}: it does not say what the model is",
            "give the config.json that the checkpoint was published with",
        )
    for part, kinds in _PARTS.get(kind, {}).items():
        _check_part(config, kind, part, kinds, file)
    return kind


def _check_part(config: Mapping[str, Any], kind: str, part: str, kinds: tuple[str, ...], file: Path) -> None:
    """Check a part's type, if it has one. Raises UsageError if it is another family's."""
    given: Any = config.get(part)
    if given is None:
        return
    if not isinstance(given, dict):
        raise UsageError(f"{file}: {part} is {str(given)[:40]!r}, not an object", _AGAIN)
    found = cast("dict[str, Any]", given).get("model_type") or None
    if found is not None and found not in kinds and not is_microsofts(config):
        raise UsageError(
            f"{file}: the {part} of a {kind} is a {found!r}, which no exporter knows there",
            f"it may be {', '.join(kinds)}",
        )


def is_microsofts(config: Mapping[str, Any]) -> bool:
    """Whether it is Florence-2 as Microsoft published it, with code of its own."""
    vision, text = (_section(config, name) for name in ("vision_config", "text_config"))
    theirs = vision.get("model_type") == "davit" or text.get("model_type") == "florence2_language"
    return config.get("model_type") == "florence2" and (theirs or "dim_embed" in vision)


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    part: Any = config.get(name)
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def _known_policy(kind: str) -> str | None:
    """Look up the policy's name in `vla-edge plan`; all versions of NVIDIA's GR00T have one name."""
    lower = kind.lower()
    return _POLICIES.get("gr00t" if lower.startswith("gr00t") else lower)


def _relation(policy: str, known: str) -> str:
    same = {"pi05", "smolvla", "openvla"}
    return "it" if policy.lower() in same else f"its nearest known relative, {known},"


def check_adapter(folder: Path) -> None:
    """Check that a folder has no adapter (LoRA). Raises UsageError if it has: it may not be merged."""
    file = next((folder / name for name in _ADAPTER if (folder / name).is_file()), None)
    if file is None:
        return
    merge = "merge it with peft (merge_and_unload, save_pretrained) and give the folder that this writes"
    if any(path.name not in _ADAPTER for path in folder.glob("*.safetensors")):
        raise UsageError(
            f"{folder} holds a model and an adapter beside it, {file.name}: "
            "the weights without it are not what was trained",
            f"{merge}; where it is merged already, take the adapter's files away",
        )
    about = folder / _ADAPTER[0]
    base = read_json(about).get("base_model_name_or_path") if about.is_file() else None
    of = f" of {base}" if base else ""
    raise UsageError(f"{folder} holds only an adapter{of} ({file.name}), and not its model", merge)


def _quantized_by(config: Mapping[str, Any]) -> str | None:
    """Find the quantization that config.json names, for the whole model or a part; None: it names none."""
    for section in (config, *(_section(config, name) for name in ("text_config", "vision_config"))):
        for key in _QUANTIZED_KEYS:
            found: Any = section.get(key)
            if not found:
                continue
            fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
            loads = any(fields.get(name) for name in ("load_in_4bit", "load_in_8bit"))
            return str(fields.get("quant_method") or ("bitsandbytes" if loads else key))
    return None
