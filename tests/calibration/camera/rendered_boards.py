"""Images of a board as a camera of a known lens takes them: each ray meets the plane of the board."""

import math

import cv2
import numpy as np

from calibration.camera.boards import CalibrationBoard
from edge.perception.lens import Lens
from edge.records import Image

SQUARE_PX = 48  # on the drawn board


class BoardStudio:
    """Renders one board by one lens, with `fine` x `fine` rays a pixel."""

    def __init__(self, board: CalibrationBoard, lens: Lens, fine: int = 2, seed: int = 0) -> None:
        self.board, self.lens = board, lens
        self._fine = fine
        self._rng = np.random.default_rng(seed)
        self._drawn = board.draw(SQUARE_PX)[..., 0]
        width, height = lens.size_px
        x, y = np.meshgrid(
            (np.arange(width * fine) + 0.5) / fine - 0.5, (np.arange(height * fine) + 0.5) / fine - 0.5
        )
        self._rays = np.nan_to_num(lens.rays(np.stack([x.ravel(), y.ravel()], 1)), nan=1e6).astype(np.float32)

    def take(
        self,
        centre: tuple[float, float],
        distance_m: float,
        turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
        blur_px: float = 0.5,
        noise: float = 2.0,
        sweep_px: int = 0,
    ) -> Image:
        """Return the image of the board whose middle is at `centre`, shares of the image, at a distance.

        turn_deg: about x, y and z of the camera. sweep_px: how far it moves while the shutter is open.
        """
        width, height = self.lens.size_px
        fine, columns, rows = self._fine, self.board.columns - 1, self.board.rows - 1
        turn = _turn(turn_deg)
        ray = self.lens.rays(np.array([[centre[0] * width, centre[1] * height]]))[0]
        middle = np.array([columns, rows, 0]) * self.board.square_m / 2
        shift = np.array([ray[0], ray[1], 1.0]) * distance_m - turn @ middle
        # A ray s (x, y, 1) is on the board where (a, b) solve [turn_x turn_y shift] (a, b, 1) = s ray.
        to_board = np.linalg.inv(np.column_stack([turn[:, 0], turn[:, 1], shift])).astype(np.float32)
        rays = np.column_stack([self._rays, np.ones(len(self._rays), np.float32)])
        on_board = rays @ to_board.T
        at = on_board[:, :2] / on_board[:, 2:] / self.board.square_m
        at = (at + 2) * SQUARE_PX - 0.5  # a margin of one square, and the first corner behind one more
        at[on_board[:, 2] <= 0] = -1e4
        at = np.clip(at, -1e4, 1e4).astype(np.float32).reshape(height * fine, width * fine, 2)
        big = cv2.remap(self._drawn, at, None, cv2.INTER_LINEAR, borderValue=110)  # type: ignore[call-overload]
        grey = cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        if sweep_px:
            grey = cv2.blur(grey, (sweep_px, 1))
        grey = cv2.GaussianBlur(grey, (0, 0), blur_px) if blur_px else grey
        grey = 20 + 0.8 * grey + self._rng.normal(0, noise, grey.shape)
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)

    def all_round(self, near: float = 1.0, far: float = 1.6) -> list[Image]:
        """Return the views that a careful person takes. `near` and `far` scale the distances."""
        width_m = (self.board.columns + 1) * self.board.square_m
        fill = self.lens.focal_px[0] / self.lens.size_px[0] * width_m  # distance at which it fills the width
        edges = [
            (0.25, 0.25),
            (0.75, 0.25),
            (0.25, 0.75),
            (0.75, 0.75),
            (0.5, 0.25),
            (0.5, 0.75),
            (0.25, 0.5),
            (0.75, 0.5),
        ]
        images = [
            self.take(at, 1.95 * fill * near, (6 * k % 11 - 5, 7 * k % 13 - 6, 3 * k))
            for k, at in enumerate(edges)
        ]
        turns = [
            (28, 0, 0),
            (-28, 0, 5),
            (0, 30, -5),
            (0, -30, 0),
            (20, 22, 10),
            (-22, 18, -8),
            (5, -25, 90),
            (0, 0, 4),
        ]
        images += [
            self.take((0.5, 0.5), fill * (1.25 if k % 2 else far), turn) for k, turn in enumerate(turns)
        ]
        return images


def _turn(turn_deg: tuple[float, float, float]) -> np.ndarray:
    turn = np.eye(3)
    for axis, degrees in zip(np.eye(3), turn_deg, strict=True):
        turn = cv2.Rodrigues(axis * math.radians(degrees))[0] @ turn
    return turn
