"""CUDA, TensorRT, jetson-stats, and which bundles load here."""

import json
import re
import stat
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from edge.board.identity import read_board
from edge.board.jtop import JtopReader, open_jtop
from edge.board.tree import Tree
from edge.bundle.bundle import load_bundle
from edge.doctor.check import Check, absent, fail, ok, warn
from edge.engines.cuda import this_machine
from edge.engines.open import check_plans
from edge.errors import EdgeError, HardwareMissing, install_hint
from edge.plugins import BUNDLES

_DPKG = "/var/lib/dpkg/status"
JTOP_LIMIT_S = 5.0  # its first reading takes one to two seconds


def check_compute(tree: Tree, bundles: Sequence[str]) -> list[Check]:
    """Look at what computes; `bundles` are names or folders, all installed ones if there are none."""
    jetson = read_board(tree).jetson
    checks = [_cuda(tree, jetson), _tensorrt(tree, jetson), _jtop(tree, jetson)]
    if not tree.live:
        return checks
    names = bundles or BUNDLES.names()
    return [_gpu(jetson), *checks, *(_bundle(name) for name in names)]


def _gpu(jetson: bool) -> Check:
    try:
        machine = this_machine()
    except HardwareMissing as missing:
        if jetson:
            return fail("GPU", missing.message, missing.hint)
        return absent("GPU", missing.message, missing.hint)
    return ok("GPU", f"{machine.device}, {machine.multiprocessors} multiprocessors")


def _cuda(tree: Tree, jetson: bool) -> Check:
    try:
        found = json.loads(tree.text("/usr/local/cuda/version.json") or "{}")["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        found = _package(tree, r"cuda-cudart-\d+-\d+")
    if found:
        return ok("CUDA", str(found)[:40])
    if jetson:
        return fail("CUDA", "not installed", "sudo apt install nvidia-jetpack")
    return absent("CUDA", "not installed; bundles without plans need none")


def _tensorrt(tree: Tree, jetson: bool) -> Check:
    name, library = "TensorRT", _package(tree, r"libnvinfer\d+")
    if not tree.live:
        if library:
            return ok(name, f"library {library}")
        return fail(name, "not installed", "sudo apt install nvidia-jetpack") if jetson else absent(name, "–")
    if find_spec("tensorrt") is not None:
        try:
            found = version("tensorrt")
        except PackageNotFoundError:  # Debian's package has no metadata for Python
            found = library or "version unknown"
        return ok(name, f"{found}, seen by this Python")
    if library:
        hint = "make the environment anew with JetPack's packages in sight: make clean && make run"
        return fail(name, f"library {library}, but this Python does not see the module tensorrt", hint)
    if jetson:
        return fail(name, "not installed", "sudo apt install nvidia-jetpack")
    return absent(name, "not installed; bundles without plans need none")


def _package(tree: Tree, name: str) -> str:
    """Return the version of an installed Debian package whose whole name matches; empty without one."""
    entry = rf"^Package: {name}\nStatus: install ok installed\n(?:(?!\n\n)[\s\S])*?^Version: (\S+)"
    found = re.search(entry, tree.text(_DPKG) or "", re.MULTILINE)
    return found[1] if found else ""


def _jtop(tree: Tree, jetson: bool) -> Check:
    try:
        package = version("jetson-stats") if tree.live else ""
    except PackageNotFoundError:
        package = ""
    socket = tree.path("/run/jtop.sock")
    running = tree.there("/run/jtop.sock") and (not tree.live or stat.S_ISSOCK(socket.stat().st_mode))
    if not jetson:
        return absent("jtop", "for Jetsons alone")
    words = f"jetson-stats {package}" if package else "jetson-stats is not seen by this Python"
    if running:
        reader = open_jtop(tree)
        if reader is None:
            return ok("jtop", f"its service runs; {words}. Heat is read from /sys")
        with reader:
            return check_jtop(reader, words)
    return warn(
        "jtop",
        f"its service does not run; {words}. Heat is watched without it",
        f"{install_hint('jetson')}; then sudo jtop --install-service. In a container: "
        "docker run -v /run/jtop.sock:/run/jtop.sock …",
    )


def check_jtop(reader: JtopReader, words: str) -> Check:
    """Say what the service of jetson-stats reads, which is what a run goes by."""
    reading = reader.await_reading(JTOP_LIMIT_S)
    if reading is None:
        return warn(
            "jtop",
            f"its service runs and tells nothing: {reader.trouble}; {words}. Heat is read from /sys",
            "sudo systemctl restart jtop",
        )
    hottest = max(reading.celsius.items(), key=lambda zone: zone[1], default=None)
    found = [] if hottest is None else [f"{hottest[0]} {hottest[1]:.0f} °C"]
    found += [f"{name} {watts:.1f} W" for name, watts in reading.power_w.items()]
    found += [f"power mode {reading.power_mode}"] if reading.power_mode else []
    found += [] if reading.fan_fraction is None else [f"fan driven at {reading.fan_fraction:.0%}"]
    return ok("jtop", f"{words}: {', '.join(found)}. A run reads temperatures from it, the rest from /sys")


def _bundle(name: str) -> Check:
    label = f"bundle {name}"
    try:
        bundle = load_bundle(name)
        target = bundle.manifest.target
        if target.engine == "tensorrt":
            check_plans(bundle)
    except EdgeError as error:
        return fail(label, error.message, error.hint)
    megabytes = sum(map(len, bundle.contents.values())) / 1e6
    goals = ", ".join(bundle.manifest.goals)
    return ok(label, f"loads, {megabytes:.1f} MB, for {target.engine}: {goals}")
