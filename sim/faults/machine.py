"""Folder trees that stand for a machine's /proc, /sys and /etc; who made one changes it while a run looks."""

from pathlib import Path


def write(root: Path, name: str, text: object) -> None:
    """Write one file of the tree, whole at once, as a kernel shows it."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(f"{text}\n")
    draft.replace(path)


def add_zone(
    root: Path, number: int, name: str, celsius: float, trips: dict[str, float] | None = None
) -> None:
    """Add a thermal zone with its trip points, in degrees."""
    folder = f"/sys/class/thermal/thermal_zone{number}"
    write(root, f"{folder}/type", name)
    set_celsius(root, number, celsius)
    for index, (kind, trip_c) in enumerate((trips or {}).items()):
        write(root, f"{folder}/trip_point_{index}_type", kind)
        write(root, f"{folder}/trip_point_{index}_temp", round(trip_c * 1000))


def set_celsius(root: Path, number: int, celsius: float) -> None:
    """Set the temperature of a zone."""
    write(root, f"/sys/class/thermal/thermal_zone{number}/temp", round(celsius * 1000))


def orin(root: Path, celsius: float = 50.0) -> Path:
    """Make the heat of an Orin: zone 0 is its junction, device 0 its alert, hwmon0 its over-currents."""
    add_zone(root, 0, "tj-thermal", celsius, {"active": 35.0, "passive": 99.0, "critical": 104.5})
    add_zone(root, 1, "gpu-thermal", 48, {"passive": 99.0, "critical": 104.5})
    write(root, "/sys/class/thermal/cooling_device0/type", "gpu-throttle-alert")
    write(root, "/sys/class/thermal/cooling_device0/cur_state", 0)
    write(root, "/sys/class/thermal/cooling_device1/type", "hot-surface-alert")
    write(root, "/sys/class/thermal/cooling_device1/cur_state", 1)
    write(root, "/sys/class/hwmon/hwmon0/name", "soctherm_oc")
    for number in (1, 2, 3):
        write(root, f"/sys/class/hwmon/hwmon0/oc{number}_event_cnt", 0)
    return root
