"""The parts of the comparison: a decision, a tick of the loop, a frame of a camera."""

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cameras.serving import serving
from benchmarks.peers.decisions import Job, figures, write_job
from benchmarks.peers.loops import LEROBOT_LOOPS, OURS, OwnLoop, with_runtime_alone
from benchmarks.peers.models import GPU_PEERS, PEERS
from benchmarks.peers.process import PeerProcess
from benchmarks.peers.turns import Turns, TurnTaker, open_all, take_turns
from benchmarks.peers.venv import GPU, LEROBOT, MODELS, PeerEnvironment, make_venv
from benchmarks.peers.verdict import held_against
from edge.bundle.bundle import find_bundle, load_bundle
from edge.bundle.choice import AUTO, choose_here
from edge.commands.output import ProgressLine
from edge.errors import EdgeError, UsageError

OURS_INT8 = "vla-edge int8"
WARM_UP = 3  # rounds of decisions that don't count
READERS = (OURS, "cv2", "lerobot", "decoding")
Missing = dict[str, str]  # why a peer was not measured, by its name


@dataclass(frozen=True)
class PartSettings:
    """How the parts are measured."""

    bundle: str
    rounds: int  # decisions
    turns: int  # loops and cameras
    seconds: float  # the length of such a turn
    codec: str
    cpu: int  # the core of the decisions
    cache: Path
    without: set[str]
    place: Path  # a temporary folder
    progress: ProgressLine

    def python(self, names: Iterable[str], wanted: PeerEnvironment, missing: Missing) -> Path | None:
        """Return the Python of an environment; None if it can't be installed, which is noted for `names`."""
        try:
            return make_venv(self.cache, wanted, lambda text: print(text, file=sys.stderr))
        except EdgeError as error:
            missing |= dict.fromkeys(names, error.message)
            return None


def compare_decisions(settings: PartSettings, missing: Missing) -> dict[str, Any]:
    """Compare a decision with a box: the same weights, pictures and prompt, and as many tokens."""
    job = write_job(settings.place)
    openers = _deciders(settings, job, missing)
    settings.progress.show("opening the models")
    with ExitStack() as stack:
        peers = open_all(openers, missing, stack)
        _require(OURS_INT8, peers, missing)
        total = settings.rounds + WARM_UP
        found = take_turns(
            peers,
            lambda number: number % job.pictures,
            settings.rounds,
            lambda done: settings.progress.show("decisions", done + 1, total),
            WARM_UP,
        )
    return {
        "ours": OURS_INT8,
        "peers": figures(found, OURS_INT8),
        "versions": _versions(peers),
        "int8_by": choose_here().reason,
        "core": settings.cpu,
        "bundle": load_bundle(settings.bundle).origin(),
        "pictures": job.pictures,
    }


def _deciders(settings: PartSettings, job: Job, missing: Missing) -> dict[str, Callable[[], TurnTaker]]:
    """Return what opens each peer that decides."""
    python = settings.python(PEERS, MODELS, missing)
    pythons = dict.fromkeys(PEERS, python)
    if (lacks := _no_gpu()) is not None:
        missing |= dict.fromkeys(GPU_PEERS, lacks)
    else:
        pythons |= dict.fromkeys(GPU_PEERS, settings.python(GPU_PEERS, GPU, missing))
    bundle = find_bundle(settings.bundle)

    def opener(name: str, python: Path) -> Callable[[], TurnTaker]:
        arguments = (name, job.folder, bundle, settings.cache, settings.cpu)
        log = settings.place / f"{name.replace(' ', '-')}.log"
        return lambda: PeerProcess(name, python, "benchmarks.peers.worker", arguments, log)

    return {
        name: opener(name, python)
        for name, python in pythons.items()
        if python is not None and name not in settings.without
    }


def compare_loops(settings: PartSettings, missing: Missing) -> dict[str, Any]:
    """Compare a tick of the loop at 30 Hz, with a policy that costs nothing and motors that are nothing."""
    names = [name for name in LEROBOT_LOOPS if name not in settings.without]
    python = settings.python(names, LEROBOT, missing) if names else None
    openers: dict[str, Callable[[], TurnTaker]] = {OURS: lambda: OwnLoop(settings.place)}

    def opener(name: str, python: Path) -> Callable[[], TurnTaker]:
        log = settings.place / f"{name.replace(' ', '-')}.log"
        return lambda: PeerProcess(name, python, "benchmarks.peers.lerobot_loop", [LEROBOT_LOOPS[name]], log)

    openers |= {name: opener(name, python) for name in names if python is not None}
    found, versions = _turns(settings, openers, missing, "turns of the loops")
    return {"ours": OURS, "peers": held_against(with_runtime_alone(found), OURS), "versions": versions}


def compare_cameras(settings: PartSettings, missing: Missing) -> dict[str, Any]:
    """Compare a frame's way from an RTSP server on this machine into the model's tensor."""
    spec = load_bundle(AUTO).manifest.image.model_dump_json()
    names = [name for name in READERS if name not in settings.without]
    pythons: dict[str, Path | None] = dict.fromkeys(names, Path(sys.executable))
    if "lerobot" in pythons:
        pythons["lerobot"] = settings.python(["lerobot"], LEROBOT, missing)
    with serving() as host:

        def opener(name: str, python: Path) -> Callable[[], TurnTaker]:
            arguments = (name, f"rtsp://{host}/{settings.codec}", spec)
            log = settings.place / f"camera-{name}.log"
            return lambda: PeerProcess(name, python, "benchmarks.cameras.reader", arguments, log)

        openers = {name: opener(name, python) for name, python in pythons.items() if python is not None}
        found, versions = _turns(settings, openers, missing, "turns of the cameras")
    return {
        "ours": OURS,
        "peers": held_against(found, OURS),
        "versions": versions,
        "codec": settings.codec,
    }


PARTS = {"decision": compare_decisions, "loop": compare_loops, "camera": compare_cameras}


def _turns(
    settings: PartSettings, openers: dict[str, Callable[[], TurnTaker]], missing: Missing, what: str
) -> tuple[Turns, dict[str, str]]:
    settings.progress.show(what, 0, settings.turns)
    with ExitStack() as stack:
        peers = open_all(openers, missing, stack)
        _require(OURS, peers, missing)
        found = take_turns(
            peers,
            lambda number: settings.seconds,
            settings.turns,
            lambda done: settings.progress.show(what, done + 1, settings.turns),
        )
    return found, _versions(peers)


def _require(ours: str, peers: list[TurnTaker], missing: Missing) -> None:
    """Check that this runtime is among the peers. Raises UsageError if not."""
    if ours not in [peer.name for peer in peers]:
        raise UsageError(
            f"all is compared with '{ours}', which is not measured: {missing.get(ours, 'it is left out')}",
            "leave out others",
        )


def _versions(peers: list[TurnTaker]) -> dict[str, str]:
    return {name: version for peer in peers for name, version in peer.versions.items()}


def _no_gpu() -> str | None:
    """Return why there is no NVIDIA GPU to measure on; None if there is one."""
    from edge.engines.cuda import cuda

    try:
        cuda()
    except EdgeError as error:
        return f"no GPU: {error.message.splitlines()[0]}"
    return None
