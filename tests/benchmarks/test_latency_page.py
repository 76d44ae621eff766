"""The page of a measurement: whole, by itself, and shown by a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from benchmarks.latency.compare import compare_sides
from benchmarks.latency.page import page
from edge.commands.output import print_json
from tests.benchmarks.latency_blocks import block, document

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Nesting(HTMLParser):
    """Checks that every tag is closed in its order, and collects the words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def long_document() -> dict:
    result = document([block(1, answers=600, seconds=60.0)])
    other = document([block(seed, {"vision": 1.3}) for seed in range(2, 10)])["bundles"]["default"]
    result["bundles"]["<b>head</b>"] = other
    result["differences"] = {"<b>head</b>": compare_sides(result["bundles"]["default"], other)}
    return result


def test_a_page_is_whole_loads_nothing_and_shows_every_stage() -> None:
    document_ = long_document()
    print_json(document_)  # it is JSON
    html = page(document_)
    parser = Nesting()
    parser.feed(html)
    assert parser.open == []
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script", html)
    assert "<b>head" not in html  # a name is text
    for word in (
        "vision",
        "next_frame (wait)",
        "exposure to write",
        "temperature, °C",
        "slower",
        "no difference",
    ):
        assert word in parser.words
    assert html.count("<svg") >= 5 and "nan" not in html


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    file, shot = tmp_path / "page.html", tmp_path / "page.png"
    file.write_text(page(long_document()), encoding="utf-8")
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command = [*browser, "--window-size=1000,1200", f"--screenshot={shot}", f"file://{file}"]
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    image = cv2.imread(str(shot))
    assert image.shape[:2] == (1200, 1000)
    red_ish = (image[..., 2] > 150) & (image[..., 1] < 90)  # a stage of the bars
    assert red_ish.sum() > 2000
    asked = subprocess.run(
        [*browser, "--dump-dom", f"file://{file}"], check=True, capture_output=True, timeout=90
    )
    assert b"exposure to write" in asked.stdout
