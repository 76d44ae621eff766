"""Robot files: what they may say, and how a wrong one is refused."""

import math
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import BaseSpec, DriveKind
from edge.errors import UsageError
from edge.records import CameraMount
from edge.robots.robot_file import find_robot_file, parse_robot_file, read_robot_file, robot_file_names

ROBOTS = Path(__file__).parents[3] / "robots"
GOOD = """\
name: 로봇
cameras:
  front:
    address: csi://0?flip=180
    mount: {vertical_fov_deg: 55, height_m: 0.35, pitch_deg: 10, forward_m: 0.1}
  왼쪽:
    address: v4l2:///dev/video2
motors: waveshare:///dev/ttyUSB0
base:
  drive: differential
  radius_m: 0.25
  linear_m_s: 0.3
  angular_rad_s: 1
  linear_accel_m_s2: 0.5
stop_time_s: 0.4
notes: |
  게시판
"""


def parse(text: str):
    return parse_robot_file(text, Path("r.yaml"))


def test_a_file_states_cameras_mount_motors_base_and_stop_time():
    """No driver of its addresses is needed to read it."""
    file = parse(GOOD)
    assert file.camera_uris == {"front": "csi://0?flip=180", "왼쪽": "v4l2:///dev/video2"}
    assert file.sees_with == "front"
    assert file.mount == CameraMount(math.radians(55), 0.35, math.radians(10), 0.1)
    base = BaseSpec(0.25, 0.3, 1, linear_accel_m_s2=0.5, drive=DriveKind.DIFFERENTIAL)
    assert file.base == base and file.sections.motors == "waveshare:///dev/ttyUSB0"
    assert file.sections.stop_time_s == 0.4 and file.sections.name == "로봇"


@pytest.mark.parametrize("name", ["sim", "orin-omni", "waveshare-ugv", "ardurover", "arduino"])
def test_shipped_files_are_found_by_name_and_right(name: str):
    path = find_robot_file(name)
    assert path is not None and name in robot_file_names()
    file = read_robot_file(ROBOTS / f"{name}.yaml")
    assert file.sections.name
    # A mount that nobody measured is not stated, so that no robot drives by it.
    assert name == "sim" or file.mount is None


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        (
            "height_m",
            "heigth_m",
            "r.yaml, line 5: unknown key cameras.front.mount.heigth_m",
            "mean height_m?",
        ),
        (
            "0.35",
            "on",
            "line 5: cameras.front.mount.height_m: 'on' is not a number from 0.02 to 3 (metres",
            "5",
        ),
        ("0.35", "true", "height_m: True is not a number", "line 5"),
        ("0.35", "35", "height_m: 35 is not a number from 0.02 to 3", "line 5"),
        ("0.35", ".nan", "'.nan' is not a number", "line 5"),
        ("55", "0x37", "vertical_fov_deg: '0x37' is not a number from 10 to 170 (degrees)", "line 5"),
        (" forward_m: 0.1", "", "line 5: cameras.front.mount.forward_m is missing", "docs/robot-files.md"),
        ("motors:", "motor:", "line 8: unknown key motor", "mean motors?"),
        ("motors: waveshare:///dev/ttyUSB0\n", "", "motors is missing", "robot new"),
        ("waveshare:///dev/ttyUSB0", "/dev/ttyUSB0", "line 8: motors: '/dev/ttyUSB0' is not an address", "8"),
        ("csi://0?flip=180", "a://b c", "'a://b c' is not an address", "line 4"),
        ("differential", "tracked", "line 10: base.drive: 'tracked' is none of holonomic", "docs/bases.md"),
        (
            "radius_m: 0.25",
            "radius_m: 25",
            "line 11: base.radius_m: 25 is not a number from 0.03 to 2",
            "docs",
        ),
        (
            "radius_m: 0.25",
            "radius_m: 0,25",
            "line 11: base: radius_m '0,25' is not a number",
            "docs/bases.md",
        ),
        ("  radius_m: 0.25\n", "", "line 9: base.radius_m is missing", "motors that move something"),
        ("0.3\n", "0.6\n", "line 12: motor limit linear_m_s: 0.6 is above its safety ceiling 0.5", "never"),
        (
            "linear_accel_m_s2",
            "linear_acel_m_s2",
            "line 14: unknown key base.linear_acel_m_s2",
            "accel_m_s2?",
        ),
        ("0.4\n", "-1\n", "line 15: stop_time_s: -1 is not a time from 0 to 10 (seconds), or never", "15"),
        ("front:", "hand:", "line 2: none of several cameras is named 'front'", "name it so"),
        ("front:", "1st:", "line 2: cameras: '1st' is not a camera's name", "line 2"),
        ("name: 로봇", "name: 3", "line 1: name: 3 is not text", "line 1"),
        ("name: 로봇", "opens: sim", "line 2: cameras does not go with `opens`", "brings its own"),
        ("differential", "ackermann", "wheel_base_m", "wheel_base_m"),
    ],
)
def test_what_is_wrong_is_refused_with_line_key_value_and_range(old: str, new: str, said: str, hint: str):
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert said in caught.value.message and hint in caught.value.hint, caught.value.message


def test_files_that_cannot_be_read_are_refused(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes("name: größe".encode("latin-1"))
    for path, said in (
        (tmp_path, "is a folder"),
        (tmp_path / "nothing.yaml", "No such file"),
        (tmp_path / "latin.yaml", "byte 8 is not UTF-8"),
    ):
        with pytest.raises(UsageError, match=said):
            read_robot_file(path)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "radius_m": st.floats(0.03, 2),
            "linear_m_s": st.floats(0.01, 0.5),
            "angular_rad_s": st.floats(0.01, 1),
            "linear_jerk_m_s3": st.floats(0.1, 20),
            "drive": st.sampled_from(["holonomic", "differential"]),
        },
    )
)
def test_every_field_of_a_base_is_read_as_written(stated: dict[str, object]):
    lines = [
        f"  {key}: {value:.17f}" if isinstance(value, float) else f"  {key}: {value}"
        for key, value in stated.items()
    ]
    text = "cameras: {front: {address: file://x}}\nmotors: null://\nbase:\n" + "\n".join(lines) + "\n"
    base = parse(text).base
    for field in fields(BaseSpec):
        value = getattr(base, field.name)
        wanted = stated.get(field.name, field.default)
        if isinstance(wanted, float):
            assert value == pytest.approx(wanted, abs=1e-15)
        else:
            assert value == (DriveKind(wanted) if isinstance(wanted, str) else wanted)


CHUNKS = [
    *GOOD.splitlines(keepends=True),
    "base: 3\n",
    "  x: [1]\n",
    "    mount:\n",
    "opens: sim\n",
    ": \n",
    "{",
    "}",
    "- a\n",
]


@given(st.lists(st.sampled_from(CHUNKS), max_size=20).map("".join))
def test_no_mixture_of_lines_raises_anything_but_a_usage_error(text: str):
    try:
        parse(text)
    except UsageError as error:
        assert error.message.startswith("r.yaml") and error.hint


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "cameras",
                    "front",
                    "address",
                    "mount",
                    "height_m",
                    "motors",
                    "base",
                    "drive",
                    "notes",
                    "stop_time_s",
                    "radius_m",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "opens", "cameras", "motors", "base", "stop_time_s", "notes"]), TREES
    )
)
def test_no_value_of_any_kind_raises_anything_but_a_usage_error(tree: dict[str, object]):
    import json

    try:
        parse(json.dumps(tree).replace("NaN", ".nan").replace("Infinity", ".inf"))
    except UsageError as error:
        assert error.message.startswith("r.yaml") and error.hint
