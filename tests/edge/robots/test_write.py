"""A measured stop time goes into the file, and all else stays as its owner wrote it."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import BROWN, Lens
from edge.robots.robot_file import parse_robot_file, read_robot_file
from edge.robots.write import with_stop_time, write_lens, write_size, write_stop_time

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


LENS = Lens(BROWN, (640, 480), (500.25, 501.5), (322.125, 238.0), (-0.2, 0.05, 0.001, -1e-05, 0.0), 0.21)
SIZE = ApparentSize("height", 0.2375, 0.045, 0.415, 1.89, "default")
MOUNTED = """cameras: # two
  front:
    address: file://x
    mount:
      vertical_fov_deg: 60 # by ruler
      height_m: 0.3
      forward_m: 0.1
  rear: {address: file://y}
motors: null://
"""


@pytest.mark.parametrize(
    "before",
    [
        TEXT,
        TEXT.rstrip("\n"),
        TEXT.replace("\n", "\r\n"),
        "lenses:\n  front: {model: fisheye, size_px: [64, 48], focal_px: [60, 60], centre_px: [32, 24], "
        f"distortion: [0, 0, 0, 0]}}\n{TEXT}",
        'opens: "sim?noise=8"\nlenses: # by camera\n  left: {model: brown, size_px: [64, 48], '
        "focal_px: [60, 60], centre_px: [32, 24], distortion: [0, 0, 0, 0, 0]} # old\nnotes: mine\n",
        'sizes: {"big ball": {side: width, fills_at_m: 1, spread: 0, nearest_m: 1, farthest_m: 2}}\n' + TEXT,
    ],
)  # fmt: skip
def test_a_lens_and_a_size_go_into_any_layout(before: str, tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_bytes(before.encode())
    old = read_robot_file(path)
    write_lens(path, "front", LENS)
    write_size(path, "red cup", SIZE)
    write_size(path, "빨간 컵", SIZE)
    file = read_robot_file(path)
    assert file.lenses == old.lenses | {"front": LENS}
    assert file.sizes == old.sizes | {"red cup": SIZE, "빨간 컵": SIZE}
    assert file.sections.model_copy(update={"lenses": {}, "sizes": {}}) == old.sections.model_copy(
        update={"lenses": {}, "sizes": {}}
    )
    assert path.read_text().count("#") == before.count("#")


def test_a_lens_brings_its_field_of_view_into_the_mount(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_text(MOUNTED)
    write_lens(path, "front", LENS)
    file = read_robot_file(path)
    degrees = math.degrees(LENS.vertical_fov_rad)
    assert f"vertical_fov_deg: {degrees:.2f} # by ruler" in path.read_text()
    assert file.mount is not None and file.mount.vertical_fov_rad == LENS.vertical_fov_rad
    path.write_text(path.read_text().replace(f"{degrees:.2f}", "60"))
    with pytest.raises(UsageError, match=r"line 5: cameras\.front\.mount\.vertical_fov_deg: 60 is") as error:
        read_robot_file(path)
    assert f"{degrees:.2f}" in error.value.hint


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("lenses: {rear: LENS}", "no camera 'rear'"),
        ("lenses: {front: {model: brown}}", "lenses.front.size_px is missing"),
        ("lenses: {front: {modle: brown}}", "did you mean model"),
        ("lenses: {front: FOUR}", "distortion has 4 numbers"),
        ("lenses: {front: OFF}", "shows nothing"),
        ("sizes: {cup: {side: depth}}", "sizes.cup.side"),
        ("sizes: {}", "1 to 100 targets"),
    ],
)
def test_a_measured_section_that_can_not_be_meant_is_refused(line: str, why: str, tmp_path: Path):
    lens = "{model: brown, size_px: [64, 48], focal_px: [60, 60], centre_px: [32, 24], "
    lens += "distortion: [0, 0, 0, 0, 0]}"
    line = line.replace("LENS", lens).replace("FOUR", lens.replace("0, 0]", "0]"))
    line = line.replace("OFF", lens.replace("[32, 24]", "[9000, 24]"))
    with pytest.raises(UsageError) as caught:
        parse_robot_file(f"{TEXT}{line}\n", tmp_path / "r.yaml")
    assert why in f"{caught.value.message} {caught.value.hint}"
