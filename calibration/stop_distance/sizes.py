"""A target's size by its distance: fitted to boxes at known distances, judged, and drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.chart import BLUE, GREY, ORANGE, Axes, grid
from calibration.verdict import Criterion, Verdict
from edge.errors import UsageError
from edge.perception.apparent_size import BEYOND, SIDES, ApparentSize, size_of
from edge.perception.geometry import View
from edge.policies.seeker_states import SeekerParams
from edge.records import Box, CameraMount, Image

FEWEST_DISTANCES = 3
LEAST_RANGE = 1.5  # the farthest distance over the nearest
MOST_SPREAD = 0.1
MOST_BENT = 0.15  # that the exponent may be off from that of 1 / distance


@dataclass(frozen=True, slots=True)
class SizedBox:
    """One box at a known distance."""

    ahead_m: float  # from the middle of the base to the target's foot
    box: Box | None  # None: the bundle found nothing that it was sure of
    aspect: float  # width over height of the image


def fills(boxes: Sequence[SizedBox], side: str, mount: CameraMount) -> tuple[list[float], list[float]]:
    """Return, of the boxes that show a side whole, depths and at which each would fill the image, metres."""
    depths: list[float] = []
    filled: list[float] = []
    for each in boxes:
        size = None if each.box is None else size_of(each.box, side)
        if each.box is None or size is None:
            continue
        depth_m = View(mount, each.aspect).depth_m(each.box, each.ahead_m)
        if depth_m > 0:
            depths.append(depth_m)
            filled.append(depth_m * size)
    return depths, filled


def fit_size(boxes: Sequence[SizedBox], mount: CameraMount, bundle: str) -> ApparentSize:
    """Return the size by distance, of the side that tells it better. Raises UsageError if none tells it.

    A side that is still whole in the image where the robot stops is better, then one with less spread.
    """
    told: list[ApparentSize] = []
    for side in SIDES:
        depths, filled = fills(boxes, side, mount)
        if len({round(depth, 3) for depth in depths}) < 2:
            continue
        fills_at_m = float(np.median(filled))
        spread = float(np.std(np.array(filled) / fills_at_m))
        told.append(ApparentSize(side, fills_at_m, min(spread, 1.0), min(depths), max(depths), bundle))
    if not told:
        found = sum(each.box is not None for each in boxes)
        raise UsageError(
            f"the target is whole in the image at fewer than 2 distances; it was found in {found} of "
            f"{len(boxes)} images",
            "does the bundle know it? `vla-edge run --goal find_object --camera file://PICTURE --motors null://`"
            " shows its answers",
        )
    stop_m = SeekerParams().stop_at_m - mount.forward_m
    return min(told, key=lambda size: (not _reaches(size, stop_m), size.spread))


def _reaches(size: ApparentSize, distance_m: float) -> bool:
    return size.nearest_m / BEYOND <= distance_m <= size.farthest_m * BEYOND


def judge(target: str, size: ApparentSize, boxes: Sequence[SizedBox], mount: CameraMount) -> Verdict:
    """Return the verdict about a target's size."""
    depths, filled = fills(boxes, size.side, mount)
    apparent = np.array(filled) / np.array(depths)
    exponent = -float(np.polyfit(np.log(depths), np.log(apparent), 1)[0])
    stop_m = SeekerParams().stop_at_m - mount.forward_m
    missed = sum(each.box is None for each in boxes)
    distances = len({round(depth, 2) for depth in depths})
    criteria = [
        Criterion(
            "found", f"{len(boxes) - missed} of {len(boxes)} images", "at least 4 of 5",
            5 * missed <= len(boxes), "nearer, in better light, before a plain wall",
        ),
        Criterion(
            "distances", f"{distances}", f"at least {FEWEST_DISTANCES}", distances >= FEWEST_DISTANCES,
            "measure at more distances",
        ),
        Criterion(
            "range", f"{size.nearest_m:.2f} to {size.farthest_m:.2f} m", f"at least {LEAST_RANGE:g} times",
            size.farthest_m >= LEAST_RANGE * size.nearest_m, "measure nearer and farther",
        ),
        Criterion(
            "reaches the stop", f"from {size.nearest_m / BEYOND:.2f} m on", f"{stop_m:.2f} m from the lens",
            _reaches(size, stop_m),
            f"measure at {SeekerParams().stop_at_m:g} m, too: there the robot stops",
        ),
        Criterion(
            "spread", f"{size.spread:.1%}", f"at most {MOST_SPREAD:.0%}", size.spread <= MOST_SPREAD,
            "are all distances right, to the target's foot? Does it look as large from all its sides?",
        ),
        Criterion(
            "law", f"distance ^ -{exponent:.2f}", f"-1, give or take {MOST_BENT:g}",
            abs(exponent - 1) <= MOST_BENT, "are the distances counted from the middle of the base?",
        ),
    ]  # fmt: skip
    off = [abs(by_foot - each.ahead_m) for each, by_foot in by_feet(boxes, mount)]
    notes = [f"its {size.side} fills the image at {size.fills_at_m:.3f} m from the lens"]
    if off:
        notes.append(f"by its foot on the floor alone, distances are off by {max(off):.2f} m at most")
    figures = {
        "target": target, "side": size.side, "fills_at_m": size.fills_at_m, "spread": size.spread,
        "exponent": exponent, "bundle": size.bundle, "foot_off_m": max(off, default=None),
        "depths_m": depths, "sizes": apparent.tolist(),
    }  # fmt: skip
    return Verdict(f"size of {target!r}", criteria, figures, notes)


def by_feet(boxes: Sequence[SizedBox], mount: CameraMount) -> list[tuple[SizedBox, float]]:
    """Return the boxes, each with how far ahead its foot is on the floor; none at the horizon or above."""
    points = [(each, View(mount, each.aspect).target_point(each.box)) for each in boxes if each.box]
    return [(each, point[0]) for each, point in points if point is not None]


def draw(size: ApparentSize, boxes: Sequence[SizedBox], mount: CameraMount) -> Image:
    """Return the picture: sizes by distance with the fitted law, and the distances that follow."""
    depths, filled = fills(boxes, size.side, mount)
    far = 1.1 * max(each.ahead_m for each in boxes)
    apparent = np.array(filled) / np.array(depths)
    law = Axes(f"{size.side} of the box by distance", (0, 1.1 * max(depths)), (0, 1.2 * float(max(apparent))))
    across = np.linspace(min(depths) / BEYOND, 1.1 * max(depths), 100)
    law.line(np.stack([across, size.fills_at_m / across], 1), GREY)
    law.points(np.stack([depths, apparent], 1))
    law.label("m from the lens", "share")
    told = Axes("distance told; blue: by size, orange: by foot", (0, far), (0, far))
    told.line([[0, 0], [far, far]], GREY)
    told.points([[each.ahead_m, min(ahead, far)] for each, ahead in by_feet(boxes, mount)], ORANGE)
    for each in boxes:
        point = None if each.box is None else View(mount, each.aspect, size).sized_point(each.box)
        if point is not None:
            told.points([[each.ahead_m, point[0]]], BLUE)
    told.label("m, as placed", "m")
    return grid([[law.image, told.image]])
