"""Sentences in groups by what they mean, and the signs of what was read."""

from edge.records import ParsedAction


def each(groups: dict[str, str]) -> list[tuple[str, str]]:
    """List (sentence, group) of each sentence; lines and bars separate them."""
    return [(sentence, group) for group, text in groups.items() for sentence in sentences(text)]


def sentences(text: str) -> list[str]:
    return [part.strip() for line in text.splitlines() for part in line.split("|") if part.strip()]


def signs(action: ParsedAction) -> str:
    speeds = (action.linear_x_m_s, action.linear_y_m_s, action.angular_z_rad_s)
    return "".join("+" if speed > 0 else "-" if speed < 0 else "0" for speed in speeds)
