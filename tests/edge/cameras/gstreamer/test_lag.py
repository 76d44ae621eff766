"""Old pictures are never shown, also after the reader stood still: field case 4."""

import pytest

from benchmarks.cameras.measure import SETTLE_S, measure_lag
from benchmarks.cameras.serving import serving
from tests.edge.cameras.gstreamer.peers import needs_gstreamer, needs_rtsp_server


@pytest.mark.slow
@pytest.mark.realtime
@needs_gstreamer
@needs_rtsp_server
def test_after_a_reader_stood_still_its_images_are_fresh_again_within_half_a_second():
    """Two frames at 30 Hz, and what the network of one machine adds."""
    with serving("--width", "640", "--height", "360") as host:
        figures = measure_lag(f"rtsp://{host}/h264", 10.0, stall_child=False)
    assert figures["first_after_stall_ms"]["after"] <= SETTLE_S * 1e3
    assert figures["lag_after_settling_ms"]["p99"] <= 2 * 1000 / 30 + 50
