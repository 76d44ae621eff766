"""What a pipeline does to an image is what ImageView does."""

from itertools import product

import cv2
import numpy as np
import pytest

from edge.cameras.csi import job_of as csi_job
from edge.cameras.gstreamer.job import StreamJob
from edge.cameras.gstreamer.pipelines import jpeg_text, orientation, pipeline_text, size_out
from edge.cameras.gstreamer.sources import PipelineSource
from edge.cameras.v4l2 import job_of as v4l2_job
from edge.cameras.view import FLIPS, TURNS, ImageView
from tests.edge.cameras.gstreamer.peers import needs_gstreamer

CROPS = [(0.0, 0.0, 1.0, 1.0), (0.0, 0.25, 0.5, 0.75)]
HARDWARE = {"nvvidconv", "nvarguscamerasrc"}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory):
    """A picture (96, 160, 3) RGB that looks different in every orientation."""
    y, x = np.mgrid[0:96, 0:160].astype(np.float32)
    image = np.stack([x * 1.5, y * 2.5, (x + 2 * y) % 350 / 1.5], axis=2).astype(np.uint8)
    image[8:40, 12:44] = (255, 40, 40)
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path, image


def pulled(source: str, view: ImageView) -> np.ndarray:
    stream = PipelineSource(StreamJob("gst", "", source, view))
    try:
        for _ in range(300):
            if (found := stream.pull(0.1)) is not None:
                return found.image.copy()
    finally:
        stream.close()
    raise AssertionError("no image came")


@needs_gstreamer
@pytest.mark.parametrize(("flip", "rotate"), list(product(FLIPS, TURNS)))
def test_a_pipeline_cuts_turns_and_flips_as_a_view_does(picture, flip: str, rotate: str):
    path, image = picture
    source = f"filesrc location={path} ! pngdec ! imagefreeze is-live=true ! video/x-raw,framerate=60/1"
    for crop in CROPS:
        view = ImageView(crop, int(rotate), flip)
        made, wanted = pulled(source, view), view.apply(image)
        assert made.shape == wanted.shape
        assert np.abs(made.astype(int) - wanted).mean() < 1.0


@needs_gstreamer
@pytest.mark.parametrize("size", [(48, 80), (40, 30), (97, 61)])
def test_a_pipeline_scales_as_a_view_does(picture, size: tuple[int, int]):
    """97 x 61: a row of RGB of 61 pixels is padded to whole words."""
    path, image = picture
    source = f"filesrc location={path} ! pngdec ! imagefreeze is-live=true ! video/x-raw,framerate=60/1"
    view = ImageView(rotate_deg=90, flip="vertical", size=size)
    made, wanted = pulled(source, view), view.apply(image)
    assert made.shape == wanted.shape == (*size, 3)
    assert np.abs(made.astype(int) - wanted).mean() < 12.0


@needs_gstreamer
@pytest.mark.parametrize(
    ("size", "out"), [((720, 1280), (360, 640)), ((1280, 720), (640, 360)), ((240, 320), (240, 320))]
)
def test_without_a_size_the_longest_side_has_at_most_640_pixels(size: tuple[int, int], out: tuple[int, int]):
    height, width = size
    source = f"videotestsrc is-live=true ! video/x-raw,width={width},height={height}"
    assert pulled(source, ImageView()).shape == (*out, 3) == (*size_out(ImageView(), *size), 3)


def test_every_orientation_has_its_own_method_and_number():
    views = [ImageView(rotate_deg=int(turn), flip=flip) for turn, flip in product(TURNS, FLIPS)]
    pairs = {orientation(view) for view in views}
    assert len({method for method, _ in pairs}) == len({number for _, number in pairs}) == len(pairs) == 8
    assert orientation(ImageView(flip="180")) == orientation(ImageView(rotate_deg=180)) == ("180", 2)


def test_a_jetson_turns_cuts_and_scales_in_its_image_processor():
    job = csi_job("csi://1?width=1280&height=720&fps=30&flip=180&crop=0,0.25,1,0.75")
    text = pipeline_text(job, HARDWARE.__contains__)
    assert "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=1280,height=720" in text
    kept = "left=320 right=960 top=0 bottom=720"
    assert f"nvvidconv flip-method=2 {kept} ! video/x-raw,format=RGBA,width=569,height=640" in text
    assert "leaky=downstream" in text and "drop=true max-buffers=1 sync=false" in text


def test_on_a_jetson_other_streams_pass_its_image_processor_too():
    text = pipeline_text(StreamJob("rtsp", "", "rtspsrc ! decodebin", ImageView()), HARDWARE.__contains__)
    assert "decodebin ! queue" in text and "leaky=downstream ! nvvidconv ! video/x-raw,format=I420 !" in text


@needs_gstreamer
@pytest.mark.parametrize(
    ("job", "replaced"),
    [
        (
            csi_job("csi://0?flip=180&crop=0,0,0.5,1"),
            {
                "nvarguscamerasrc sensor-id=0": "videotestsrc is-live=true",
                "(memory:NVMM)": "",
                "nvvidconv flip-method=2 left=0 right=1280 top=0 bottom=360": "videoconvert ! videoscale",
            },
        ),
        (
            v4l2_job("v4l2:///dev/video0"),
            {'v4l2src device="/dev/video0" do-timestamp=true': "videotestsrc is-live=true ! jpegenc"},
        ),
        (
            v4l2_job("v4l2:///dev/video0?format=yuyv&width=640&height=480&fps=15"),
            {'v4l2src device="/dev/video0" do-timestamp=true': "videotestsrc is-live=true"},
        ),
    ],
    ids=["csi", "mjpg", "yuyv"],
)
def test_the_pipelines_of_hardware_play_with_test_pictures_in_its_place(job: StreamJob, replaced: dict):
    from edge.cameras.gstreamer.functions import Gst
    from edge.cameras.gstreamer.library import GstPipeline

    gst = Gst()
    text = jpeg_text(job) if job.jpeg else pipeline_text(job, gst.has)
    for before, after in replaced.items():
        assert before in text
        text = text.replace(before, after)
    with GstPipeline(gst, text, job.view if job.jpeg else None) as pipeline:
        pipeline.play()
        assert job.source_size is not None
        for _ in range(100):
            if (found := pipeline.pull(0.1)) is not None:
                break
        assert found is not None
        fitted = job.hardware or job.jpeg
        wanted = size_out(job.view, *job.source_size) if fitted else job.source_size
        assert found.source_size == (wanted if job.hardware else job.source_size)
        assert found.image.shape == (*wanted, 3)
