"""What a container lets this process see."""

from edge.board.identity import read_board
from edge.board.tree import Tree
from edge.doctor.check import Check, absent, ok, warn

# What a drive on a Jetson may need of the machine around a container, and the option that brings it in.
_MOUNTS = {
    "/etc/nv_tegra_release": ("the release of L4T", "-v /etc/nv_tegra_release:/etc/nv_tegra_release:ro"),
    "/etc/nvpmodel.conf": ("the power modes", "-v /etc/nvpmodel.conf:/etc/nvpmodel.conf:ro"),
    "/var/lib/nvpmodel/status": ("the power mode", "-v /var/lib/nvpmodel:/var/lib/nvpmodel:ro"),
    "/tmp/argus_socket": ("CSI cameras", "-v /tmp/argus_socket:/tmp/argus_socket"),
    "/run/jtop.sock": ("jetson-stats", "-v /run/jtop.sock:/run/jtop.sock"),
}


def in_container(tree: Tree) -> bool:
    """Return True if this process runs in a container."""
    marks = ("/.dockerenv", "/run/.containerenv")
    listed = tree.text("/proc/1/cgroup") or ""
    return any(map(tree.there, marks)) or any(word in listed for word in ("docker", "kubepods", "lxc"))


def check_container(tree: Tree) -> list[Check]:
    """Look for what a container keeps from this process."""
    if not in_container(tree):
        return [absent("container", "not in one")]
    if not read_board(tree).jetson:
        return [ok("container", "in one")]
    missing = [name for name in _MOUNTS if not tree.there(name)]
    if not missing:
        return [ok("container", "in one; all that a Jetson's drive may need is mounted")]
    lacks = ", ".join(_MOUNTS[name][0] for name in missing)
    options = " ".join(_MOUNTS[name][1] for name in missing)
    hint = f"docker run --runtime nvidia {options} …"
    return [warn("container", f"in one that does not show {lacks}", hint)]
