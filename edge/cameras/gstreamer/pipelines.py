"""A camera's source and view as the text of a GStreamer pipeline.

The newest image only, at each stage: a queue of one that drops the older image, and an appsink of one that
does the same and waits for no clock.
"""

from collections.abc import Callable

from edge.cameras.gstreamer.job import LONGEST_SIDE_PX, StreamJob
from edge.cameras.gstreamer.library import SINK
from edge.cameras.view import ImageView

QUEUE = "queue max-size-buffers=1 max-size-bytes=0 max-size-time=0 leaky=downstream"
_APPSINK = f"appsink name={SINK} drop=true max-buffers=1 sync=false"
_RGB = "video/x-raw,format=RGB"
_NO_CROP = (0.0, 0.0, 1.0, 1.0)
_MIRRORED = {  # quarter turns clockwise, then a horizontal flip: the method of videoflip, that of nvvidconv
    0: ("horizontal-flip", 4),
    1: ("upper-left-diagonal", 7),
    2: ("vertical-flip", 6),
    3: ("upper-right-diagonal", 5),
}
_TURNED = {0: ("none", 0), 1: ("clockwise", 3), 2: ("rotate-180", 2), 3: ("counterclockwise", 1)}


def pipeline_text(job: StreamJob, has: Callable[[str], bool]) -> str:
    """Return the whole pipeline: source, crop, scale, turn, RGB. `has` tells which elements are there."""
    if job.hardware and job.source_size is not None:
        head = f"{job.source} ! {_in_hardware(job.view, job.source_size)}"
        return f"{head} ! {QUEUE} ! videocrop name=view_crop ! videoconvert ! {_RGB} ! {_APPSINK}"
    source = f"{job.source} ! {QUEUE} ! {_jpeg_decoder(job, has)}" if job.jpeg else job.source
    # Decoders of a Jetson leave their images where only its own elements find them.
    fetched = " ! nvvidconv ! video/x-raw,format=I420" if has("nvvidconv") else ""
    scale = "videoconvertscale" if has("videoconvertscale") else "videoscale ! videoconvert"
    method = orientation(job.view)[0]
    turned = f" ! videoflip method={method}" if method != "none" else ""
    return (
        f"{source} ! {QUEUE}{fetched} ! videocrop name=view_crop"
        f" ! {scale} ! {_RGB},{_size_caps(job.view)}{turned} ! {_APPSINK}"
    )


def orientation(view: ImageView) -> tuple[str, int]:
    """Return the method of `videoflip`, and the number of nvvidconv's, for a view's rotation and flip."""
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


def _jpeg_decoder(job: StreamJob, has: Callable[[str], bool]) -> str:
    """Return a decoder that leaves out, in powers of two, the pixels that scaling would throw away."""
    if job.source_size is None or not has("avdec_mjpeg"):
        return "jpegdec"
    left, right, top, bottom = crop_px(job.view, *job.source_size)
    height, width = job.source_size[0] - top - bottom, job.source_size[1] - left - right
    if job.view.rotate_deg in (90, 270):
        height, width = width, height
    wanted = size_out(job.view, *job.source_size)
    spare = min(height // wanted[0], width // wanted[1])
    return f"avdec_mjpeg lowres={2 if spare >= 4 else 1}" if spare >= 2 else "jpegdec"


def _in_hardware(view: ImageView, size: tuple[int, int]) -> str:
    """Return what a Jetson's image processor does in one go: crop, turn, scale."""
    left, right, top, bottom = crop_px(view, *size)
    cut = ""
    if view.crop != _NO_CROP:  # its properties are the edges of what is kept
        cut = f" left={left} right={size[1] - right} top={top} bottom={size[0] - bottom}"
    height, width = size_out(view, *size)
    flip = f" flip-method={orientation(view)[1]}"
    return f"nvvidconv{flip}{cut} ! video/x-raw,format=RGBA,width={width},height={height}"


def _size_caps(view: ImageView) -> str:
    """Return the caps of the image's size before it is turned. A range keeps the aspect by itself."""
    if view.size is None:
        return f"width=[1,{LONGEST_SIDE_PX}],height=[1,{LONGEST_SIDE_PX}],pixel-aspect-ratio=1/1"
    height, width = view.size if view.rotate_deg in (0, 180) else view.size[::-1]
    return f"width={width},height={height},pixel-aspect-ratio=1/1"
