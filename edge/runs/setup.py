"""What a run took for true about its robot: mount and base, and who stated them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from edge.base_spec import BaseSpec
from edge.records import CameraMount


@dataclass(frozen=True, slots=True)
class Setup:
    """The mount and the base of a run."""

    mount: CameraMount
    mount_from: str  # a file, an option, "a guess", the robot that states it
    base: BaseSpec
    base_from: str
    cautions: tuple[str, ...] = ()  # what a person should know before it drives

    def lines(self) -> list[str]:
        """Return both for people, a line each."""
        return [
            f"mount: {mount_words(self.mount)} ({self.mount_from})",
            f"base: {base_words(self.base)} ({self.base_from})",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return both for summary.json, angles of the mount in degrees."""
        mount = {**mount_degrees(self.mount), "from": self.mount_from}
        base = {**asdict(self.base), "drive": self.base.drive.value, "from": self.base_from}
        return {"mount": mount, "base": base, "cautions": list(self.cautions)}


def mount_degrees(mount: CameraMount) -> dict[str, float]:
    """Return a mount by the keys of a robot file."""
    return {
        "vertical_fov_deg": round(math.degrees(mount.vertical_fov_rad), 3),
        "height_m": mount.height_m,
        "pitch_deg": round(math.degrees(mount.pitch_rad), 3),
        "forward_m": mount.forward_m,
    }


def mount_words(mount: CameraMount) -> str:
    """Return a mount in words."""
    pitch_deg = math.degrees(mount.pitch_rad)
    looks = "level" if abs(pitch_deg) < 0.05 else f"{abs(pitch_deg):.1f}° {'down' if pitch_deg > 0 else 'up'}"
    return (
        f"camera sees {math.degrees(mount.vertical_fov_rad):.1f}° from top to bottom, "
        f"{mount.height_m:.2f} m above the floor, {looks}, {mount.forward_m:.2f} m ahead"
    )


def base_words(base: BaseSpec) -> str:
    """Return a base in words."""
    return (
        f"{base.drive.value}, radius {base.radius_m:.2f} m, "
        f"at most {base.linear_m_s:.2f} m/s and {base.angular_rad_s:.2f} rad/s"
    )
