"""The page in a real browser: what it shows, its button, and a finger on its pad."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.motor.wire import ByHand, LetGo, Stop
from edge.runs.live.packets import Picture, Wish
from tests.browser import CHROMIUM, Tab, browser
from tests.edge.runs.live.serving import TOKEN, Serving, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.timeout(300),
]
STATE = {
    "policy": "approach", "motor": "following", "camera": "front", "reason": "", "cause": "none", "at_ms": 0,
    "speed_m_s": 0.31, "turn_rad_s": 0.1,
    "heat": {"cpu-thermal": 61.5}, "frame_to_motor_ms": 42.4, "battery": 0.8, "pose": [1.0, 0.5, 0.3],
    "path": [[0, 0], [0.5, 0.2], [1.0, 0.5]],
}  # fmt: skip
BOXES = [[0.2, 0.3, 0.6, 0.7, "cup 0.96"]]
GREY = cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))[1].tobytes()


async def shown(page: Serving, tab: Tab, width: int, height: int, mobile: bool) -> None:
    await page.send(STATE, Picture("front", 1.0, GREY, BOXES))
    await tab.open(f"{page.url}/#{TOKEN}", width, height, mobile)
    await tab.until("head && Object.keys(canvases).length > 0")


async def look(tmp_path: Path, width: int, height: int, mobile: bool) -> None:
    async with serving() as page, browser(tmp_path / "profile") as tab:
        await shown(page, tab, width, height, mobile)
        words = await tab.until("document.body.innerText.includes('62 °C') && document.body.innerText")
        for each in ("find_object cup", "approach, following", "0.31 m/s", "62 °C", "42 ms", "80 %", "STOP"):
            assert each in words
        # Nothing is cut off at the side, and the button lies within the window, over all of its width.
        assert await tab.value("document.documentElement.scrollWidth") <= width
        box = await tab.value("(b => [b.x, b.right, b.bottom, b.height])(at('stop').getBoundingClientRect())")
        assert box[0] >= 0 and box[1] <= width and box[2] <= height and box[3] >= 80
        assert box[1] - box[0] > 0.9 * width
        await tab.screenshot(tmp_path / "page.png")
        image = cv2.imread(str(tmp_path / "page.png")).astype(int)
        green = (image[..., 1] > 180) & (image[..., 2] < 100)  # the box
        assert image.shape[:2] == (height, width) and green.sum() > 300


def test_a_desktop_shows_the_drive(tmp_path: Path):
    asyncio.run(look(tmp_path, 1200, 800, mobile=False))


def test_a_phone_shows_the_drive(tmp_path: Path):
    asyncio.run(look(tmp_path, 390, 844, mobile=True))


async def touched(tmp_path: Path) -> None:
    async with serving() as page, browser(tmp_path / "profile") as tab:
        await shown(page, tab, 390, 844, mobile=True)
        await tab.value("at('pad').scrollIntoView({block: 'center'})")
        await tab.touch("touchStart", "pad")
        assert await page.told() == ByHand(0.0, 0.0)
        await tab.touch("touchMove", "pad", dx=30.0, dy=-78.0)
        while (hand := await page.told()) == ByHand(0.0, 0.0):
            pass
        assert (
            isinstance(hand, ByHand) and hand.ahead == 1.0 and hand.turn == pytest.approx(-30 / 78, abs=0.02)
        )
        await tab.touch("touchEnd")
        while (last := await page.told()) == hand:
            pass
        assert last == LetGo()
        told = asyncio.ensure_future(page.told())
        await tab.touch("touchStart", "stop")
        assert isinstance(await told, Stop)
        again = asyncio.ensure_future(page.told())  # by the request, which is confirmed
        await tab.until("at('stop').className === 'done'")
        assert isinstance(await again, Stop)


def test_a_finger_drives_and_stops(tmp_path: Path):
    asyncio.run(touched(tmp_path))


RECORDING = {"number": 0, "on": False, "trouble": ""}
UNDER_WAY = {"on": True, "done": False, "file": "/a.mcap", "seconds": 12.3, "bytes": 3_400_000, "lost": 0}


async def recorded(tmp_path: Path) -> None:
    async with serving() as page, browser(tmp_path / "profile") as tab:
        await shown(page, tab, 390, 844, mobile=True)
        assert await tab.value("at('record').hidden")
        for number, on in ((1, True), (2, False)):
            state = RECORDING | (UNDER_WAY if not on else {}) | {"number": number - 1}
            await page.send(STATE | {"recording": state})
            await tab.until(
                "!at('record').hidden && head.state.recording.number === "
                f"{number - 1} && at('recordbutton').textContent === '{'record' if on else 'stop recording'}'"
            )
            await tab.value("at('recordbutton').click()")
            await page.wished(Wish(number, on))
            assert await tab.until("at('recorded').textContent === 'asked …'")
            await tab.until("at('recorded').textContent === 'the recorder does not answer'")
            await page.send(STATE | {"recording": RECORDING | UNDER_WAY | {"number": number, "on": on}})
            words = f"{'recording' if on else 'being ended'}: 12 s, 3.4 MB, 0 lost · /a.mcap"
            await tab.until(f"at('recorded').textContent === '{words}'")
        full = {"number": 2, "on": False, "done": True, "trouble": "No space left on device"}
        await page.send(STATE | {"recording": UNDER_WAY | full})
        await tab.until("at('record').className === 'bad' && at('recorded').textContent.includes('No space')")


def test_a_person_records_and_reads_what_came_of_it(tmp_path: Path):
    asyncio.run(recorded(tmp_path))


@contextlib.asynccontextmanager
async def filmed(tmp_path: Path) -> AsyncIterator[tuple[Serving, Tab]]:
    """Show a page with a new picture ten times a second."""
    async with serving() as page, browser(tmp_path / "profile") as tab:

        async def film() -> None:
            for number in range(10**6):
                await page.send(STATE | {"boxes": BOXES}, Picture("front", float(number), GREY, BOXES))
                await asyncio.sleep(0.1)

        films = asyncio.ensure_future(film())
        try:
            await tab.open(f"{page.url}/#{TOKEN}", 390, 844, True)
            yield page, tab
        finally:
            films.cancel()
            await asyncio.wait([films])


async def by_webrtc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.runs.live.rtc import peer, way

    goes = asyncio.Event()
    goes.set()
    recv = peer._Pictures.recv

    async def stalling(track: Any) -> Any:
        await goes.wait()
        return await recv(track)

    monkeypatch.setattr(peer._Pictures, "recv", stalling)
    monkeypatch.setattr(way, "STALLED_S", 6.0)
    async with filmed(tmp_path) as (page, tab):
        await tab.until("at('way').textContent === 'picture: WebRTC' && performance.now() - jpegAt > 1000")
        await tab.screenshot(tmp_path / "page.png")
        image = cv2.imread(str(tmp_path / "page.png")).astype(int)
        green = (image[..., 1] > 180) & (image[..., 2] < 100)  # the box
        assert green.sum() > 300
        middle = image[140:150, 20:100].reshape(-1, 3).mean(0)
        assert abs(middle - 90).max() < 12, middle  # the picture
        await tab.value("at('pad').scrollIntoView({block: 'center'})")
        await tab.touch("touchStart", "pad")
        assert isinstance(await page.told(), ByHand)
        assert not await tab.value("head.refused")
        goes.clear()
        await tab.until("at('late').textContent.startsWith('the picture stalls')")
        assert await tab.value("at('cameras').className === 'old'")
        await tab.until("at('hint').textContent === 'the connection is too slow to drive'")
        # Without word of a picture the JPEGs go again, and with them the hand.
        await tab.until("at('way').textContent === 'picture: JPEG' && at('cameras').className === ''")
        await tab.until("head.hand === 'you' && !head.refused")
        goes.set()
        await tab.until("at('way').textContent === 'picture: WebRTC'")
        assert await tab.value("performance.getEntriesByType('resource').length") == 0


def test_a_picture_by_webrtc_is_shown_and_one_that_stalls_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("aiortc")
    asyncio.run(by_webrtc(tmp_path, monkeypatch))


async def by_jpeg(tmp_path: Path) -> None:
    async with filmed(tmp_path) as (_, tab):
        await tab.until("performance.now() - came < 500 && at('way').textContent === 'picture: JPEG'")
        assert await tab.value("peer === null && !head.video")


def test_without_aiortc_the_picture_comes_as_jpegs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    asyncio.run(by_jpeg(tmp_path))


async def lost(tmp_path: Path) -> None:
    async with serving() as page, browser(tmp_path / "profile") as tab:
        await shown(page, tab, 390, 844, mobile=True)
        page.motor.close()
        await asyncio.sleep(0.2)
        await tab.touch("touchStart", "stop")
        words = await tab.until("at('stop').className === 'failed' && at('told').textContent")
        assert "NOT CONFIRMED" in words and "emergency stop" in words
        await tab.open(f"{page.url}/#wrong", 390, 844, True)
        assert await tab.until("at('state').textContent === 'refused'")


def test_a_stop_that_did_not_arrive_and_a_wrong_address_say_so(tmp_path: Path):
    asyncio.run(lost(tmp_path))
