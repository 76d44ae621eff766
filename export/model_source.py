"""Where a model comes from that is to be exported: a folder, an installed bundle, or the Hugging Face hub."""

import re
from pathlib import Path

from edge.bundle import bundle_names, find_bundle
from edge.errors import UsageError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ("*.json", "*.safetensors")  # no pickles, and nothing that runs


def find_model(given: str) -> Path:
    """Its folder: the one that was given, that of the bundle installed under the name, or, of ORG/NAME, the
    hub's, downloaded where it is not here yet. Raises UsageError where there is none."""
    folder = Path(given)
    if folder.exists():
        return folder
    if given in bundle_names():
        return find_bundle(given)
    if _HUB_ID.fullmatch(given):
        return _download(given)
    names = ", ".join(bundle_names())
    raise UsageError(
        f"there is no folder {given}",
        f"give a checkpoint's folder, ORG/NAME of the Hugging Face hub, or a bundle: {names}",
    )


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=list(_FILES)))
    except (OSError, ValueError) as error:  # what its errors and those of the network have in common
        raise UsageError(
            f"cannot get {repository} from the Hugging Face hub: {' '.join(str(error).split())[:200]}",
            "check the name and the network, or download it elsewhere and give the folder",
        ) from error
