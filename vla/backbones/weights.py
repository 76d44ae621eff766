"""Loads a checkpoint's weights: exactly those of the net, or a refusal that names what is wrong."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model
from torch import nn
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging

from edge.bundle.published import read_json
from edge.errors import UsageError, reason_of

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_AGAIN = "get the checkpoint again, all of its files"
_FLOATS = ("F64", "F32", "BF16", "F16")
# Older programs stored these numbers although they follow from the configuration; the last is a counter.
_COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|num_batches_tracked)$")


@dataclass(frozen=True)
class Header:
    """Type and shape of one tensor in a file."""

    kind: str  # the type's name in safetensors
    shape: tuple[int, ...]


def weight_files(folder: Path) -> list[Path]:
    """List the files of a checkpoint's weights: one, or those of an index.

    Raises UsageError if one is missing, and if there are two sets of weights.
    """
    used = _files_in_use(folder)
    other = next((path for path in sorted(folder.glob("*.safetensors")) if path not in used), None)
    if other is not None:
        raise UsageError(
            f"{folder} holds {other.name} beside {used[0].name}: it is not clear which are the weights",
            "take one of them away",
        )
    return used


def _files_in_use(folder: Path) -> list[Path]:
    whole, index = folder / WHOLE, folder / INDEX
    if not index.is_file():
        if whole.is_file():
            return [whole]
        found = next(iter(sorted(folder.glob("*.safetensors"))), None)
        if found is None:
            raise UsageError(
                f"{folder} has no *.safetensors", "convert the weights: pickled ones are not read"
            )
        raise UsageError(f"{folder} has {found.name}, but neither {WHOLE} nor {INDEX}", _AGAIN)
    names = _shards(index)
    lost = [name for name in names if not (folder / name).is_file()]
    if whole.is_file() and names != [WHOLE]:
        if len(lost) == len(names):
            return [whole]
        raise UsageError(
            f"{folder} holds two sets of weights: {WHOLE}, and {names[0]} of {INDEX}", "take one of them away"
        )
    if lost:
        raise UsageError(
            f"{folder} lacks {len(lost)} of the {len(names)} files of its weights, the first is {lost[0]}",
            _AGAIN,
        )
    return [folder / name for name in names]


def _shards(index: Path) -> list[str]:
    """List an index's files by name. Raises UsageError if it names none, or one in another folder."""
    found: Any = read_json(index).get("weight_map")
    names = sorted({str(name) for name in found.values()}) if isinstance(found, dict) else []
    if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
        raise UsageError(f"{index} names no files beside it", _AGAIN)
    return names


def read_headers(files: Iterable[Path]) -> dict[str, Header]:
    """Read type and shape of each tensor, but no numbers.

    Raises UsageError for a file that is cut short or damaged, and for a tensor that is in two files.
    """
    found: dict[str, Header] = {}
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118, the file is not a dict
                    if name in found:
                        raise UsageError(f"{path}: {name} is also in another file of the weights", _AGAIN)
                    part = file.get_slice(name)
                    found[name] = Header(part.get_dtype(), tuple(part.get_shape()))
        except (OSError, SafetensorError) as error:
            raise UsageError(f"the weights in {path} can't be read: {reason_of(error)}", _AGAIN) from error
    return found


def check_types(where: Path, headers: dict[str, Header]) -> None:
    """Check the types of weights. Raises UsageError for one in which no net is trained."""
    odd = [n for n, head in headers.items() if head.kind not in _FLOATS and not _COMPUTED.search(n)]
    if odd:
        raise UsageError(
            f"{where} holds {_count(odd, 'tensor')} of packed or quantized numbers, "
            f"the first is {odd[0]} ({headers[odd[0]].kind})",
            "give the checkpoint that it was made from; vla-edge quantizes itself, with --precision",
        )


def load_pretrained(net: type[PreTrainedModel], folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Load the net of a published checkpoint's folder, in evaluation mode.

    Raises UsageError if its weights are not exactly those of the net that config.json describes, as
    transformers names and ties them.
    """
    headers = read_headers(weight_files(folder))
    check_types(folder, headers)
    model, found = _read(net, folder, dtype)
    strange = [name for name in found["unexpected_keys"] if not _COMPUTED.search(name)]
    check_complete(folder, model, headers, found["missing_keys"], strange, found["mismatched_keys"])
    for name, other in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if model.get_parameter(name) is not model.get_parameter(other):
            raise UsageError(
                f"{folder}: {name} and {other} are one matrix in config.json, and two in the weights",
                "take away the one that was not trained, or set tie_word_embeddings to false",
            )
    stored, own = sum(not _COMPUTED.search(name) for name in headers), len(model.state_dict())
    if stored > own:
        raise UsageError(f"{folder} holds {stored} tensors for a net of {own}: some twice", _AGAIN)
    check_finite(folder, model)
    return model.eval()


def check_finite(where: Path, model: nn.Module) -> None:
    """Check that all weights are numbers. Raises UsageError if one is NaN or infinite."""
    odd = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
    if odd:
        what = f"{_count(odd, 'tensor')} with NaN or infinity, the first is {odd[0]}"
        raise UsageError(f"{where} holds {what}", _AGAIN)


def _read(net: type[PreTrainedModel], folder: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """Read the net, and transformers' report on its weights; weights that are missing are random.

    Raises UsageError for a folder that transformers can't read at all.
    """
    load: Any = net.from_pretrained
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its table would repeat the refusal in a hundred lines
    try:
        return load(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=dtype,
            ignore_mismatched_sizes=True,  # they are refused later, by name
            output_loading_info=True,
        )
    except Exception as error:  # a configuration that fits no net fails in any layer, in any way
        what = f"{type(error).__name__} {reason_of(error)}"
        raise UsageError(f"the checkpoint in {folder} can't be read: {what}", _AGAIN) from error
    finally:
        logging.set_verbosity(verbosity)


def load_exactly(model: nn.Module, file: Path) -> None:
    """Load weights that `safetensors.torch.save_model` wrote into the same net.

    Raises UsageError if one is missing, unknown, of another shape or of a quantized type.
    """
    if not file.is_file():
        raise UsageError(f"{file} is missing", "give the folder that training wrote")
    headers = read_headers([file])
    check_types(file, headers)
    own = model.state_dict()
    both = [name for name in headers if name in own and own[name].numel()]
    unlike = [(n, headers[n].shape, tuple(own[n].shape)) for n in both if headers[n].shape != own[n].shape]
    # Tied weights are stored once, so they are compared by their address.
    filled = {own[name].data_ptr() for name in both}
    missing = [name for name, value in own.items() if value.data_ptr() not in filled and value.numel()]
    check_complete(file, model, headers, missing, [name for name in headers if name not in own], unlike)
    if len({own[name].data_ptr() for name in both}) < len(both):
        raise UsageError(f"{file} holds two matrices for one of its net", "train the policy again")
    load_model(model, str(file))
    check_finite(file, model)


def check_complete(
    where: Path,
    model: nn.Module,
    stored: Collection[str],
    missing: Collection[str],
    strange: Collection[str],
    unlike: Collection[tuple[str, Any, Any]],
) -> None:
    """Check that a net's weights are all there, and no others.

    `missing` are not stored, `strange` are not the net's, `unlike` have another shape: (name, shape in the
    file, shape in the net). Raises UsageError that names the first of each and their number.
    """
    if not (missing or strange or unlike):
        return
    order = {name: index for index, name in enumerate(model.state_dict())}
    parts: list[str] = []
    if missing:
        first = min(missing, key=lambda name: order.get(name, 0))
        parts.append(f"{_count(missing, 'tensor')} of {len(order)} missing, the first is {first}")
    if unlike:
        first, given, own = min(unlike, key=lambda one: order.get(one[0], 0))
        shapes = f"{tuple(given)}, not {tuple(own)}"
        parts.append(f"{_count(unlike, 'tensor')} of another shape, the first is {first}: {shapes}")
    if strange:
        parts.append(f"{_count(strange, 'tensor')} that the net has not, the first is {min(strange)}")
    prefix = _prefix(stored, order)
    raise UsageError(
        f"the weights in {where} are not those of its net: {'; '.join(parts)}",
        f"each name begins with {prefix!r}: write the weights without it"
        if prefix
        else "give all files of one checkpoint: its weights, and the config.json they were trained with",
    )


def _prefix(stored: Collection[str], own: Collection[str]) -> str:
    """Find the prefix that all stored names have before the net's own names; "" if there is none."""
    each = zip(*(name.split(".") for name in stored), strict=False)
    common = [same[0] for same in takewhile(lambda parts: len(set(parts)) == 1, each)]
    tops = {name.partition(".")[0] for name in own}
    return "".join(f"{part}." for part in takewhile(lambda part: part not in tops, common))


def _count(names: Collection[Any], what: str) -> str:
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''}"
