import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.actions import (
    CALVIN_RELATIVE,
    GimbalLock,
    tcp_to_world,
    to_absolute,
    to_relative,
    world_to_tcp,
)

QUARTER = math.pi / 2
metres = st.floats(-2, 2)
angles = st.floats(-math.pi, math.pi)
orientations = st.tuples(angles, angles, angles)
# Turns that add up to less than a quarter, so that roll and yaw change by less in both frames.
deltas = st.tuples(metres, metres, metres, *[st.floats(-0.5, 0.5)] * 3, st.floats(-1, 1))


@pytest.mark.parametrize(
    ("rpy_rad", "delta", "expected"),
    [
        # The tool's axes are the world's.
        ((0, 0, 0), (1, 2, 3, 0.1, 0, 0), (1, 2, 3, 0.1, 0, 0)),
        # Turned to the left: its x is the world's y, its y the world's -x.
        ((0, 0, QUARTER), (1, 2, 3, 0, 0, 0.1), (2, -1, 3, 0, 0, 0.1)),
        # Upside down, as a gripper above a table: y and z are turned over, and with them a turn about z.
        ((math.pi, 0, 0), (1, 2, 3, 0, 0, 0.1), (1, -2, -3, 0, 0, -0.1)),
        # Rolled, then turned about the world's z: its x is the world's y, its y the world's z, its z the
        # world's x. (Rx Ry Rz would give x the world's z.) A turn about the world's z is one about its y.
        ((QUARTER, 0, QUARTER), (1, 2, 3, 0, 0, 0.1), (2, 3, 1, 0, 0.1, 0)),
        # Nose down by a 3-4-5 triangle, to the left: its x is (0, 0.8, -0.6), its y (-1, 0, 0), its z
        # (0, 0.6, 0.8). 1.6 - 1.8, -1, 1.2 + 2.4. More pitch is a turn about its y.
        ((0, math.asin(0.6), QUARTER), (1, 2, 3, 0, 0.1, 0), (-0.2, -1, 3.6, 0, 0.1, 0)),
        # More roll is a turn about its own x, wherever it points.
        ((QUARTER, 0, QUARTER), (0, 0, 0, 0.1, 0, 0), (0, 0, 0, 0.1, 0, 0)),
    ],
)
def test_a_tool_sees_a_change_by_hand(
    rpy_rad: tuple[float, ...], delta: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    assert world_to_tcp([*delta, 1.0], rpy_rad) == pytest.approx([*expected, 1.0], abs=1e-12)
    assert tcp_to_world([*expected, 1.0], rpy_rad) == pytest.approx([*delta, 1.0], abs=1e-12)
    assert world_to_tcp(delta, rpy_rad) == pytest.approx(expected, abs=1e-12)


@given(deltas, orientations)
def test_tcp_to_world_undoes_world_to_tcp(delta: tuple[float, ...], rpy_rad: tuple[float, ...]) -> None:
    assume(abs(math.cos(rpy_rad[1] + delta[4])) > 1e-5)
    assert tcp_to_world(world_to_tcp(delta, rpy_rad), rpy_rad) == pytest.approx(delta, abs=1e-6)


@given(deltas, orientations)
def test_world_to_tcp_undoes_tcp_to_world(delta: tuple[float, ...], rpy_rad: tuple[float, ...]) -> None:
    try:
        world = tcp_to_world(delta, rpy_rad)
    except GimbalLock:
        assume(False)
    assert world_to_tcp(world, rpy_rad) == pytest.approx(delta, abs=1e-6)


@given(deltas, orientations)
def test_a_move_is_as_long_in_every_frame(delta: tuple[float, ...], rpy_rad: tuple[float, ...]) -> None:
    move = world_to_tcp((*delta[:3], 0, 0, 0), rpy_rad)
    assert np.linalg.norm(move[:3]) == pytest.approx(np.linalg.norm(delta[:3]))


def test_a_roll_across_pi_stays_a_small_change() -> None:
    start = (3.1, 0.0, 0.0)
    delta = (0, 0, 0, 0.1, 0.0, 0.0)  # to 3.2, which reads -3.083
    assert tcp_to_world(world_to_tcp(delta, start), start) == pytest.approx(delta)


def test_chunks_are_turned_row_by_row() -> None:
    rng = np.random.default_rng(0)
    chunk, starts = rng.uniform(-0.3, 0.3, (2, 5, 7)), rng.uniform(-1, 1, (2, 5, 3))
    whole = world_to_tcp(chunk, starts)
    assert whole.shape == (2, 5, 7)
    assert whole[1, 3] == pytest.approx(world_to_tcp(chunk[1, 3], starts[1, 3]))
    # One orientation for all rows.
    assert world_to_tcp(chunk, starts[1, 3])[1, 3] == pytest.approx(whole[1, 3])


def test_a_pitch_straight_down_is_an_error() -> None:
    with pytest.raises(GimbalLock, match="pitch"):
        tcp_to_world([0, 0, 0, 0, 0.5, 0], (0.0, QUARTER - 0.5, 0.0))


def test_relative_actions_by_hand() -> None:
    pose = [0.3, -0.1, 0.5, 3.1, 0.0, 1.0]
    target = [0.31, -0.104, 0.5, -3.1, 0.0, 0.99, -1.0]
    # Roll from 3.1 to -3.1 is 2 pi - 6.2 onwards, not 6.2 back.
    delta = [0.01, -0.004, 0.0, 0.083185307, 0.0, -0.01, -1.0]
    assert to_relative(target, pose) == pytest.approx(delta, abs=1e-9)
    assert to_absolute(delta, pose) == pytest.approx(target, abs=1e-9)
    # As CALVIN writes it: x 50, x 20, clipped to 1.
    assert CALVIN_RELATIVE.encode(to_relative(target, pose)) == pytest.approx(
        [0.5, -0.2, 0, 1, 0, -0.2, -1], abs=1e-9
    )


@given(deltas, st.tuples(metres, metres, metres, *[angles] * 3))
def test_relative_undoes_absolute(delta: tuple[float, ...], pose: tuple[float, ...]) -> None:
    target = to_absolute(delta, pose)
    assert to_relative(target, pose) == pytest.approx(delta, abs=1e-6)
    assert to_absolute(to_relative(target, pose), pose) == pytest.approx(target, abs=1e-6)


def test_what_is_given_is_not_written_to() -> None:
    delta, pose = np.full((2, 7), 0.1), np.full((2, 6), 0.2)
    to_absolute(delta, pose), to_relative(delta, pose)
    world_to_tcp(delta, pose[:, 3:]), tcp_to_world(delta, pose[:, 3:])
    assert (delta == 0.1).all()
    assert (pose == 0.2).all()


@pytest.mark.parametrize("width", [3, 5, 8])
def test_actions_of_another_width_are_an_error(width: int) -> None:
    with pytest.raises(ValueError, match="want 6 or 7 columns"):
        world_to_tcp(np.zeros((4, width)), np.zeros(3))
    with pytest.raises(ValueError, match="want 6 or 7 columns"):
        to_relative(np.zeros((4, width)), np.zeros(6))


def test_poses_of_another_width_are_an_error() -> None:
    with pytest.raises(ValueError, match="orientations have shape"):
        tcp_to_world(np.zeros(7), np.zeros(6))
    with pytest.raises(ValueError, match="poses have shape"):
        to_absolute(np.zeros(7), np.zeros(7))


def test_a_pose_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"orientations of shape .* hold nan"):
        world_to_tcp(np.zeros(7), [0, math.nan, 0])
