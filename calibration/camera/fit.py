"""A lens from views of a board: the simplest model that also explains views that it was not fitted to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera.boards import CalibrationBoard
from calibration.camera.views import BoardView
from edge.errors import UsageError
from edge.perception.lens import BROWN, FISHEYE, Lens

Floats = NDArray[np.float64]
FOLDS = 5
LEAST_VIEWS = 5  # fewer can't be fitted and held out at all
# From simple to rich: a richer one must explain held-out views better by so much.
BETTER = 0.95
FORMS = ("brown4", "brown5", FISHEYE)  # k1 k2 p1 p2, and k3 with them; cv2.fisheye
FISHEYE_GUESSES = (0.5, 0.4, 0.3, 0.7)  # focal lengths to begin with, as shares of the longer side
FOUND_PX = 1.0  # a lens that leaves no more than that is found
OUTLIER_TIMES, OUTLIER_PX = 4.0, 1.0  # a view so much worse than the middle one, and worse than that


@dataclass(frozen=True)
class LensFit:
    """A fitted lens, and how well it is known."""

    lens: Lens
    views: tuple[BoardView, ...]
    errors_px: Floats  # (V,), root of the mean square of each view's
    held_out_px: float  # the same over all views, each by a lens that was fitted without it
    focal_deviation: float  # one standard deviation, as a share of the focal length
    residuals_px: tuple[Floats, ...]  # by view, (N, 2) each: seen less projected
    left_out: tuple[str, ...] = ()  # views that fit nothing


def fit_lens(
    board: CalibrationBoard, views: Sequence[BoardView], size_px: tuple[int, int], model: str = "auto"
) -> LensFit:
    """Return the lens that explains the views. `model` is auto, brown or fisheye.

    Raises UsageError for too few views, and if no lens explains them.
    """
    if len(views) < LEAST_VIEWS:
        raise UsageError(
            f"{len(views)} views of the board, {LEAST_VIEWS} are the least to compute with",
            "show the board to the camera from more sides",
        )
    first = _best(board, views, size_px, model)
    limit_px = max(OUTLIER_PX, OUTLIER_TIMES * float(np.median(first.errors_px)))
    kept = [view for view, error_px in zip(views, first.errors_px, strict=True) if error_px <= limit_px]
    if len(kept) == len(views) or len(kept) < LEAST_VIEWS:
        return first
    gone = tuple(
        f"{view.name} ({error_px:.1f} px)"
        for view, error_px in zip(views, first.errors_px, strict=True)
        if error_px > limit_px
    )
    return replace(_best(board, kept, size_px, model), left_out=gone)


def _best(
    board: CalibrationBoard, views: Sequence[BoardView], size_px: tuple[int, int], model: str
) -> LensFit:
    forms = FORMS if model == "auto" else tuple(form for form in FORMS if form.startswith(model))
    best: LensFit | None = None
    for form in forms:
        found = _fit(board, views, size_px, form)
        if found is not None and (best is None or found.held_out_px < BETTER * best.held_out_px):
            best = found
    if best is None:
        raise UsageError(
            f"no lens explains these {len(views)} views of the board",
            "are the numbers of --checkerboard or --charuco those of the board, and is it flat?",
        )
    return best


def _fit(
    board: CalibrationBoard, views: Sequence[BoardView], size_px: tuple[int, int], form: str
) -> LensFit | None:
    """Return a fit to all views; None if there is none, or a lens without some of them is not one."""
    whole = _solve(board, views, size_px, form)
    if whole is None:
        return None
    lens, deviation = whole
    focals: list[float] = []
    squares: list[Floats] = []
    for fold in range(FOLDS):
        rest = [view for number, view in enumerate(views) if number % FOLDS != fold]
        part = _solve(board, rest, size_px, form)
        if part is None:
            return None
        focals.append(sum(part[0].focal_px) / 2)
        squares += [_residuals(board, part[0], view) ** 2 for view in views[fold::FOLDS]]
    spread = math.sqrt((FOLDS - 1) * float(np.var(focals)))  # the jackknife's deviation
    residuals = tuple(_residuals(board, lens, view) for view in views)
    errors_px = np.array([_rms(each) for each in residuals])
    lens = replace(lens, error_px=_rms(np.concatenate(residuals)))
    held_out_px = math.sqrt(float(np.concatenate(squares).sum(1).mean()))
    focal_deviation = max(deviation, spread / (sum(lens.focal_px) / 2))
    if not math.isfinite(held_out_px + lens.error_px + focal_deviation):
        return None
    return LensFit(lens, tuple(views), errors_px, held_out_px, focal_deviation, residuals)


def _solve(
    board: CalibrationBoard, views: Sequence[BoardView], size_px: tuple[int, int], form: str
) -> tuple[Lens, float] | None:
    """Return a lens and the deviation of its focal length, a share (0: not told); None if none fits."""
    points = [board.points_m[view.ids] for view in views]
    try:
        if form == FISHEYE:
            error, matrix, terms = _solve_fisheye(points, views, size_px)
            deviation = 0.0
        else:
            flags = cv2.CALIB_FIX_K3 if form == "brown4" else 0
            error, matrix, terms, _, _, deviations, _, _ = cv2.calibrateCameraExtended(
                [each.astype(np.float32) for each in points],
                [view.at_px.astype(np.float32) for view in views],
                size_px, np.eye(3), np.zeros(5), flags=flags,
            )  # fmt: skip
            deviation = float(np.max(np.ravel(deviations)[:2] / [matrix[0, 0], matrix[1, 1]]))
    except cv2.error:  # the views are of no plane, or all alike
        return None
    lens = Lens(
        FISHEYE if form == FISHEYE else BROWN,
        size_px,
        (float(matrix[0, 0]), float(matrix[1, 1])),
        (float(matrix[0, 2]), float(matrix[1, 2])),
        tuple(float(term) for term in np.ravel(terms)[: 4 if form == FISHEYE else 5]),
    )
    try:
        fine = math.isfinite(error) and min(lens.focal_px) > 1 and lens.straight_focal_px > 0
    except UsageError:
        return None
    return (lens, deviation) if fine else None


def _solve_fisheye(
    points: Sequence[Floats], views: Sequence[BoardView], size_px: tuple[int, int]
) -> tuple[float, Floats, Floats]:
    """Return error, matrix and terms of the best of some beginnings: from a bad one OpenCV finds nothing.

    Raises cv2.error if it finds nothing from any.
    """
    width, height = size_px
    best: tuple[float, Floats, Floats] | None = None
    for focal_px in np.array(FISHEYE_GUESSES) * max(width, height):
        guess = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
        try:
            error, matrix, terms, _, _ = cv2.fisheye.calibrate(
                [each[None] for each in points], [view.at_px[None] for view in views], size_px,
                guess, np.zeros((4, 1)), flags=_fisheye_flags(),
            )  # fmt: skip
        except cv2.error:
            continue
        if math.isfinite(error) and np.any(terms) and (best is None or error < best[0]):
            best = error, np.asarray(matrix, np.float64), np.asarray(terms, np.float64)
        if best is not None and best[0] < FOUND_PX:
            break
    if best is None:
        raise cv2.error("no beginning leads to a lens")
    return best


def _fisheye_flags() -> int:
    """Return the flags for pixels without skew and a first guess; OpenCV 5 has moved two of them."""
    where = cv2.fisheye if hasattr(cv2.fisheye, "CALIB_FIX_SKEW") else cv2
    skew, poses = (getattr(where, f"CALIB_{flag}") for flag in ("FIX_SKEW", "RECOMPUTE_EXTRINSIC"))
    return skew | poses | cv2.CALIB_USE_INTRINSIC_GUESS


def _residuals(board: CalibrationBoard, lens: Lens, view: BoardView) -> Floats:
    """Return how far corners are from where the lens puts them, (N, 2), with the board as it fits best."""
    rays = lens.rays(view.at_px)
    points = board.points_m[view.ids]
    if not np.isfinite(rays).all():
        return np.full(view.at_px.shape, np.nan)
    _, turn, shift = cv2.solvePnP(points, rays, np.eye(3), None)
    turn, shift = cv2.solvePnPRefineLM(points, rays, np.eye(3), None, turn, shift)
    return view.at_px - lens.project(points @ cv2.Rodrigues(turn)[0].T + shift.ravel())


def _rms(residuals: Floats) -> float:
    """Return the root of the mean square distance."""
    return math.sqrt(float((residuals**2).sum(1).mean()))
