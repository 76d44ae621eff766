"""What a bundle's training has shown it, against what the robot's camera shows: simulated rooms, or real."""

from collections.abc import Collection, Mapping
from typing import Any

from edge.address import without_password
from edge.bundle.manifest import SIMULATED_ROOMS, Manifest
from edge.errors import BundleRefused, EdgeError
from edge.goals.goals import GOALS
from edge.plugins import CAMERAS, load_function
from edge.records import Goal

# Frames of these were taken before, or are drawn by the simulator.
_NOT_REAL = ("file", "shm")
_ADVICE = "export.planner.real_rooms:advice"


def check_domain(manifest: Manifest, camera_uris: Mapping[str, str], allowed: bool) -> None:
    """Check that a bundle that has only seen simulated rooms does not see with a real camera.

    Raises BundleRefused if it does and nobody allowed it.
    """
    known = CAMERAS.names()  # whatever else opens no camera is refused by name, when it is opened
    real = next((uri for uri in camera_uris.values() if _is_real(uri, known)), None)
    if real is None or allowed or SIMULATED_ROOMS not in (manifest.domain, manifest.floor_domain):
        return
    shown = without_password(real)[:80]
    if manifest.domain == SIMULATED_ROOMS:
        raise BundleRefused(
            f"bundle '{manifest.name}' has only seen simulated rooms, and {shown} is a real camera: "
            "what it says there means nothing",
            f"{_advice()}; to try it all the same, with a hand at the switch: --allow-domain",
        )
    raise BundleRefused(
        f"the floor net of bundle '{manifest.name}' has only seen simulated rooms, and {shown} is a real "
        "camera: what it calls free floor may be an obstacle",
        "export it again without --floor: it then drives by slower rules; to try it all the same: "
        "--allow-domain",
    )


def floor_cautions(manifest: Manifest, goal: Goal, recorded: bool) -> tuple[str, ...]:
    """Return what to say about a bundle that drives without seeing the floor."""
    if recorded or not GOALS[goal.kind].moves or "floor" in manifest.graphs:
        return ()
    if goal.kind == "instruct":
        return ()  # nothing but words steers it, whatever the bundle holds
    slower = "it drives at 0.2 m/s at most, and " if manifest.policy == "grounding" else ""
    return (f"bundle '{manifest.name}' has no floor graph, so it sees no obstacles: {slower}clear the floor",)


def _is_real(uri: str, known: Collection[str]) -> bool:
    scheme = uri.partition("://")[0]
    return scheme in known and scheme not in _NOT_REAL


def _advice() -> str:
    try:
        advice: Any = load_function(_ADVICE, "advice")()
    except EdgeError as error:  # the planner refuses what it can't compute here
        advice = (
            "a bundle for real rooms is made by `vla-edge export --model google/paligemma-3b-mix-224 "
            f"--out real` (docs/first-drive.md); what fits this machine is not known: {error.message}"
        )
    return str(advice)
