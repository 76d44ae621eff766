"""Recordings as people have them: odd rates, bad frames, cut files, broken pictures."""

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from edge.cameras.open import EndOfFrames, open_camera
from edge.clock import VirtualClock
from edge.errors import HardwareMissing
from edge.perception.tracking import BoxTracker
from edge.records import Box, Detection, Frame

MS = 1_000_000
HEIGHT, WIDTH = 48, 64


def image_of(index: int) -> np.ndarray:
    """An image that tells its number: grey level 4 * index on the left, noise on the right."""
    image = np.full((HEIGHT, WIDTH, 3), index * 4 % 256, np.uint8)
    image[:, WIDTH // 2 :] = np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH // 2, 3))
    return image


def write_video(path: Path, times_ms: list[int], codec: str = "libx264") -> Path:
    """A video whose frames have these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "5", "bf": "0", "g": "10"}
        for index, at_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(image_of(index), format="rgb24")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_avi(path: Path, count: int, rate_hz: float) -> Path:
    """A MJPEG video by OpenCV; its frames have no times of their own."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate_hz, (WIDTH, HEIGHT))
    for index in range(count):
        writer.write(image_of(index))
    writer.release()
    return path


def spoil_frames(path: Path, indices: range) -> None:
    """Fill frames of an AVI file with zeros."""
    content = bytearray(path.read_bytes())
    at = content.find(b"movi") + 4
    for index in range(max(indices) + 1):
        assert content[at : at + 4] == b"00dc"
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if index in indices:
            content[at + 8 : at + 8 + size] = bytes(size)
        at += 8 + size + size % 2
    path.write_bytes(content)


def played(address: str, step_ms: int = 5) -> tuple[list[Frame], str]:
    """Each frame that a camera delivers, once, and what it says in the end."""
    clock = VirtualClock()
    frames: list[Frame] = []
    with open_camera(address, clock) as camera:
        while True:
            try:
                frame = camera.latest(0.25)
            except EndOfFrames as end:
                return frames, end.message
            if not frames or frame.seq != frames[-1].seq:
                frames.append(frame)
            clock.advance(step_ms * MS)


def level(frame: Frame) -> int:
    return round(float(frame.image[:, : WIDTH // 3].mean()) / 4)


def test_a_video_of_a_variable_rate_keeps_the_times_of_its_frames(tmp_path: Path):
    """Field case 7: a phone that slows down in the dark."""
    times_ms = [*range(0, 290, 33), *range(300, 1500, 200), *range(1500, 1800, 33)]
    frames, end = played(f"file://{write_video(tmp_path / 'phone.mp4', times_ms)}")
    first = {level(frame): frame.stamp_ns // MS for frame in reversed(frames)}
    assert [first[index] for index in range(len(times_ms))] == pytest.approx(times_ms, abs=1)
    gaps_ms = np.diff([frame.stamp_ns / MS for frame in frames])
    assert gaps_ms.max() <= 101, "a picture that stays is delivered again"
    assert end.startswith("every frame")


@pytest.mark.parametrize("stated_hz", [1000.0, 0.5])
def test_a_container_with_an_absurd_rate_is_played_at_30_hz_and_says_so(tmp_path: Path, stated_hz: float):
    """Field case 6: no frame has a time of its own there."""
    frames, end = played(f"file://{write_avi(tmp_path / 'odd.avi', 12, stated_hz)}")
    assert {level(frame) for frame in frames} == set(range(12))
    assert (frames[-1].stamp_ns - frames[0].stamp_ns) / 1e9 == pytest.approx(11 / 30, abs=0.01)
    assert f"its container says {stated_hz:g} frames a second; shown at 30" in end


def test_a_container_with_an_absurd_rate_but_times_is_played_by_them(tmp_path: Path):
    """Field case 6."""
    times_ms = list(range(0, 1000, 50))
    path = write_video(tmp_path / "k.mkv", times_ms)
    frames, end = played(f"file://{path}")
    assert [frame.stamp_ns // MS for frame in frames] == pytest.approx(times_ms, abs=1)
    assert end == f"every frame of {path} has been played"


@pytest.mark.parametrize("bad", [range(10, 11), range(10, 40)])
def test_frames_that_can_not_be_decoded_are_skipped_counted_and_said(tmp_path: Path, bad: range):
    """Field case 8."""
    path = write_avi(tmp_path / "bad.avi", 60, 30.0)
    spoil_frames(path, bad)
    frames, end = played(f"file://{path}")
    assert {level(frame) for frame in frames} == set(range(60)) - set(bad)
    assert (frames[-1].stamp_ns - frames[0].stamp_ns) / 1e9 == pytest.approx(59 / 30, abs=0.05)
    assert f"{60 - len(bad)} of 60 frames of {path} could be read" in end


def test_bad_bytes_in_h264_are_counted_by_the_index(tmp_path: Path):
    """Field case 8."""
    path = write_video(tmp_path / "bad.mp4", list(range(0, 2000, 33)))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(3).integers(0, 255, 3000, np.uint8).tobytes()
    path.write_bytes(content)
    _, end = played(f"file://{path}")
    assert f" of 61 frames of {path} could be read" in end


def test_the_same_is_said_of_frames_that_are_shown_one_by_one(tmp_path: Path):
    path = write_avi(tmp_path / "bad.avi", 20, 30.0)
    spoil_frames(path, range(5, 8))
    with open_camera(f"file://{path}?every=2", VirtualClock()) as camera:
        with contextlib.suppress(EndOfFrames):
            while camera.latest(1):
                camera.answered()
        with pytest.raises(EndOfFrames, match=r"shown \(9\); 17 of 20 frames"):
            camera.latest(1)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_video_that_was_cut_short_says_that_its_index_is_missing(tmp_path: Path, share: float):
    """Field case 9."""
    path = write_video(tmp_path / "cut.mp4", list(range(0, 2000, 33)))
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    with pytest.raises(HardwareMissing, match="cut short: its index is missing") as caught:
        open_camera(f"file://{path}", VirtualClock())
    assert caught.value.exit_code == 5 and "untrunc" in caught.value.hint


def test_an_avi_that_was_cut_short_is_played_and_says_so(tmp_path: Path):
    """Field case 9."""
    path = write_avi(tmp_path / "cut.avi", 60, 30.0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, end = played(f"file://{path}")
    assert 25 < len(frames) < 35 and "is cut short" in end


def test_an_empty_video_is_said_to_be_empty(tmp_path: Path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(HardwareMissing, match="is empty"):
        open_camera(f"file://{tmp_path}/empty.mp4", VirtualClock())


def picture(path: Path, image: np.ndarray | None = None) -> Path:
    assert cv2.imwrite(str(path), image_of(7) if image is None else image)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("options", ["", "?rate=5", "?every=2"])
@pytest.mark.parametrize(
    ("name", "why"),
    [("empty.jpg", "is empty"), ("gone.png", "link to nothing"), ("cut.png", "as a picture")],
)
def test_a_broken_picture_is_named_before_any_is_shown(tmp_path: Path, name: str, why: str, options: str):
    """Field case 11."""
    for number in (1, 2, 3):
        picture(tmp_path / f"{number}.png")
    path = tmp_path / f"5{name}"
    if name == "empty.jpg":
        path.touch()
    elif name == "gone.png":
        path.symlink_to(tmp_path / "nowhere.png")
    else:
        cut(picture(path))
    if options == "?every=2":
        picture(tmp_path / "4.png")  # so that the broken one is among those that are shown
    with pytest.raises(HardwareMissing, match=f"{path.name} .*{why}") as caught:
        open_camera(f"file://{tmp_path}{options}", VirtualClock())
    assert caught.value.exit_code == 5 and caught.value.hint


def test_several_broken_pictures_are_counted(tmp_path: Path):
    for number in range(4):
        picture(tmp_path / f"{number}.png")
    cut(tmp_path / "1.png")
    cut(tmp_path / "3.png")
    with pytest.raises(HardwareMissing, match=r"1\.png can't be .*; 2 of 4 pictures are broken"):
        open_camera(f"file://{tmp_path}", VirtualClock())


def test_what_is_hidden_and_folders_are_left_out(tmp_path: Path):
    """Field case 11."""
    picture(tmp_path / "a.jpg")
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".b.jpg").touch()
    (tmp_path / "x.jpg").mkdir()
    _, end = shown(tmp_path)
    assert end == "every picture has been shown (1)"


def shown(folder: Path) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    with open_camera(f"file://{folder}", VirtualClock()) as camera:
        while True:
            try:
                frames.append(camera.latest(1))
            except EndOfFrames as end:
                return frames, end.message
            camera.answered()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("highest", [4095, 65535])
def test_pictures_of_16_bits_are_refused_with_their_values(tmp_path: Path, channels: int, highest: int):
    """Field case 12: 12 bits would be nearly black, and a depth is not a colour."""
    values = np.random.default_rng(0).integers(0, highest + 1, (HEIGHT, WIDTH, channels)).astype(np.uint16)
    values[0] = highest
    path = picture(tmp_path / "deep.png", values)
    with pytest.raises(HardwareMissing, match=r"16 bits a channel, with values from \d+ to \d+") as caught:
        open_camera(f"file://{path}", VirtualClock())
    assert "8 bits" in caught.value.hint


def test_numbers_in_names_count_as_numbers(tmp_path: Path):
    """Field case 13."""
    for number in (1, 10, 2):
        picture(tmp_path / f"frame_{number}.png")
    assert [frame.source for frame in shown(tmp_path)[0]] == ["frame_1.png", "frame_2.png", "frame_10.png"]


def test_grey_palettes_and_odd_sizes_are_read(tmp_path: Path):
    """Field case 19."""
    picture(tmp_path / "1.png", np.full((5, 7), 90, np.uint8))
    picture(tmp_path / "2.png", np.full((1, 1, 3), 90, np.uint8))
    picture(tmp_path / "3.png", np.full((3, 200, 4), 90, np.uint8))
    frames, _ = shown(tmp_path)
    assert [frame.image.shape for frame in frames] == [(5, 7, 3), (1, 1, 3), (3, 200, 3)]
    assert all(frame.image.max() == frame.image.min() == 90 for frame in frames)


def test_a_picture_is_turned_as_its_exif_says_and_inks_become_colours(tmp_path: Path):
    """Field case 19."""
    tall = Image.new("RGB", (40, 20), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    tall.save(tmp_path / "1.jpg", exif=exif)
    Image.new("CMYK", (40, 20), (0, 255, 255, 0)).save(tmp_path / "2.jpg")
    Image.new("RGB", (40, 20), (255, 0, 0)).convert("P").save(tmp_path / "3.png")
    frames, _ = shown(tmp_path)
    assert [frame.image.shape for frame in frames] == [(40, 20, 3), (20, 40, 3), (20, 40, 3)]
    assert all(frame.image[5, 5, 0] > 230 and frame.image[5, 5, 1:].max() < 30 for frame in frames)


def test_the_views_options_change_what_is_played_and_shown(tmp_path: Path):
    """Field case 5."""
    image = image_of(9)
    path = picture(tmp_path / "a.png", image)
    rgb = image[:, :, ::-1]
    for options, wanted in (
        ("flip=180", rgb[::-1, ::-1]),
        ("rotate=90", np.rot90(rgb, -1)),
        ("crop=0,0.5,1,1&rate=3", rgb[:, WIDTH // 2 :]),
    ):
        with open_camera(f"file://{path}?{options}", VirtualClock()) as camera:
            assert (camera.latest(1).image == wanted).all()
    with open_camera(f"file://{path}?out=32x20", VirtualClock()) as camera:
        assert camera.latest(1).image.shape == (20, 32, 3)


def test_a_box_is_forgotten_when_pictures_change_their_shape():
    """Field case 10: portrait and landscape pictures in one folder."""
    tracker, rng = BoxTracker(), np.random.default_rng(0)
    wide, tall = (rng.integers(0, 255, shape, np.uint8) for shape in ((90, 160, 3), (160, 90, 3)))
    found = Detection(Box(0.2, 0.2, 0.8, 0.8), "cup", 0.9)
    tracker.advance(Frame(wide, 0, 0))
    assert tracker.start(found, Frame(wide, 0, 0)) == found
    assert tracker.advance(Frame(tall, 1, 1)) is None
    assert tracker.start(found, Frame(wide, 0, 0)) is None, "an answer about a picture of another shape"
    assert tracker.start(found, Frame(tall, 1, 1)) == found
