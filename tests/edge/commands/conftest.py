"""Pictures to be played by what a run is tested with."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (60, 80, 3), np.uint8))
    return folder
