"""Loads backbones: transformers' families from safetensors, others from a pinned folder with code."""

import hashlib
import importlib.util
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers.utils.logging import disable_progress_bar

from edge.bundle.published import check_checkpoint, read_config
from edge.errors import UsageError, reason_of
from vla.backbones.backbone import Backbone, Layout
from vla.backbones.families import FAMILIES
from vla.backbones.paligemma import TinyConfig, build_paligemma, load
from vla.backbones.weights import load_pretrained

PINNED_FAMILIES = ("moondream", "uform")  # transformers has no modelling code for them
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


def family_of(model_type: str) -> type[Backbone]:
    """Find the family that reads config.json's "model_type". Raises UsageError if there is none."""
    for cls in FAMILIES.values():
        if model_type in cls.classes:
            return cls
    raise UsageError(f"no backbone reads model type {model_type!r}", f"families: {', '.join(FAMILIES)}")


def layout_from_tokenizer(cls: type[Backbone], file: Path) -> Layout:
    """Look the family's markers up in `tokenizer.json`. Raises UsageError if the tokenizer lacks one."""
    if not file.is_file():
        raise UsageError(f"{file} is missing", "save the family's fast tokenizer beside its weights")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise UsageError(f"{file} can't be read: {reason_of(error)}", "get the checkpoint again") from error

    marks = cls.markers

    def ids(names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(one for name in names for one in written(name))

    def written(name: str) -> list[int]:
        if tokenizer.token_to_id(name) is None and name in marks.spelled:
            return tokenizer.encode(name, add_special_tokens=False).ids
        return [index(name)]

    def index(name: str) -> int:
        found = tokenizer.token_to_id(name)
        if found is None and name in marks.instead:
            found = tokenizer.token_to_id(marks.instead[name])
        if found is None:
            raise UsageError(f"{file}: no token {name!r}, so it is not a tokenizer of {cls.family}")
        return found

    return Layout(
        before=ids(marks.before),
        image_start=ids(marks.image_start),
        image_end=ids(marks.image_end),
        after=ids(marks.after),
        end=index(marks.end),
        image=None if marks.image is None else index(marks.image),
    )


def load_backbone(folder: Path, family: str | None = None, dtype: torch.dtype = torch.float32) -> Backbone:
    """Load a family's checkpoint folder: config.json, tokenizer.json, *.safetensors. None of its code runs.

    The tiny PaliGemma (`vla.backbones.paligemma.save`) is read too. Raises UsageError if the folder is
    incomplete, holds another family than `family`, or weights that are not exactly those of its net.
    """
    check_checkpoint(folder)
    model_type = str(read_config(folder)["model_type"])
    cls = family_of(model_type)
    if family is not None and cls.family != family:
        raise UsageError(f"{folder} holds a {cls.family} checkpoint, not {family}")
    layout = layout_from_tokenizer(cls, folder / "tokenizer.json")
    if (folder / "tiny.json").is_file():
        tiny: Any
        tiny, sizes, _ = load(folder)
        return cls(tiny.to(dtype), layout, {"model_type": model_type, "tiny": asdict(sizes)})
    disable_progress_bar()  # commands show their own progress
    return cls(load_pretrained(cls.classes[model_type], folder, dtype), layout)


def backbone_from_config(config: dict[str, Any], layout: Layout) -> Backbone:
    """Build a backbone with random weights from config.json's fields; "tiny" holds a TinyConfig's."""
    cls = family_of(str(config.get("model_type")))
    if "tiny" in config:
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config["tiny"].items()
        }
        return cls(build_paligemma(TinyConfig(**fields)), layout, config)
    model_class: Any = cls.classes[config["model_type"]]
    return cls(model_class(model_class.config_class.from_dict(config)), layout)


def folder_digest(folder: Path) -> str:
    """Compute a SHA-256 over the names and bytes of all files of a folder, in the order of their names.

    Raises UsageError for links and special files, which have no bytes of their own, and for pickles.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise UsageError(f"{path} is not a plain file")
        if path.suffix in _PICKLES:
            raise UsageError(f"{path} may be a pickle", "only safetensors are read")
        digest.update(f"{len(name.encode())}:{name}:{path.stat().st_size}:".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def load_pinned(family: str, folder: Path, sha256: str) -> Backbone:
    """Load a family whose modelling code is in its folder: run `folder/backbone.py` if the digest agrees.

    That file defines `load(folder: Path) -> Backbone`. `sha256` is the `folder_digest` of the folder whose
    code a person has read. Raises UsageError for any other folder, digest or family.
    """
    if family not in PINNED_FAMILIES:
        raise UsageError(f"{family!r} is not loaded from a pinned folder", f"families: {PINNED_FAMILIES}")
    if not (folder / "backbone.py").is_file():
        raise UsageError(f"{folder}/backbone.py is missing", "give a local folder; nothing is downloaded")
    measured = folder_digest(folder)
    if measured != sha256:
        raise UsageError(f"{folder} has digest {measured}, pinned is {sha256}", "read what changed, then pin")
    spec = importlib.util.spec_from_file_location(
        f"vla_pinned_{family}_{sha256[:12]}", folder / "backbone.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    backbone = module.load(folder)
    if not isinstance(backbone, Backbone) or backbone.family != family:
        raise UsageError(
            f"{folder}/backbone.py: load() returned a {type(backbone).__name__}, not a {family} Backbone"
        )
    return backbone
