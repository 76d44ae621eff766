"""A real browser, driven over its DevTools protocol: Debian's chromium, without a screen."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 60.0


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = json.loads(await self._socket.receive_str(timeout=PATIENCE_S))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    async def open(self, url: str, width: int, height: int, mobile: bool = False) -> None:
        """Show a page at a size; `mobile` with touch."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)
        await self.call("Page.navigate", url="about:blank")  # a new fragment alone loads nothing
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def value(self, script: str) -> Any:
        """Return the value of an expression of the page."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true, and return its value."""
        end_s = asyncio.get_running_loop().time() + PATIENCE_S
        while not (found := await self.value(script)):
            assert asyncio.get_running_loop().time() < end_s, script
            await asyncio.sleep(0.05)
        return found

    async def wheel(self, element: str) -> None:
        """Turn the wheel up by a notch, in the middle of the element that an expression returns."""
        script = f"(e => (e.scrollIntoView({{block: 'center'}}), e.getBoundingClientRect()))({element})"
        box = await self.value(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({script})")
        at = {"x": box[0], "y": box[1], "deltaX": 0, "deltaY": -100}
        await self.call("Input.dispatchMouseEvent", type="mouseWheel", **at)

    async def touch(self, kind: str, name: str = "", dx: float = 0.0, dy: float = 0.0) -> None:
        """Send a touch ("touchStart", "touchMove", "touchEnd") at the middle of an element and some aside."""
        points: list[dict[str, float]] = []
        if name:
            script = f"(b => [b.x + b.width / 2, b.y + b.height / 2])(at('{name}').getBoundingClientRect())"
            x, y = await self.value(script)
            points = [{"x": x + dx, "y": y + dy}]
        await self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    async def screenshot(self, file: Path) -> None:
        """Write what it shows into a PNG."""
        found = await self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(found["data"]))


@contextlib.asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Tab]:
    """Yield the one tab of a browser with a fresh profile."""
    assert CHROMIUM is not None
    # A drive beside it needs the processors more.
    command = [
        "nice",
        "-n",
        "10",
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
    ]
    command += [f"--user-data-dir={profile}", "--no-first-run", "about:blank"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = profile / "DevToolsActivePort"
        end_s = asyncio.get_running_loop().time() + PATIENCE_S
        while not (port_file.exists() and port_file.read_text().strip()):
            assert child.poll() is None and asyncio.get_running_loop().time() < end_s
            await asyncio.sleep(0.05)
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                url = next(each for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(url["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        child.terminate()
        child.wait(20)
