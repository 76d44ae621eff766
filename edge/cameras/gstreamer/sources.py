"""Where a child process gets its images from: a GStreamer pipeline, or a V4L2 device through OpenCV."""

import time
from typing import Any, Protocol

import cv2
import numpy as np

from edge.cameras.gstreamer.functions import Gst, StreamEnded, StreamFailed
from edge.cameras.gstreamer.job import StreamJob
from edge.cameras.gstreamer.library import GstPipeline, StreamImage
from edge.cameras.gstreamer.pipelines import crop_px, jpeg_text, pipeline_text, size_caps, size_out
from edge.cameras.view import ImageView

EOS_LIMIT_S = 1.0  # for the end of the stream to run through the pipeline
_IN_FLIGHT = 3  # images that may be behind the crop when it is set


class StreamSource(Protocol):
    """A source of images."""

    def pull(self, wait_s: float) -> StreamImage | None:
        """Return the newest image; None if none comes in time. Raises StreamFailed, StreamEnded."""
        ...

    def end(self) -> None:
        """End the stream in good order, as far as that takes no longer than a second."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


class PipelineSource:
    """A job's GStreamer pipeline, playing."""

    def __init__(self, job: StreamJob) -> None:
        """Start it. Raises StreamFailed."""
        gst = Gst()
        self._view = job.view
        text = jpeg_text(job) if job.jpeg else pipeline_text(job, gst.has)
        self._pipeline = GstPipeline(gst, text, job.view if job.jpeg else None)
        # A Jetson's image processor knows the source's size from the start, and a JPEG tells its own.
        self._fitted = job.hardware or job.jpeg
        self._skip = 0
        self._pipeline.play()

    def pull(self, wait_s: float) -> StreamImage | None:
        """Return the newest image as the view wants it. Raises StreamFailed, StreamEnded."""
        found = self._pipeline.pull(wait_s)
        if found is None:
            return None
        if not self._fitted:
            self._fit(*found.source_size)
        if self._skip:
            self._skip -= 1
            return None
        return found

    def _fit(self, height: int, width: int) -> None:
        """Set crop and size, which need the size of the source's image."""
        left, right, top, bottom = crop_px(self._view, height, width)
        self._fitted = True
        if not any((left, right, top, bottom)) and size_out(self._view, height, width) == (height, width):
            return  # it is right as it is
        self._pipeline.set("view_crop", left=left, right=right, top=top, bottom=bottom)
        self._pipeline.set("view_size", caps=size_caps(self._view, height, width))
        self._skip = _IN_FLIGHT

    def end(self) -> None:
        """Send the end of the stream through the pipeline and wait for it."""
        self._pipeline.send_eos()
        try:
            self._pipeline.check(EOS_LIMIT_S)
        except (StreamEnded, StreamFailed):
            return  # it ends either way

    def close(self) -> None:
        """Stop the pipeline."""
        self._pipeline.close()


class OpenCvSource:
    """A V4L2 device read by OpenCV, for machines without GStreamer."""

    def __init__(self, job: StreamJob, api: int = cv2.CAP_V4L2) -> None:
        """Open the device. Raises StreamFailed if OpenCV can't."""
        self._view = job.view
        self._capture = cv2.VideoCapture(job.source, api)
        if not self._capture.isOpened():
            raise StreamFailed("opencv", 0, f"OpenCV does not open {job.source}")
        settings: list[tuple[int, Any]] = [(cv2.CAP_PROP_BUFFERSIZE, 1)]
        if job.fourcc:
            settings.append((cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*job.fourcc)))
        if job.source_size is not None:
            height, width = job.source_size
            settings += [(cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height)]
        if job.rate_hz:
            settings.append((cv2.CAP_PROP_FPS, job.rate_hz))
        for setting, value in settings:
            self._capture.set(setting, value)

    def pull(self, wait_s: float) -> StreamImage | None:
        """Return the next image. OpenCV waits for it as long as it likes. Raises StreamEnded without one."""
        if not self._capture.grab():
            raise StreamEnded
        stamp_ns = time.monotonic_ns()
        found, bgr = self._capture.retrieve()
        if not found:
            raise StreamFailed("opencv", 1, "OpenCV can't decode an image")
        height, width = bgr.shape[:2]
        view = ImageView(
            self._view.crop, self._view.rotate_deg, self._view.flip, size_out(self._view, height, width)
        )
        image = np.asarray(cv2.cvtColor(view.apply(np.asarray(bgr, np.uint8)), cv2.COLOR_BGR2RGB), np.uint8)
        return StreamImage(image, stamp_ns, (height, width))

    def end(self) -> None:
        """Do nothing: OpenCV knows no end of a stream."""

    def close(self) -> None:
        """Close the device."""
        self._capture.release()


def open_source(job: StreamJob) -> StreamSource:
    """Open a job's source. Raises StreamFailed."""
    return OpenCvSource(job) if job.engine == "opencv" else PipelineSource(job)
