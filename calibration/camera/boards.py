"""The boards that a camera is calibrated with, and finding their corners in an image."""

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.records import Image

Floats = NDArray[np.float64]
CHECKERBOARD, CHARUCO = "checkerboard", "charuco"
DICTIONARIES = ("4X4_50", "4X4_100", "5X5_50", "5X5_100", "5X5_250", "6X6_50", "6X6_250", "7X7_50")
MARKER_SHARE = 0.75  # side of a marker over a square's, unless it is said otherwise
FEWEST_CORNERS = 8  # a ChArUco board need not be seen whole
FEWEST_ROWS = 2  # corners in one row alone tell nothing about a lens
_SIZE = re.compile(r"(\d{1,2})x(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Corners:
    """What was found of a board in one image."""

    ids: NDArray[np.int64]  # (N,), numbers of the board's inner corners
    at_px: Floats  # (N, 2), x and y


@dataclass(frozen=True)
class CalibrationBoard:
    """A flat board of squares. Its inner corners are where four squares meet, numbered row by row."""

    kind: str  # CHECKERBOARD or CHARUCO
    columns: int  # number of inner corners in a row
    rows: int
    square_m: float = 0.025
    marker_share: float = MARKER_SHARE  # ChArUco: side of a marker, as a share of a square's
    dictionary: str = "4X4_50"  # ChArUco: one of DICTIONARIES
    legacy: bool = False  # ChArUco: made by OpenCV before 4.6, which began with a marker

    @property
    def points_m(self) -> Floats:
        """Where the inner corners are on the board, (N, 3), z = 0."""
        rows, columns = np.divmod(np.arange(self.columns * self.rows), self.columns)
        return np.stack([columns, rows, np.zeros(len(rows))], 1) * self.square_m

    def find(self, grey: NDArray[np.uint8]) -> Corners | None:
        """Return the corners in a grey image; None if too few are seen."""
        if self.kind == CHECKERBOARD:
            size = self.columns, self.rows
            flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY
            found, at = cv2.findChessboardCornersSB(grey, size, flags=flags)
            if not found or at is None:
                return None
            return Corners(np.arange(self.columns * self.rows), np.asarray(at, np.float64).reshape(-1, 2))
        at, ids, _, _ = cv2.aruco.CharucoDetector(self._charuco()).detectBoard(grey)
        if ids is None or len(ids) < FEWEST_CORNERS:
            return None
        ids = np.asarray(ids, np.int64).ravel()
        across, down = len(set(ids % self.columns)), len(set(ids // self.columns))
        if min(across, down) < FEWEST_ROWS:
            return None
        return Corners(ids, np.asarray(at, np.float64).reshape(-1, 2))

    def draw(self, square_px: int) -> Image:
        """Return the board to print, with a white margin of one square: (height, width, 3)."""
        columns, rows = self.columns + 1, self.rows + 1
        if self.kind == CHARUCO:
            size = columns * square_px, rows * square_px
            squares = np.asarray(self._charuco().generateImage(size, marginSize=0, borderBits=1), np.uint8)
        else:
            down, across = np.mgrid[:rows, :columns]
            dark = (down + across) % 2 == 0
            squares = np.kron(np.where(dark, 0, 255), np.ones((square_px, square_px))).astype(np.uint8)
        page = np.pad(squares, square_px, constant_values=255)
        return np.repeat(page[..., None], 3, 2)

    def _charuco(self) -> cv2.aruco.CharucoBoard:
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{self.dictionary}"))
        size = self.columns + 1, self.rows + 1
        board = cv2.aruco.CharucoBoard(size, self.square_m, self.square_m * self.marker_share, dictionary)
        board.setLegacyPattern(self.legacy)
        return board


def board_size(text: str, option: str) -> tuple[int, int]:
    """Return the two numbers of a text such as 9x6. Raises UsageError for anything else, and below 3."""
    found = _SIZE.fullmatch(text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(size) < 3:
        raise UsageError(
            f"--{option} {text[:40]!r} is not COLUMNSxROWS, each from 3 to 99",
            "--checkerboard counts the inner corners, where black squares touch: 9x6; --charuco the "
            "squares: 7x5",
        )
    return size


def markers_of(board: CalibrationBoard) -> int:
    """Return how many markers a ChArUco board needs of its dictionary."""
    return (board.columns + 1) * (board.rows + 1) // 2
