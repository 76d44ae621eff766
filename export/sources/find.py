"""The model to export: in a folder, an installed bundle, or on the Hugging Face hub."""

import json
import re
import sys
from pathlib import Path
from typing import Any, Literal

from edge.bundle.bundle import MANIFEST, bundle_names, find_bundle, read_manifest
from edge.bundle.published import check_checkpoint
from edge.errors import UsageError, reason_of

POLICY = "vla.json"  # in the checkpoint of a policy that training wrote
TINY = "tiny.json"  # in the checkpoint of a tiny PaliGemma
ModelKind = Literal["bundle", "policy", "tiny", "family", "large"]  # large: a family's, see `export.large`
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ("*.json", "*.jinja", "*.safetensors")  # no pickles; chat templates run in a sandbox


def find_model(given: str) -> Path:
    """Find a model's folder: the given one, that of an installed bundle, or ORG/NAME's of the hub.

    A model of the hub is downloaded if it is not here yet. Raises UsageError if there is none, and for a
    checkpoint whose files say that its weights can't be taken as they are.
    """
    folder = Path(given)
    if folder.is_dir():
        if given in bundle_names():
            print(f"note: {given} is the folder here, and not the bundle of that name", file=sys.stderr)
        return _checked(folder)
    if given in bundle_names():
        return find_bundle(given)
    if folder.exists():
        raise UsageError(f"{folder} is a file", "give the folder that it lies in")
    if _HUB_ID.fullmatch(given):
        return _checked(_download(given))
    names = ", ".join(bundle_names())
    raise UsageError(
        f"there is no folder {given}",
        f"give a checkpoint's folder, ORG/NAME of the Hugging Face hub, or a bundle: {names}",
    )


def _checked(folder: Path) -> Path:
    """Return the folder if it holds a bundle, a policy, or a checkpoint whose weights can be taken."""
    if not any((folder / name).is_file() for name in (MANIFEST, POLICY)):
        check_checkpoint(folder)
    return folder


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    page = f"https://huggingface.co/{repository}"
    try:
        return Path(snapshot_download(repository, allow_patterns=list(_FILES)))
    except GatedRepoError as error:
        raise UsageError(
            f"the hub gives {repository} only to those who accepted its terms",
            f"accept them at {page}, then `hf auth login`",
        ) from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"there is no folder {repository}, and no such model on the hub",
            f"check the name; if {page} is private, `hf auth login`",
        ) from error
    except LocalEntryNotFoundError as error:
        raise UsageError(
            f"there is no folder {repository}, and the hub can't be reached",
            "check the name and the network, or download it elsewhere and give the folder",
        ) from error
    except (OSError, ValueError) as error:  # the common classes of its other errors and the network's
        raise UsageError(
            f"there is no folder {repository}, and the hub gives none: {reason_of(error)}",
            "check the name and the network, or download it elsewhere and give the folder",
        ) from error


def find_source(given: str | None, model: str | None, head: Path | None) -> Path:
    """Find the folder to export: MODEL's, which stands alone or behind --model, or a policy's checkpoint.

    A policy brings its own backbone, trained or not; a model beside it must be of the same family. Raises
    UsageError if there is no model, or if there are two.
    """
    if given is not None and model is not None:
        raise UsageError(f"two models: {given} and --model {model}", "give one")
    name = given if model is None else model
    if name is None and head is None:
        raise UsageError("no model to export", "give a checkpoint's folder, ORG/NAME of the hub, or a bundle")
    if head is None:
        assert name is not None
        return find_model(name)
    if not (head / POLICY).is_file():
        raise UsageError(
            f"{head} is not a policy's checkpoint: it has no {POLICY}", "give OUT/best of training"
        )
    if name is not None:
        _check_family(head, find_model(name))
    return head


def kind_at(folder: Path) -> ModelKind:
    """Find the kind of model in a folder; if it is nothing else, it counts as a family's checkpoint."""
    if (folder / MANIFEST).is_file():
        return "bundle"
    if (folder / POLICY).is_file():
        return "policy"
    return "tiny" if (folder / TINY).is_file() else "family"


def _check_family(head: Path, model: Path) -> None:
    trained = _json(head / POLICY).get("backbone", {}).get("model_type")
    found = _json(model / "config.json").get("model_type")
    if trained != found:
        raise UsageError(
            f"{head} was trained on a {trained}, {model} is a {found}",
            "leave --model out: a policy brings its own backbone",
        )


def family_at(folder: Path) -> str:
    """Find the family of a checkpoint or bundle, as prompts and parsers call it.

    Raises UsageError if no family reads it, BundleRefused for a damaged bundle.
    """
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)[0].family
    from export.sources.manifest import family_name  # torch takes seconds to import

    about = _json(folder / POLICY).get("backbone", {}) if (folder / POLICY).is_file() else None
    found = about if about is not None else _json(folder / "config.json")
    return family_name(str(found.get("model_type")))


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {file}: {reason_of(error)}") from error
    return found if isinstance(found, dict) else {}
