"""The camera `csi://0`: a camera at a Jetson's ribbon cable, through Argus.

`csi://0?width=1280&height=720&fps=30&flip=180`; the number is the sensor's.
"""

from edge.address import Address
from edge.cameras.gstreamer.camera import StreamCamera
from edge.cameras.gstreamer.job import START_LIMIT_S, StreamJob
from edge.cameras.view import MOST_PIXELS, take_view
from edge.clock import Clock

MOST_SENSORS = 16


def job_of(text: str) -> StreamJob:
    """Return what an address asks for. Raises UsageError if it is malformed."""
    address = Address(text, "camera", "such as csi://0?width=1280&height=720&fps=30&flip=180")
    sensor = address.place
    if not (sensor.isascii() and sensor.isdigit() and len(sensor) < 4 and int(sensor) < MOST_SENSORS):
        raise address.error(f"{sensor[:40]!r} is not the number of a sensor, from 0 to {MOST_SENSORS - 1}")
    width = address.whole("width", 1280, 16, MOST_PIXELS)
    height = address.whole("height", 720, 16, MOST_PIXELS)
    rate_hz = address.whole("fps", 30, 1, 240)
    view, limit_s = take_view(address), address.number("timeout", START_LIMIT_S, 1, 120)
    address.finish()
    source = (
        f"nvarguscamerasrc sensor-id={int(sensor)} ! video/x-raw(memory:NVMM),format=NV12,"
        f"width={width},height={height},framerate={rate_hz}/1"
    )
    return StreamJob("csi", text, source, view, limit_s, hardware=True, source_size=(height, width))


def open_address(text: str, clock: Clock, name: str = "front") -> StreamCamera:
    """Open `csi://N`. Raises UsageError if it is malformed, HardwareMissing without an image."""
    return StreamCamera(job_of(text), clock, name)
