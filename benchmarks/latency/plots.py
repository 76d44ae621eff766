"""Plots as inline SVG: stacked bars and lines."""

from collections.abc import Mapping, Sequence
from html import escape

BLUE, ORANGE, RED, GREY = "#2f6fde", "#e07b1a", "#c8372d", "#7a8499"
_COLOURS = ("#2f6fde", "#1b9e77", "#e07b1a", "#9b59b6", "#c8372d", "#0e9aa7", "#b8860b", "#6c7a89", "#d6589f")
WIDTH, LEFT, RIGHT = 900, 70, 20
Points = Sequence[tuple[float, float]]


def bars(rows: Mapping[str, Sequence[tuple[str, float, bool]]]) -> str:
    """Return stacked bars, a row each: its parts with their size, and whether they are pale."""
    longest = max(sum(size for _, size, _ in parts) for parts in rows.values())
    names = list(dict.fromkeys(name for parts in rows.values() for name, _, _ in parts))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
    scale, drawn = (WIDTH - RIGHT) / max(longest, 1e-9), list[str]()
    for number, (label, parts) in enumerate(rows.items()):
        top, at = 18 + number * 54, 0.0
        total = sum(size for _, size, _ in parts)
        drawn.append(f'<text x="0" y="{top - 4}">{escape(label)}: {total:.1f} ms</text>')
        for name, size, pale in parts:
            wide = size * scale
            drawn.append(
                f'<rect x="{at:.1f}" y="{top}" width="{wide:.1f}" height="26" fill="{colours[name]}" '
                f'fill-opacity="{0.3 if pale else 1}"><title>{escape(name)} {size:.2f} ms</title></rect>'
            )
            at += wide
    top = 18 + len(rows) * 54
    for number, name in enumerate(names):
        x, y = number % 7 * 125, top + number // 7 * 20
        pale = any(part[2] for parts in rows.values() for part in parts if part[0] == name)
        drawn.append(
            f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colours[name]}" '
            f'fill-opacity="{0.3 if pale else 1}"/><text x="{x + 17}" y="{y + 11}">{escape(name)}</text>'
        )
    return _svg(top + (len(names) + 6) // 7 * 20 + 4, drawn)


def lines(title: str, series: Mapping[str, tuple[str, Points]], label: str) -> str:
    """Return lines over an axis that `label` labels, "{:g} s".

    Each has a colour and points, and a name if there are several.
    """
    points = [point for _, each in series.values() for point in each]
    high = max(y for _, y in points) * 1.08 or 1.0
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    across = (WIDTH - LEFT - RIGHT) / max(last - first, 1e-9)
    top, bottom = 26, 170

    def place(point: tuple[float, float]) -> str:
        return f"{LEFT + (point[0] - first) * across:.1f},{bottom - point[1] / high * (bottom - top):.1f}"

    drawn = [f'<text x="0" y="14">{escape(title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        drawn.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(
            f'<text class="soft" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share * high:.4g}</text>'
        )
    for x in (first, last):
        at = LEFT + (x - first) * across
        drawn.append(
            f'<text class="soft" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{label.format(x)}</text>'
        )
    for number, (name, (colour, each)) in enumerate(series.items()):
        drawn.append(f'<polyline stroke="{colour}" points="{" ".join(map(place, each))}"/>')
        drawn += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'
                  for x, y in (place(point).split(",") for point in each)]  # fmt: skip
        x = WIDTH - RIGHT - 60 * (len(series) - number)
        drawn.append(f'<text x="{x}" y="14" style="fill:{colour}">{escape(name)}</text>')
    return _svg(bottom + 24, drawn)


def scatter(
    title: str, points: Mapping[str, tuple[float, float, float, float]], joined: Sequence[str]
) -> str:
    """Return points with names by x and y in [0, 1], each with the ends of its bar; a line joins some."""
    far = max(x for x, *_ in points.values()) * 1.25 or 1.0
    top, bottom = 30, 300

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / far * (WIDTH - LEFT - RIGHT), bottom - y * (bottom - top)

    drawn = [f'<text x="0" y="14">{escape(title)}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(share * far, share)
        drawn.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(
            f'<text class="soft" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>'
            f'<text class="soft" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{share * far:.3g}</text>'
        )
    corners = " ".join("{:.1f},{:.1f}".format(*place(*points[name][:2])) for name in joined if name in points)
    drawn.append(f'<polyline stroke="{ORANGE}" points="{corners}"/>')
    for number, (name, (x_value, y_value, low, high)) in enumerate(points.items()):
        (x, y), (_, under), (_, over) = place(x_value, y_value), place(x_value, low), place(x_value, high)
        colour = ORANGE if name in joined else BLUE
        drawn.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{under:.1f}" y2="{over:.1f}" stroke="{colour}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
            f'<text x="{x + 9:.1f}" y="{y + 18 + number % 4 * 16:.1f}">{escape(name)}</text>'
        )
    return _svg(bottom + 24, drawn)


def _svg(height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(parts)}</svg>'
