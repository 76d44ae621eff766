"""A checkpoint's weights: all that a net has a place for, and nothing else, or a refusal that names them."""

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
from transformers import PreTrainedModel
from transformers.utils import logging

from edge.bundle.published import read_json
from edge.errors import UsageError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_AGAIN = "get the checkpoint again, all of its files"
_FLOATS = ("F64", "F32", "BF16", "F16")
# Numbers that older programs stored although they follow from the configuration, and a counter.
_COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|num_batches_tracked)$")


@dataclass(frozen=True)
class Header:
    """What a file says of one tensor."""

    kind: str  # as safetensors names types
    shape: tuple[int, ...]


def weight_files(folder: Path) -> list[Path]:
    """The files that a checkpoint's weights are read from: one, or those of an index. Raises UsageError if
    one is missing, and where there are two sets of weights."""
    used = _files_in_use(folder)
    other = next((path for path in sorted(folder.glob("*.safetensors")) if path not in used), None)
    if other is not None:
        raise UsageError(
            f"{folder} holds {other.name} beside {used[0].name}, and nothing says what of",
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
    """The names of an index's files. Raises UsageError if it names none, or one that is elsewhere."""
    found: Any = read_json(index).get("weight_map")
    names = sorted({str(name) for name in found.values()}) if isinstance(found, dict) else []
    if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
        raise UsageError(f"{index} names no files beside it", _AGAIN)
    return names


def read_headers(files: Iterable[Path]) -> dict[str, Header]:
    """Type and shape of each tensor; no numbers are read. Raises UsageError for a file that is cut short or
    damaged, and for a tensor that is in two of them."""
    found: dict[str, Header] = {}
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118, it is no dict
                    if name in found:
                        raise UsageError(f"{path}: {name} is in another file of the weights, too", _AGAIN)
                    part = file.get_slice(name)
                    found[name] = Header(part.get_dtype(), tuple(part.get_shape()))
        except (OSError, SafetensorError) as error:
            raise UsageError(f"the weights in {path} can't be read: {error}", _AGAIN) from error
    return found


def check_types(where: Path, headers: dict[str, Header]) -> None:
    """Raises UsageError for weights of a type that no net was trained in."""
    odd = [n for n, head in headers.items() if head.kind not in _FLOATS and not _COMPUTED.search(n)]
    if odd:
        raise UsageError(
            f"{where} holds {_count(odd, 'tensor')} of packed or quantized numbers, "
            f"the first is {odd[0]} ({headers[odd[0]].kind})",
            "give the checkpoint that it was made from; vla-edge quantizes itself, with --precision",
        )


def load_pretrained(net: type[PreTrainedModel], folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The net of a published checkpoint's folder, in evaluation mode. Raises UsageError if its weights are
    not exactly those that the net of config.json has, as transformers itself names and ties them."""
    headers = read_headers(weight_files(folder))
    check_types(folder, headers)
    model, found = _read(net, folder, dtype)
    strange = [name for name in found["unexpected_keys"] if not _COMPUTED.search(name)]
    check_complete(folder, model, headers, found["missing_keys"], strange, found["mismatched_keys"])
    for name, other in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if model.get_parameter(name) is not model.get_parameter(other):
            raise UsageError(
                f"{folder}: {name} and {other} are one matrix in config.json, and two in the weights",
                "nobody can tell which was trained: take one away, or set tie_word_embeddings to false",
            )
    stored, places = sum(not _COMPUTED.search(name) for name in headers), len(model.state_dict())
    if stored > places:
        raise UsageError(f"{folder} holds {stored} tensors for a net of {places}: some twice", _AGAIN)
    check_finite(folder, model)
    return model.eval()


def check_finite(where: Path, model: nn.Module) -> None:
    """Raises UsageError if a weight is NaN or infinite."""
    odd = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
    if odd:
        what = f"{_count(odd, 'tensor')} with NaN or infinity, the first is {odd[0]}"
        raise UsageError(f"{where} holds {what}", _AGAIN)


def _read(net: type[PreTrainedModel], folder: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """The net, and what transformers says of its weights; where they fit nowhere it has random ones. Raises
    UsageError for what it can't read at all."""
    load: Any = net.from_pretrained
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its table of what is missing would say the same in a hundred lines
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
        what = f"{type(error).__name__} {' '.join(str(error).split())[:300]}"
        raise UsageError(f"the checkpoint in {folder} can't be read: {what}", _AGAIN) from error
    finally:
        logging.set_verbosity(verbosity)


def load_exactly(model: nn.Module, file: Path) -> None:
    """Weights that `safetensors.torch.save_model` wrote, into the same net. Raises UsageError if one is
    missing, too many, or of another shape or a quantized type."""
    if not file.is_file():
        raise UsageError(f"{file} is missing", "give the folder that training wrote")
    headers = read_headers([file])
    check_types(file, headers)
    own = model.state_dict()
    both = [name for name in headers if name in own and own[name].numel()]
    unlike = [(n, headers[n].shape, tuple(own[n].shape)) for n in both if headers[n].shape != own[n].shape]
    # Tied weights are stored once, so they are known by where they lie.
    filled = {own[name].data_ptr() for name in both}
    missing = [name for name, value in own.items() if value.data_ptr() not in filled and value.numel()]
    check_complete(file, model, headers, missing, [name for name in headers if name not in own], unlike)
    if len({own[name].data_ptr() for name in both}) < len(both):
        raise UsageError(f"{file} holds two matrices where its net has one", "train the policy again")
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
    """Raises UsageError if of the stored weights a net lacks some, has no place for some (`strange`), or
    some have another shape (name, shape in the file, the net's). It names the first of each, and how many."""
    if not (missing or strange or unlike):
        return
    order = {name: place for place, name in enumerate(model.state_dict())}
    parts: list[str] = []
    if missing:
        first = min(missing, key=lambda name: order.get(name, 0))
        parts.append(f"{_count(missing, 'tensor')} of {len(order)} missing, the first is {first}")
    if unlike:
        first, given, own = min(unlike, key=lambda one: order.get(one[0], 0))
        shapes = f"{tuple(given)}, not {tuple(own)}"
        parts.append(f"{_count(unlike, 'tensor')} of another shape, the first is {first}: {shapes}")
    if strange:
        parts.append(f"{_count(strange, 'tensor')} that it has no place for, the first is {min(strange)}")
    prefix = _prefix(stored, order)
    raise UsageError(
        f"the weights in {where} are not those of its net: {'; '.join(parts)}",
        f"each name begins with {prefix!r}: write the weights without it"
        if prefix
        else "give all files of one checkpoint: its weights, and the config.json they were trained with",
    )


def _prefix(stored: Collection[str], own: Collection[str]) -> str:
    """What all stored names begin with before a name of the net's begins; "" where that is nothing."""
    each = zip(*(name.split(".") for name in stored), strict=False)
    common = [same[0] for same in takewhile(lambda parts: len(set(parts)) == 1, each)]
    tops = {name.partition(".")[0] for name in own}
    return "".join(f"{part}." for part in takewhile(lambda part: part not in tops, common))


def _count(names: Collection[Any], what: str) -> str:
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''}"
