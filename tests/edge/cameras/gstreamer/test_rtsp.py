"""Cameras on the network: a real RTSP server in a process of its own (field case 4)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.address import split_options, without_password
from edge.cameras.open import open_camera
from edge.cameras.rtsp import job_of
from edge.clock import MonotonicClock
from edge.errors import EdgeError, HardwareMissing, UsageError
from edge.plugins import CAMERAS
from tests.edge.cameras.gstreamer.peers import frame_of, needs_gstreamer, needs_rtsp_server, rtsp_server

WORD = st.from_regex(r"[a-z0-9]{0,5}", fullmatch=True)
CLOCK = MonotonicClock()
SECRET = "pass@w0rd"


@pytest.fixture(scope="module")
def host():
    with rtsp_server("--user", f"me:{SECRET}") as host:
        yield host


@needs_gstreamer
@needs_rtsp_server
@pytest.mark.parametrize(
    ("path", "transport"),
    [
        ("h264", "tcp"),
        ("mjpeg", "udp"),
        pytest.param("h264", "udp", marks=pytest.mark.slow),
        pytest.param("mjpeg", "tcp", marks=pytest.mark.slow),
    ],
)
def test_a_stream_is_seen_by_either_transport(host: str, path: str, transport: str):
    address = f"rtsp://me:pass%40w0rd@{host}/{path}?transport={transport}&out=160x120"
    with open_camera(address, CLOCK) as camera:
        first = frame_of(camera)
        later = frame_of(camera, first.seq + 3)
    assert first.image.shape == (120, 160, 3) and (first.image != later.image).any()


@needs_gstreamer
@needs_rtsp_server
def test_refusals_of_the_network_are_told_apart_and_never_show_a_password(host: str):
    cases = {
        f"rtsp://me:pass%40w0rdx@{host}/h264": "user or password is wrong",
        f"rtsp://{host}/h264": "user or password is wrong",
        f"rtsp://me:pass%40w0rd@{host}/nosuch": "no such stream",
        "rtsp://me:pass%40w0rd@127.0.0.1:1/h264": "no host answers",
    }
    for address, words in cases.items():
        with pytest.raises(HardwareMissing, match=words) as caught:
            open_camera(address, CLOCK)
        assert "w0rd" not in caught.value.message + caught.value.hint and caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        f"rtsp://me:{SECRET}@h/x?flip=left",
        f"rtsp://me:{SECRET}@h:port/x",
        f"rtsp://me:{SECRET}@h/x?transport=none",
        f"rtsp://me:{SECRET}@h/ ",
        f"rtsp://me:{SECRET}@h/x",
        f"rtsq://me:{SECRET}@h/x",
        f"rtsp://me:a/{SECRET}@h/x?out=9",
    ],
)
def test_a_malformed_address_shows_no_password(address: str):
    with pytest.raises(UsageError) as caught:
        CAMERAS.open_address(address, CLOCK)
    assert "w0rd" not in caught.value.message + caught.value.hint


def test_a_job_shows_no_password_and_keeps_the_url_s_own_query():
    job = job_of("rtsp://me:secret@h:554/cam?channel=1&transport=udp&subtype=0&flip=180&timeout=3")
    assert 'location="rtsp://me:secret@h:554/cam?channel=1&subtype=0"' in job.source
    assert "protocols=udp" in job.source and "latency=0 drop-on-latency=true" in job.source
    assert (job.view.flip, job.start_limit_s) == ("180", 3) and "secret" not in job.shown
    assert job_of("rtsp://h/x?transport=tcp&a=1").source.split('"')[1] == "rtsp://h/x?a=1"


@given(
    st.lists(st.tuples(WORD, WORD)),
    st.lists(st.sampled_from(["flip=180", "out=6x4", "timeout=3"]), unique=True),
    st.randoms(),
)
def test_only_known_options_are_taken_out_of_a_query(pairs, own, random):
    foreign = [f"x{name}={value}" for name, value in pairs]
    mixed = foreign + own
    order = sorted(range(len(mixed)), key=lambda _: random.random())
    query = [mixed[index] for index in order]
    text = "rtsp://h/x" + ("?" + "&".join(query) if query else "")
    rest, options = split_options(text, ("flip", "out", "timeout"))
    kept = [part for part in query if part in foreign]
    assert rest == "rtsp://h/x" + ("?" + "&".join(kept) if kept else "")
    assert sorted(filter(None, options.split("&"))) == sorted(own)


@given(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=20))
def test_no_password_is_shown_whatever_it_holds(password: str):
    marked = f"zq{password}qz"
    assert marked not in without_password(f"rtsp://me:{marked}@host/path")
    assert marked not in without_password(f"gst://rtspsrc location=rtsp://me:{marked}@h user-pw={marked}")
    assert without_password("file:///home/a@b/x.mp4") == "file:///home/a@b/x.mp4"


def test_any_text_is_a_job_or_bad_usage():
    for rest in ("", "?", "[::1/x", "h/\0", "h:99999/x", "x" * 9000):
        with pytest.raises(EdgeError) as caught:
            job_of(f"rtsp://{rest}")
        assert re.match("camera address", caught.value.message) and caught.value.exit_code == 2
