"""A camera's source and view as the text of a GStreamer pipeline.

The newest image only, at each stage: a queue of one that drops the older image, and an appsink of one that
does the same and waits for no clock.
"""

from collections.abc import Callable

from edge.cameras.gstreamer.job import LONGEST_SIDE_PX, StreamJob
from edge.cameras.view import ImageView

SINK = "newest"  # the name of the appsink
QUEUE = "queue max-size-buffers=1 max-size-bytes=0 max-size-time=0 leaky=downstream"
_APPSINK = f"appsink name={SINK} drop=true max-buffers=1 sync=false"
PIXELS = "video/x-raw,format=BGRx"  # what GStreamer converts to fastest
_NO_CROP = (0.0, 0.0, 1.0, 1.0)
_TURNED = {0: ("identity", 0), 1: ("90r", 3), 2: ("180", 2), 3: ("90l", 1)}  # quarter turns clockwise
_MIRRORED = {0: ("horiz", 4), 1: ("ul-lr", 7), 2: ("vert", 6), 3: ("ur-ll", 5)}  # then flipped horizontally


def pipeline_text(job: StreamJob, has: Callable[[str], bool]) -> str:
    """Return the whole pipeline: source, crop, scale, convert to PIXELS, turn.

    `has` tells which elements are there. An image is scaled in its own format, before its colours are
    converted: that takes a sixth of the time.
    """
    if job.hardware and job.source_size is not None:
        head = f"{job.source} ! {_in_hardware(job.view, job.source_size)}"
        return f"{head} ! {QUEUE} ! videocrop name=view_crop ! videoconvert ! {PIXELS} ! {_APPSINK}"
    # Decoders of a Jetson leave their images where only its own elements find them.
    fetched = " ! nvvidconv ! video/x-raw,format=I420" if has("nvvidconv") else ""
    direction = orientation(job.view)[0]
    # Its older property, method, does nothing in GStreamer 1.22.
    turned = f" ! videoflip video-direction={direction}" if direction != "identity" else ""
    return (
        f"{job.source} ! {QUEUE}{fetched} ! videocrop name=view_crop"
        f" ! videoscale add-borders=false ! capsfilter name=view_size"
        f" ! videoconvert dither=none chroma-mode=none ! {PIXELS}{turned} ! {_APPSINK}"
    )


def jpeg_text(job: StreamJob) -> str:
    """Return the whole pipeline of JPEG images: one that waited is dropped before it costs its decoding."""
    return f"{job.source} ! {_APPSINK}"


def orientation(view: ImageView) -> tuple[str, int]:
    """Return the direction of `videoflip` and the flip-method of `nvvidconv` for a view's turn and flip."""
    quarters = view.rotate_deg // 90
    if view.flip == "180":
        return _TURNED[(quarters + 2) % 4]
    if view.flip == "none":
        return _TURNED[quarters]
    # A vertical flip is half a turn and a horizontal flip.
    return _MIRRORED[(quarters + 2 * (view.flip == "vertical")) % 4]


def crop_px(view: ImageView, height: int, width: int) -> tuple[int, int, int, int]:
    """Return how many pixels the view's crop cuts away: left, right, top, bottom."""
    y0, x0, y1, x1 = view.crop
    return (
        round(x0 * width),
        width - round(x1 * width),
        round(y0 * height),
        height - round(y1 * height),
    )


def size_out(view: ImageView, height: int, width: int) -> tuple[int, int]:
    """Return height and width in the end of a source's image: the view's, or at most 640 at the longest."""
    if view.size is not None:
        return view.size
    left, right, top, bottom = crop_px(view, height, width)
    height, width = height - top - bottom, width - left - right
    if view.rotate_deg in (90, 270):
        height, width = width, height
    shrink = min(1.0, LONGEST_SIDE_PX / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def size_caps(view: ImageView, height: int, width: int) -> str:
    """Return the caps of a source's image once it is scaled, before it is turned."""
    height, width = size_out(view, height, width)
    if view.rotate_deg in (90, 270):
        height, width = width, height
    return f"video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1"


def _in_hardware(view: ImageView, size: tuple[int, int]) -> str:
    """Return what a Jetson's image processor does in one go: crop, turn, scale."""
    left, right, top, bottom = crop_px(view, *size)
    cut = ""
    if view.crop != _NO_CROP:  # its properties are the edges of what is kept
        cut = f" left={left} right={size[1] - right} top={top} bottom={size[0] - bottom}"
    height, width = size_out(view, *size)
    flip = f" flip-method={orientation(view)[1]}"
    return f"nvvidconv{flip}{cut} ! video/x-raw,format=RGBA,width={width},height={height}"
