"""The header of a recording: what a run consists of, so that it can be replayed and understood."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import edge
from edge.address import without_password
from edge.base_spec import BaseSpec
from edge.bundle.bundle import Bundle
from edge.records import CameraMount, Goal
from edge.runs.tap.plain import to_plain

FORMAT = 1  # counts changes of the own messages
_PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "tensorrt", "mcap")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a policy was built of, and what it saw with."""

    goal: Goal
    prompt: str
    bundle_from: str  # as it was named on the command line
    mount: CameraMount
    base: BaseSpec
    size: object  # the target's apparent size as it was measured; None: it was not
    threads: int
    camera: str  # that paces the policy
    cameras: Mapping[str, str]  # addresses, without passwords
    machine: Mapping[str, Any]
    run: str  # the run's folder
    images: str
    max_seconds: float
    restarts: int = 0  # that its engine had before this drive


def header(facts: RunFacts, bundle: Bundle) -> dict[str, Any]:
    """Return the header as plain JSON."""
    manifest = bundle.manifest
    return {
        "format": FORMAT,
        "vla_edge": edge.__version__,
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "arguments": [without_password(each) for each in sys.argv[1:]],
        "bundle": bundle.origin(),
        "kind": manifest.policy,
        "engine": manifest.target.engine,
        "files": _hashes(bundle),
        **to_plain(facts),
    }


def _hashes(bundle: Bundle) -> dict[str, str]:
    """Return the SHA-256 of every file that an engine reads, by its role."""
    manifest = bundle.manifest
    graphs = {stage: each.sha256 for stage, each in manifest.graphs.items()}
    plans = {f"{stage}.plan": each.sha256 for stage, each in manifest.plans.items()}
    return {**graphs, **plans, **{role: each.sha256 for role, each in manifest.files.items()}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
