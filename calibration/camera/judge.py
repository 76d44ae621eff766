"""Whether a fitted lens is good enough, and the picture that shows it."""

import math

import cv2
import numpy as np

from calibration.camera.fit import LensFit
from calibration.camera.views import FEWEST_VIEWS, NEAR_FAR, OUTER, ViewCollector
from calibration.chart import BLUE, GREEN, GREY, ORANGE, RED, Axes, grid, panel
from calibration.verdict import Criterion, Verdict
from edge.commands.output import counted
from edge.perception.lens import Straightener
from edge.records import Image

ERROR_PX, WIDTH_PER_PX = 0.5, 2000.0  # large images have more pixels to be wrong by
HELD_OUT_TIMES = 1.5  # so much worse may be a view that the lens was not fitted to
MOST_DEVIATION = 0.005  # one standard deviation of the focal length, as a share of it
MOST_SQUEEZE = 0.03  # how far the two focal lengths may be apart, as a share
MOST_OFF_CENTRE = 0.15  # how far the optical axis may be off, as a share of the image
_PANEL_PX = 480
_ARROWS = 20.0  # residuals are drawn so many times as long


def judge(name: str, fit: LensFit, collector: ViewCollector) -> Verdict:
    """Return the verdict about a camera's lens."""
    lens, (width, height) = fit.lens, fit.lens.size_px
    limit_px = max(ERROR_PX, width / WIDTH_PER_PX)
    squeeze = abs(lens.focal_px[0] / lens.focal_px[1] - 1)
    off = max(abs(lens.centre_px[0] / width - 0.5), abs(lens.centre_px[1] / height - 0.5))
    worst = int(np.argmax(fit.errors_px))
    criteria = [
        *_coverage(collector),
        Criterion(
            "reprojection error", f"{lens.error_px:.3f} px", f"at most {limit_px:.2g} px",
            lens.error_px <= limit_px, f"is the board flat? The worst view is {fit.views[worst].name}",
        ),
        Criterion(
            "of held-out views", f"{fit.held_out_px:.3f} px", f"at most {HELD_OUT_TIMES * limit_px:.2g} px",
            fit.held_out_px <= HELD_OUT_TIMES * limit_px, "take more views, each different",
        ),
        Criterion(
            "focal length", f"{lens.focal_px[0]:.1f} px ± {fit.focal_deviation:.2%}",
            f"known to {MOST_DEVIATION:.1%}", fit.focal_deviation <= MOST_DEVIATION,
            "take more views with the board tilted by some 30 degrees",
        ),
        Criterion(
            "pixels", f"{squeeze:.1%} from square", f"at most {MOST_SQUEEZE:.0%}", squeeze <= MOST_SQUEEZE,
            "does the camera's address squeeze its images?",
        ),
        Criterion(
            "optical axis", f"{off:.1%} off the middle", f"at most {MOST_OFF_CENTRE:.0%}",
            off <= MOST_OFF_CENTRE, "does the camera's address crop its images to one side?",
        ),
    ]  # fmt: skip
    return Verdict(f"camera {name}", criteria, _figures(fit, collector), _notes(fit, collector))


def _coverage(collector: ViewCollector) -> list[Criterion]:
    regions, tilts = collector.regions, collector.tilts
    bare = [region for region, count in regions.items() if not count]
    upright = [side for side, count in tilts.items() if not count]
    count, ratio = len(collector.views), collector.near_far
    found = f"{len(regions) - len(bare)} of {len(regions)} regions"
    seen = f"{len(tilts) - len(upright)} of {len(tilts)} sides"
    return [
        Criterion(
            "views", f"{count} of {counted(collector.offered, 'image')}", f"at least {FEWEST_VIEWS}",
            count >= FEWEST_VIEWS, "take more views, each different, with the board held still",
        ),
        Criterion(
            "coverage", found, "all regions of the image", not bare,
            f"show the board at the {', '.join(bare)} of the image",
        ),
        Criterion(
            "tilts", seen, "to each side", not upright, f"tilt the board to face {', '.join(upright)}",
        ),
        Criterion(
            "distances", f"{ratio:.1f} times", f"at least {NEAR_FAR:g} times", ratio >= NEAR_FAR,
            "show the board nearer and farther",
        ),
    ]  # fmt: skip


def why_dropped(collector: ViewCollector) -> str:
    """Return why images were dropped, such as "3 blurred, 1 like one before"; empty if none was."""
    return ", ".join(f"{count} {why}" for why, count in collector.dropped.most_common())


def _notes(fit: LensFit, collector: ViewCollector) -> list[str]:
    lens = fit.lens
    fov = f"{math.degrees(lens.vertical_fov_rad):.1f} degrees from top to bottom"
    notes = [f"model {lens.model}; straightened, the image shows {fov}"]
    if collector.dropped:
        notes.append(f"dropped: {why_dropped(collector)}")
    if fit.left_out:
        notes.append(f"left out, they fit nothing: {', '.join(fit.left_out)}")
    return notes


def _figures(fit: LensFit, collector: ViewCollector) -> dict[str, object]:
    lens = fit.lens
    return {
        "model": lens.model,
        "size_px": list(lens.size_px),
        "focal_px": list(lens.focal_px),
        "centre_px": list(lens.centre_px),
        "distortion": list(lens.distortion),
        "error_px": lens.error_px,
        "held_out_px": fit.held_out_px,
        "focal_deviation": fit.focal_deviation,
        "vertical_fov_deg": math.degrees(lens.vertical_fov_rad),
        "views": [
            {
                "name": view.name,
                "error_px": float(error),
                "edge_px": view.edge_px,
                "square_px": view.square_px,
            }
            for view, error in zip(fit.views, fit.errors_px, strict=True)
        ],
        "dropped": dict(collector.dropped),
        "left_out": list(fit.left_out),
    }


def draw(fit: LensFit, collector: ViewCollector) -> Image:
    """Return the picture of a fit: coverage, a straightened view, residuals, and the error of each view."""
    assert collector.sample is not None
    straight = Straightener(fit.lens).apply(collector.sample)
    _draw_lines(straight)
    seen = panel(_coverage_of(fit, collector), "corners seen; red: a region without any", _PANEL_PX)
    after = panel(straight, f"a view, straightened ({fit.lens.model})", _PANEL_PX)
    return grid([[seen, after], [_residuals(fit), _errors(fit)]])


def _coverage_of(fit: LensFit, collector: ViewCollector) -> Image:
    width, height = fit.lens.size_px
    image: Image = np.full((height, width, 3), 245, np.uint8)
    sides = (0.0, OUTER, 1 - OUTER, 1.0)
    for number, count in enumerate(collector.regions.values()):
        row, column = divmod(number, 3)
        a = round(sides[column] * width), round(sides[row] * height)
        b = round(sides[column + 1] * width), round(sides[row + 1] * height)
        cv2.rectangle(image, a, b, GREY if count else (240, 190, 190), 1 if count else -1)
    radius = max(1, width // 200)
    for view in fit.views:
        for x, y in view.at_px:
            cv2.circle(image, (round(float(x)), round(float(y))), radius, BLUE, -1, cv2.LINE_AA)
    return image


def _draw_lines(image: Image) -> None:
    """Draw straight lines, so that what is still bent shows."""
    height, width = image.shape[:2]
    for share in (0.2, 0.4, 0.6, 0.8):
        x, y = round(share * width), round(share * height)
        cv2.line(image, (x, 0), (x, height), GREEN, 1)
        cv2.line(image, (0, y), (width, y), GREEN, 1)


def _residuals(fit: LensFit) -> Image:
    width, height = fit.lens.size_px
    title = f"residuals, {_ARROWS:g} times as long"
    chart = Axes(title, (0, width), (height, 0), (_PANEL_PX, 394))
    for view, residuals in zip(fit.views, fit.residuals_px, strict=True):
        for at, off in zip(view.at_px, residuals, strict=True):
            chart.line([at, at + _ARROWS * off], ORANGE)
    chart.label("pixels")
    return chart.image


def _errors(fit: LensFit) -> Image:
    top = 1.2 * max(float(fit.errors_px.max()), fit.held_out_px)
    chart = Axes(
        "error of each view; red: of held-out views", (0, len(fit.views)), (0, top), (_PANEL_PX, 394)
    )
    for number, error in enumerate(fit.errors_px):
        chart.bars([number + 0.1, number + 0.9], [error])
    chart.line([[0, fit.held_out_px], [len(fit.views), fit.held_out_px]], RED)
    chart.label("view", "px")
    return chart.image
