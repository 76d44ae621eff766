import math
from collections.abc import Mapping

import numpy as np
import pytest

from edge.interfaces import Tensor
from edge.perception.floor_scan import COLUMNS, FLOOR_INPUT, FLOOR_OUTPUT, MAX_RANGE_M, FloorScanner, scan_of
from edge.perception.geometry import View
from edge.records import CameraMount

VIEW = View(CameraMount(math.radians(55), 0.35, math.radians(12), 0.12), 4 / 3)
HORIZON_V = 0.5 - math.tan(VIEW.mount.pitch_rad) / (2 * VIEW.tan_v)


class RowEngine:
    """A floor graph that answers with the same rows always."""

    inputs, outputs = (FLOOR_INPUT,), (FLOOR_OUTPUT,)

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows.astype(np.float32)[None]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.pixels = inputs[FLOOR_INPUT.name]
        return {FLOOR_OUTPUT.name: self.rows}

    def close(self) -> None:
        pass


def test_points_lie_where_the_view_puts_them():
    rows = np.linspace(0.4, 1.0, COLUMNS)
    scan = scan_of(rows, VIEW)
    for i, row in enumerate(rows):
        point = VIEW.floor_point((i + 0.5) / COLUMNS, float(row))
        assert point is not None
        distance = math.hypot(*point)
        assert scan.ranges[i] == pytest.approx(min(distance, MAX_RANGE_M))
        assert scan.bearings[i] == pytest.approx(math.atan2(point[1], point[0]))
        assert scan.blocked[i] == (distance < MAX_RANGE_M)
        if scan.blocked[i]:
            assert scan.points[i] == pytest.approx(point)
    assert scan.bearings[0] > 0 > scan.bearings[-1], "columns run from left to right"


@pytest.mark.parametrize("row", [0.0, HORIZON_V, HORIZON_V + 0.01])
def test_floor_up_to_the_horizon_is_free(row: float):
    scan = scan_of(np.full(COLUMNS, row), VIEW)
    assert not scan.blocked.any()
    assert np.isfinite(scan.points).all()
    assert np.hypot(*scan.points.T) == pytest.approx(MAX_RANGE_M)


def test_the_image_is_put_to_the_net():
    engine = RowEngine(np.full(COLUMNS, 0.8))
    image = np.full((240, 320, 3), 255, np.uint8)
    scan = FloorScanner(engine, VIEW).scan(image)
    assert engine.pixels.shape == FLOOR_INPUT.shape
    assert engine.pixels.dtype == FLOOR_INPUT.dtype
    assert engine.pixels == pytest.approx(1.0)
    assert scan.blocked.all()
    assert scan.ranges[COLUMNS // 2] == pytest.approx(VIEW.floor_point(0.5, 0.8)[0], rel=0.01)


def test_other_graphs_are_refused():
    engine = RowEngine(np.zeros(COLUMNS))
    engine.outputs = ()
    with pytest.raises(ValueError, match="not a floor graph"):
        FloorScanner(engine, VIEW)
