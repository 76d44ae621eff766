"""A measured stop time goes into the file, and all else stays as its owner wrote it."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.robots.robot_file import parse_robot_file, read_robot_file
from edge.robots.write import with_stop_time, write_stop_time

TEXT = "# mine\ncameras: {front: {address: file://x}} # one\n\nmotors: null:// # none\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (TEXT, f"{TEXT}stop_time_s: 0.42\n"),
        (TEXT.rstrip("\n"), f"{TEXT}stop_time_s: 0.42\n"),
        (f"stop_time_s: 9 # old\n{TEXT}", f"stop_time_s: 0.42 # old\n{TEXT}"),
        (f"stop_time_s: never\n{TEXT}", f"stop_time_s: 0.42\n{TEXT}"),
        (f"stop_time_s: # measure\n{TEXT}", None),
        (TEXT.replace("\n", "\r\n"), TEXT.replace("\n", "\r\n") + "stop_time_s: 0.42\r\n"),
    ],
)
def test_comments_and_line_ends_are_kept(before: str, after: str | None, tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_bytes(before.encode())
    write_stop_time(path, 0.4101)
    assert after is None or path.read_bytes().decode() == after
    assert read_robot_file(path).sections.stop_time_s == 0.42
    assert "# mine" in path.read_text()


def test_a_base_that_never_stopped_is_written_as_never(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text(TEXT)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    write_stop_time(link, math.inf)
    assert link.is_symlink() and read_robot_file(path).sections.stop_time_s == "never"


def test_a_file_without_room_for_a_line_is_left_alone(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text("{cameras: {front: {address: 'file://x'}}, motors: 'null://'}\n")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="can't be added"):
        write_stop_time(path, 0.4)
    assert path.read_bytes() == before


@given(
    st.lists(
        st.sampled_from(["# c\n", "\n", "notes: |\n  stop_time_s: 3\n", "name: x\n", "stop_time_s: 2 # s\n"]),
        max_size=4,
        unique=True,
    )
)
def test_only_the_value_changes_whatever_stands_around_it(parts: list[str]):
    before = "".join(parts) + TEXT
    after = with_stop_time(before, "0.25", Path("r.yaml"))
    old, new = (parse_robot_file(text, Path("r.yaml")).sections for text in (before, after))
    assert new == old.model_copy(update={"stop_time_s": 0.25})
    assert after.count("#") == before.count("#")
