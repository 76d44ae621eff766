import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import cli
from edge.report.material import read_run
from edge.report.page import page, run_document
from edge.report.run_log import read_log
from edge.runs.tap.plain import to_plain
from tests.browser import CHROMIUM, browser
from tests.edge.report.shown_run import BAD, CUP, START_NS, log_line, record, run_folder

MOST_BYTES = 1_000_000


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    folder = run_folder(tmp_path / "runs")
    return record(tmp_path / "runs" / f"{folder.name}.mcap", folder)


def document(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    return run_document(read_run(path), most_bytes)


def line(found: dict[str, Any], title: str, name: str) -> tuple[list[float], list[float]]:
    (plot,) = (each for each in found["plots"] if each["title"] == title)
    (one,) = (each for each in plot["lines"] if each["name"] == name)
    return one["x"], one["y"]


def test_speeds_wanted_sent_and_moved_stand_beside_each_other(recorded: Path):
    found = document(recorded)
    for name, value in (("wanted", 0.3), ("sent", 0.28), ("moved", 0.29)):
        x, y = line(found, "speed ahead", name)
        assert len(x) == 90 and set(y) == {value} and x[0] == pytest.approx(0.0, abs=0.03)


def test_ages_count_from_the_capture(recorded: Path):
    found = document(recorded)
    assert set(line(found, "ages", "frame that is driven on")[1]) == {20.0}
    # An answer is 40 ms old when it comes, and the next comes 100 ms later; a tick is 10 ms behind its frame.
    newest = line(found, "ages", "frame of the newest answer")[1]
    assert min(newest) == pytest.approx(50, abs=0.1) and max(newest) == pytest.approx(116.7, abs=0.1)
    assert line(found, "model, by stage", "all")[1] == [20.0] * 30
    assert line(found, "temperature", "cpu") == ([-1.0], [50.0])
    assert line(found, "chunks refused so far", "early")[1][-1] == 2


def test_what_happened_is_told_in_words(recorded: Path):
    found = document(recorded)
    words = " ".join(found["words"])
    for each in ("the cup bites", "wear gloves", "search 1.0 s, approach", "after 2.0 s: bumper", "2 early"):
        assert each in words
    events = {each["what"]: each for each in found["events"]}
    stopped = events["the base stopped: it touched = x"]
    assert (stopped["t"], stopped["stop"], stopped["loud"]) == (2.0, True, True)
    assert events["limited: jerk"]["t"] == pytest.approx(40 / 30 + 0.02, abs=0.001)
    assert events["contact 1: "]["stop"]
    assert events["the model sees it first: cup 0.97"]["t"] == pytest.approx(1.1, abs=0.001)
    assert found["missing"] == []


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_picture_shows_what_was_seen_and_sent_then(tmp_path: Path, jpeg: bool):
    found = document(record(tmp_path / "a.mcap", tmp_path, jpeg=jpeg))
    frames = found["frames"]
    assert 25 <= len(frames) <= 31  # ten a second of thirty
    last = frames[-1]
    assert last["box"] == [0.2, 0.4, 0.6, 0.6, "cup 0.97"] and last["said"] == "cup 0.97"
    assert frames[0]["box"] is None and last["sent"] == [0.28, 0.0, 0.1]
    image = cv2.imdecode(np.frombuffer(base64.b64decode(last["jpeg"]), np.uint8), cv2.IMREAD_COLOR)
    number = round(last["t"] * 30)
    assert image.shape == (48, 64, 3) and image.mean() == pytest.approx(number + 3.5, abs=3)
    assert "The run's folder" in found["missing"][0]


def test_pictures_keep_to_their_budget(recorded: Path):
    few = document(recorded, 20_000)["frames"]
    assert (
        0
        < sum(len(each["jpeg"]) for each in few)
        <= 20_000
        < sum(len(each["jpeg"]) for each in document(recorded)["frames"])
    )
    assert few[-1]["t"] > 2


def test_a_run_that_was_not_recorded_shows_what_it_left(tmp_path: Path):
    folder = run_folder(tmp_path / "runs")
    setpoints = [{"stamp_ns": START_NS + i * 20_000_000, "linear_x": 0.2, "angular_z": 0.0} for i in range(9)]
    (folder / "firmware.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in setpoints) + '{"torn')
    found = document(folder)
    assert line(found, "speed ahead", "at the firmware") == ([i / 50 for i in range(9)], [0.2] * 9)
    assert line(found, "speed ahead", "wanted")[1] == [0.3] * 30
    assert "--record" in found["missing"][0] and not found["frames"] and not found["path"]
    assert found["spans"] == [{"name": "policy", "spans": [[0.1, 1.0, "search"], [1.0, 1.0, "approach"]]}]


def test_a_killed_run_says_that_it_has_no_end(tmp_path: Path):
    folder = run_folder(tmp_path / "runs")
    (folder / "summary.json").unlink()
    whole = record(tmp_path / "whole.mcap", folder)
    torn = folder / "last30s.mcap"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = document(folder)
    assert found["headline"] == "it has no end" and found["row"][3] == "no end"
    assert any("cut off" in each for each in found["missing"])
    assert any("crashed, or was killed" in each for each in found["missing"])


def test_nothing_that_a_model_says_becomes_part_of_the_page(recorded: Path):
    text = page([read_run(recorded)])
    assert text.count("</script>") == 2 and "<img src=x" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None and BAD.strip() not in data[1]
    (found,) = json.loads(data[1])
    assert found["frames"][0]["said"] == BAD.strip()
    assert not re.search(r"""(src|href)=["']?(http|//)|@import|fetch\(|XMLHttp""", text)


def test_what_is_not_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.mcap").write_bytes(b"not one")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.json").write_text("{")
    for name, says in (
        ("empty", "not a run's folder"),
        ("none", "not a run's folder"),
        ("a.mcap", "not a recording"),
        ("broken", "can't be read"),
    ):
        assert cli.main(["report", str(tmp_path / name), "--out", str(tmp_path / "r.html")]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_a_folder_of_runs_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for i in range(3):
        run_folder(tmp_path / "runs", f"2026-01-0{i + 1}T00-00-00", seconds=float(i))
    assert cli.main(["report", str(tmp_path / "runs"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(tmp_path / "runs" / "report.html") and len(told["runs"]) == 3
    assert Path(told["page"]).stat().st_size == told["bytes"]


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=40)
def test_a_line_of_the_log_is_read_as_it_was_written(tmp_path_factory: Any, event: str, value: str):
    path = tmp_path_factory.mktemp("log") / "run.log"
    path.write_text(log_line(1.5, f"e{event}", reason=value), encoding="utf-8", errors="surrogatepass")
    (found,) = read_log(path)
    assert (found.event, found.values, found.stamp_ns) == (
        f"e{event}",
        {"reason": value},
        START_NS + 15 * 10**8,
    )


@given(st.binary(max_size=400))
@settings(max_examples=30)
def test_any_bytes_are_read_as_a_log(tmp_path_factory: Any, content: bytes):
    path = tmp_path_factory.mktemp("log") / "run.log"
    path.write_bytes(content + log_line(1, "armed").encode()[: len(content)])
    read_log(path)


SHOWN = "document.querySelector('.told').textContent"
PLOTS = "[...document.querySelectorAll('canvas.plot')]"
DRAWN = (
    f"{PLOTS}.every(p => p.getContext('2d').getImageData(0, 0, p.width, p.height).data.some(value => value))"
)


def shown_s(told: str) -> float:
    """Return how long the shown part is."""
    ((begin, end),) = re.findall(r"shown ([-.\d]+) to ([-.\d]+)", told)
    return float(end) - float(begin)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_a_browser_draws_zooms_and_sorts_without_a_network(tmp_path: Path):
    runs = []
    for i, seconds in enumerate((2.0, 3.0, 1.0)):
        folder = run_folder(tmp_path / "runs", f"2026-01-0{i + 1}T00-00-00", seconds=seconds)
        runs.append(read_run(record(tmp_path / "runs" / f"{folder.name}.mcap", folder)))
    path = tmp_path / "page.html"
    path.write_text(page(runs), encoding="utf-8")

    async def look() -> None:
        async with browser(tmp_path / "browser") as tab:
            await tab.open(path.as_uri(), 1200, 900)
            whole = await tab.until(SHOWN)
            await tab.until(DRAWN)
            for _ in range(4):
                before = json.dumps(await tab.value(SHOWN))
                await tab.wheel(f"{PLOTS}[1]")
                zoomed = await tab.until(f"{SHOWN} !== {before} && {SHOWN}")
            assert shown_s(zoomed) == pytest.approx(shown_s(whole) / 1.25**4, abs=0.15)
            assert await tab.value(DRAWN)
            assert await tab.value("performance.getEntriesByType('resource').map(each => each.name)") == []
            await tab.value("document.querySelectorAll('#runs th')[6].click()")
            cells = "[...document.querySelectorAll('#runs td:nth-child(7)')].map(each => each.textContent)"
            assert await tab.value(cells) == ["1", "2", "3"]
            text = await tab.value("document.body.innerHTML")
            assert "cup bites" in text and to_plain(CUP)["label"] in text

    asyncio.run(look())
