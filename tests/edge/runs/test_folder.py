"""Run folders: made once, written whole, refused with a hint; and the pictures in them."""

import json
import os
import re
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.errors import UsageError
from edge.records import ZERO, Box, Detection, Odometry
from edge.runs import drawing
from edge.runs import folder as folder_module
from edge.runs.drawing import AnsweredFrame, draw_path, draw_strip, latin, spread
from edge.runs.folder import RunFolder, check_runs_dir
from edge.runs.labels import label_spot
from edge.runs.room import RoomMap, RoomObject

GREEN = (22, 150, 84)


def straight_path(length_m: float = 2.0) -> list[Odometry]:
    return [Odometry(i * 100_000_000, length_m * i / 20, 0.0, 0.0, ZERO) for i in range(21)]


def shot(seconds: float = 0.0, detections=()) -> AnsweredFrame:
    return AnsweredFrame(np.zeros((240, 320, 3), np.uint8), seconds, "detect cup", "none", detections)


def has_color(image, color) -> bool:
    return bool((np.abs(image.astype(int) - color).max(axis=2) <= 2).any())


def test_folder_is_named_by_time_and_never_shared(tmp_path):
    folders = [RunFolder.create(tmp_path / "a" / "b") for _ in range(3)]
    assert len({folder.path for folder in folders}) == 3
    for folder in folders:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d+)?", folder.path.name)


def test_row_40_folders_sort_as_the_runs_came_whatever_the_clock_says(tmp_path, monkeypatch):
    """Row 40: a board without a battery-backed clock starts in 1970 each time, until the network sets it."""
    seconds = [100, 50, 1_790_000_000, 100, 100, 90, 1_790_000_000, 1_790_000_050, 1_790_000_050]
    names = []
    for second in seconds:
        clock = SimpleNamespace(now=lambda second=second: datetime.fromtimestamp(second, timezone.utc))
        monkeypatch.setattr(folder_module, "datetime", clock)
        names.append(RunFolder.create(tmp_path).path.name)
    assert names == sorted(names) and len(set(names)) == len(seconds)
    assert names[2].startswith("2026-") and re.fullmatch(r"2026-.*~0001", names[3])
    assert "~" not in names[7]


@pytest.mark.parametrize("place", ["file/runs", "file"])
def test_a_runs_folder_that_can_not_be_made_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="not writable") as caught:
        RunFolder.create(tmp_path / place)
    assert caught.value.exit_code == 2 and "--runs-dir" in caught.value.hint


def test_a_read_only_runs_folder_is_refused():
    with pytest.raises(UsageError, match="not writable"):
        RunFolder.create(Path("/proc/runs"))


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=f"not writable: no permission to write into {tmp_path}$"):
        check_runs_dir(tmp_path / "runs")


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=2**30, free=2**20))
    with pytest.raises(UsageError, match="1 MiB free, a run needs 16"):
        RunFolder.create(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_check_before_a_run_makes_nothing(tmp_path):
    check_runs_dir(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file"):
        check_runs_dir(tmp_path / "file" / "runs")


def test_summary_and_pids_are_readable_json(tmp_path):
    folder = RunFolder.create(tmp_path)
    folder.write_pids({"runtime": 1, "motor": 2})
    folder.write_summary({"outcome": "timeout", "target": "빨간 컵"})
    folder.write_summary({"outcome": "reached", "target": "빨간 컵"})
    assert json.loads((folder.path / "pids.json").read_text()) == {"runtime": 1, "motor": 2}
    assert json.loads((folder.path / "summary.json").read_text())["outcome"] == "reached"
    assert sorted(each.name for each in folder.path.iterdir()) == ["pids.json", "summary.json"]


def test_a_summary_with_nan_is_refused_and_the_old_one_stays(tmp_path):
    folder = RunFolder.create(tmp_path)
    folder.write_summary({"seconds": 1.0})
    with pytest.raises(ValueError):
        folder.write_summary({"seconds": float("nan")})
    assert json.loads((folder.path / "summary.json").read_text()) == {"seconds": 1.0}


def test_a_folder_that_vanished_is_an_error_with_a_hint(tmp_path):
    folder = RunFolder.create(tmp_path)
    shutil.rmtree(folder.path)
    with pytest.raises(UsageError, match="can't write"):
        folder.write_summary({})


def test_pictures_are_written_and_readable(tmp_path):
    folder = RunFolder.create(tmp_path)
    plan = cv2.imread(str(folder.path_png(straight_path(), None, "find_object: cup")))
    strip = cv2.imread(str(folder.strip_png([shot(i) for i in range(20)])))
    assert plan is not None and min(plan.shape[:2]) > 400
    assert strip is not None and strip.shape[1] > 4 * 320


def test_plan_shows_room_target_and_way():
    places = (
        RoomObject("red cup", 1, 1, 0.1, (200, 0, 0), is_target=True),
        RoomObject("box", -1, -1, 0.3, (0, 0, 200)),
    )
    room = RoomMap(-3, -2, 3, 2, places, start_x_m=-1.0)
    image = draw_path(straight_path(), room, "find_object: red cup")
    assert all(has_color(image, color) for color in ((200, 0, 0), (0, 0, 200), GREEN))


def test_labels_of_things_that_touch_lie_apart(monkeypatch):
    spots = []

    def spot(*arguments):
        spots.append(label_spot(*arguments))
        return spots[-1]

    monkeypatch.setattr(drawing, "label_spot", spot)
    things = [RoomObject(f"yellow ball {i}", 0.1 * i, 0, 0.1, (200, 200, 0)) for i in range(4)]
    image = draw_path(straight_path(), RoomMap(-3, -2, 3, 2, tuple(things), start_x_m=-1.0), "")
    assert len(spots) == 5, "four balls and the start"
    assert all(one.shared(other) == 0 for one, other in combinations(spots, 2))
    for each in spots:
        written = image[each.y0 // 2 : each.y1 // 2, each.x0 // 2 : each.x1 // 2]
        assert written.min() < 140, "the words are there"


def test_plan_places_the_path_in_the_room():
    """Half a turn at the start mirrors the way: it runs to the left instead of to the right."""
    room = {"x0_m": -3, "y0_m": -3, "x1_m": 3, "y1_m": 3}
    plain = draw_path([], RoomMap(**room), "")
    ahead = draw_path(straight_path(), RoomMap(**room), "")
    behind = draw_path(straight_path(), RoomMap(**room, start_yaw_rad=np.pi), "")
    middle = plain.shape[1] // 2

    def changed(image, columns):
        return int((image[100:600, columns] != plain[100:600, columns]).any(axis=2).sum())

    assert changed(ahead, slice(middle + 60, None)) > 200
    assert changed(behind, slice(None, middle - 60)) > 200
    assert changed(ahead, slice(None, middle - 60)) == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_paths_are_drawn_too(count):
    assert draw_path(straight_path()[:count], None, "").size
    assert draw_path([Odometry(0, 0, 0, 0, ZERO)] * count, None, "").size


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_strip_breaks_into_rows_of_four(count, rows):
    strip = draw_strip([shot(i) for i in range(count)])
    assert count == 0 or strip.shape[0] // 300 == rows


def test_strip_draws_boxes_where_the_model_put_them():
    empty, seen = (
        draw_strip([shot()]),
        draw_strip([shot(detections=(Detection(Box(0.5, 0.5, 1, 1), "cup", 1.0),))]),
    )
    changed = (empty != seen).any(axis=2)[:248]
    ys, xs = np.nonzero(changed)
    assert has_color(seen, GREEN)
    assert ys.min() >= 120 and xs.min() >= 160


def test_a_picture_is_called_by_its_file():
    named = replace(shot(), source="kitchen.png")
    assert (draw_strip([named]) != draw_strip([shot()]))[248:].any()
    long = replace(shot(), source="a-very-long-name-of-a-picture-" * 9 + ".png")
    assert draw_strip([long]).shape == draw_strip([shot()]).shape


def test_spread_keeps_first_and_last():
    kept = [each.seconds for each in spread([shot(i) for i in range(100)], 8)]
    assert len(kept) == 8 and kept[0] == 0 and kept[-1] == 99
    assert len(spread([shot()], 8)) == 1


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("빨간 컵", "ppalgan keop"),
        ("의자", "uija"),
        ("공", "gong"),
        ("café", "cafe"),
        ("杯", "\\u676f"),
        ("a\nb", "a b"),
        ("<loc0001> cup", "<loc0001> cup"),
    ],
)
def test_captions_never_lose_a_character_silently(text, drawn):
    assert latin(text) == drawn
