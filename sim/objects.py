"""The eight kinds of object, built from MuJoCo primitives, and their colours.

A shape is a list of `Geom`s in the object's own frame: z = 0 is the floor, +x its front. Lengths in metres.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Geom:
    """One MuJoCo geom. `size` is what MJCF expects for the type (half lengths, radii)."""

    type: str
    size: tuple[float, ...]
    pos: tuple[float, float, float]
    rgb: Rgb
    euler: tuple[float, float, float] = (0.0, 0.0, 0.0)  # degrees


# name: (hue in degrees, its spread, saturation range, value range)
COLOURS: dict[str, tuple[float, float, tuple[float, float], tuple[float, float]]] = {
    "red": (0, 6, (0.82, 0.97), (0.55, 0.9)),
    "orange": (27, 4, (0.88, 1.0), (0.88, 1.0)),
    "yellow": (54, 4, (0.75, 0.95), (0.85, 1.0)),
    "green": (122, 16, (0.6, 0.9), (0.4, 0.75)),
    "blue": (222, 12, (0.7, 0.95), (0.5, 0.95)),
    "purple": (284, 10, (0.55, 0.85), (0.45, 0.75)),
    "white": (0, 180, (0.0, 0.05), (0.88, 1.0)),
    "black": (0, 180, (0.0, 0.2), (0.04, 0.12)),
}


def sample_rgb(colour: str, rng: np.random.Generator) -> Rgb:
    """Return a shade of a named colour, RGB in [0, 1]."""
    hue, spread, saturation, value = COLOURS[colour]
    h = ((hue + rng.uniform(-spread, spread)) % 360) / 360
    return colorsys.hsv_to_rgb(h, rng.uniform(*saturation), rng.uniform(*value))


def shade(rgb: Rgb, factor: float) -> Rgb:
    """Return the same colour, darker (< 1) or lighter (> 1)."""
    r, g, b = (min(1.0, c * factor) for c in rgb)
    return (r, g, b)


def _cup(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    r = h * rng.uniform(0.36, 0.44)
    t = 0.06 * h
    x = r + 0.2 * h
    return [
        Geom("cylinder", (r, h / 2), (0, 0, h / 2), rgb),
        Geom("cylinder", (r * 0.86, 0.002), (0, 0, h + 0.001), shade(rgb, 0.35)),
        Geom("box", (0.11 * h, t, t), (r + 0.09 * h, 0, 0.75 * h), rgb),
        Geom("box", (0.11 * h, t, t), (r + 0.09 * h, 0, 0.3 * h), rgb),
        Geom("box", (t, t, 0.28 * h), (x, 0, 0.525 * h), rgb),
    ]


def _bottle(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    r = h * rng.uniform(0.14, 0.18)
    cap = shade(rgb, 0.45) if max(rgb) > 0.2 else (0.5, 0.5, 0.5)
    return [
        Geom("cylinder", (r, 0.29 * h), (0, 0, 0.29 * h), rgb),
        Geom("ellipsoid", (r, r, 0.16 * h), (0, 0, 0.58 * h), rgb),
        Geom("cylinder", (0.38 * r, 0.14 * h), (0, 0, 0.8 * h), rgb),
        Geom("cylinder", (0.46 * r, 0.04 * h), (0, 0, 0.95 * h), cap),
    ]


def _box(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    x, y = h * rng.uniform(0.4, 0.8, 2)
    return [
        Geom("box", (x, y, h / 2), (0, 0, h / 2), rgb),
        Geom("box", (x * 1.01, 0.12 * y, h / 2 * 1.01), (0, 0, h / 2), shade(rgb, 0.75)),
    ]


def _ball(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    r = h / 2
    tilt = float(rng.uniform(0, 90))
    band = shade(rgb, 0.7) if max(rgb) > 0.2 else (0.35, 0.35, 0.35)
    return [
        Geom("sphere", (r,), (0, 0, r), rgb),
        Geom("cylinder", (r * 1.005, 0.07 * r), (0, 0, r), band, (tilt, 0, 0)),
    ]


def _chair(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    seat = h * rng.uniform(0.45, 0.52)
    w = h * rng.uniform(0.22, 0.27)
    t = 0.03
    legs = [
        Geom("box", (t * 0.7, t * 0.7, seat / 2), (sx * (w - t), sy * (w - t), seat / 2), shade(rgb, 0.8))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    back = (h - seat) / 2
    return [
        *legs,
        Geom("box", (w, w, t), (0, 0, seat), rgb),
        Geom("box", (t, w, back), (-w + t, 0, seat + back), rgb),
    ]


def _book(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    w = h * rng.uniform(0.34, 0.4)
    t = h * rng.uniform(0.1, 0.14)
    cover = 0.2 * t
    pages = (0.93, 0.91, 0.84)
    return [
        Geom("box", (cover, w, h / 2), (t, 0, h / 2), rgb),
        Geom("box", (cover, w, h / 2), (-t, 0, h / 2), rgb),
        Geom("box", (t, cover, h / 2), (0, w - cover, h / 2), rgb),
        Geom("box", (t * 0.85, w * 0.9, h / 2 * 0.95), (0, -0.04 * w, h / 2), pages),
    ]


def _plant(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    pot = 0.42 * h
    r = h * rng.uniform(0.2, 0.26)
    geoms = [
        Geom("cylinder", (r * 0.85, pot / 2), (0, 0, pot / 2), rgb),
        Geom("cylinder", (r, 0.06 * h), (0, 0, pot), rgb),
    ]
    for _ in range(int(rng.integers(6, 10))):
        angle, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0)
        leaf = colorsys.hsv_to_rgb(rng.uniform(95, 140) / 360, rng.uniform(0.55, 0.9), rng.uniform(0.3, 0.6))
        x, y = lean * r * np.cos(angle), lean * r * np.sin(angle)
        size = (0.07 * h, 0.07 * h, h * rng.uniform(0.16, 0.24))
        pos = (float(x), float(y), pot + 0.27 * h)
        euler = (float(-28 * lean * np.sin(angle)), float(28 * lean * np.cos(angle)), 0.0)
        geoms.append(Geom("ellipsoid", size, pos, leaf, euler))
    return geoms


def _backpack(h: float, rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    w, d = h * rng.uniform(0.32, 0.38), h * rng.uniform(0.17, 0.22)
    dark = shade(rgb, 0.6) if max(rgb) > 0.2 else (0.3, 0.3, 0.3)
    return [
        Geom("box", (d, w, 0.36 * h), (0, 0, 0.36 * h), rgb),
        Geom("ellipsoid", (d, w, 0.24 * h), (0, 0, 0.72 * h), rgb),
        Geom("box", (0.4 * d, 0.75 * w, 0.17 * h), (1.2 * d, 0, 0.24 * h), dark),
        Geom("capsule", (0.025 * h, 0.1 * h), (0, 0, 0.97 * h), dark, (90, 0, 0)),
        Geom("capsule", (0.035 * h, 0.28 * h), (-1.1 * d, 0.5 * w, 0.45 * h), dark),
        Geom("capsule", (0.035 * h, 0.28 * h), (-1.1 * d, -0.5 * w, 0.45 * h), dark),
    ]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is built."""

    height_m: tuple[float, float]
    build: Callable[[float, Rgb, np.random.Generator], list[Geom]]


KINDS: dict[str, Kind] = {
    "cup": Kind((0.2, 0.3), _cup),
    "bottle": Kind((0.34, 0.48), _bottle),
    "box": Kind((0.22, 0.42), _box),
    "ball": Kind((0.2, 0.38), _ball),
    "chair": Kind((0.7, 0.95), _chair),
    "book": Kind((0.28, 0.38), _book),
    "plant": Kind((0.45, 0.85), _plant),
    "backpack": Kind((0.4, 0.6), _backpack),
}


def _pillar(rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    r, h = rng.uniform(0.06, 0.14), rng.uniform(1.0, 2.0)
    return [Geom("cylinder", (r, h / 2), (0, 0, h / 2), rgb)]


def _panel(rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    w, h = rng.uniform(0.25, 0.5), rng.uniform(0.5, 1.3)
    foot = shade(rgb, 0.6)
    return [
        Geom("box", (0.02, w, h / 2), (0, 0, h / 2 + 0.03), rgb),
        Geom("box", (0.12, 0.02, 0.02), (0, 0.8 * w, 0.02), foot),
        Geom("box", (0.12, 0.02, 0.02), (0, -0.8 * w, 0.02), foot),
    ]


def _bench(rgb: Rgb, rng: np.random.Generator) -> list[Geom]:
    w, h = rng.uniform(0.3, 0.6), rng.uniform(0.46, 0.6)  # high enough to drive under
    return [
        Geom("box", (0.15, w, 0.025), (0, 0, h), rgb),
        Geom("box", (0.13, 0.03, h / 2), (0, 0.8 * w, h / 2), shade(rgb, 0.8)),
        Geom("box", (0.13, 0.03, h / 2), (0, -0.8 * w, h / 2), shade(rgb, 0.8)),
    ]


CLUTTER = (_pillar, _panel, _bench)


def sample_clutter(rng: np.random.Generator) -> list[Geom]:
    """Build furniture without a name: grey or brown, never of a shape or colour that a target has."""
    hue, saturation, value = rng.uniform(18, 42) / 360, rng.uniform(0.05, 0.42), rng.uniform(0.25, 0.7)
    build = CLUTTER[int(rng.integers(len(CLUTTER)))]
    return build(colorsys.hsv_to_rgb(hue, saturation, value), rng)
