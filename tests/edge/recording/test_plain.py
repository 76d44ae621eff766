"""Records as plain JSON and back."""

import json
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from edge.interfaces import Inference
from edge.records import ActionChunk, MotorState, MotorStatus, Odometry, Velocity
from edge.runs.tap.plain import from_plain, origin_of, to_line, to_plain
from tests.edge.recording.events import END, chunk, frame

number = st.floats(width=64)
velocity = st.builds(Velocity, number, number, number)
odometry = st.builds(Odometry, st.integers(0, 2**62), number, number, number, velocity)
status = st.builds(
    MotorStatus,
    st.integers(0, 2**62),
    st.sampled_from(MotorState),
    velocity,
    st.text(),
    odometry=st.none() | odometry,
    battery_fraction=st.none() | number,
)
rows = hnp.arrays(np.float32, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(width=32))
chunks = st.builds(
    ActionChunk, rows, number, st.integers(0, 2**62), st.integers(0, 2**62), number, st.integers(-1, 2**31)
)


Scalar = TypeVar("Scalar", bound=np.generic)
AliasedArray = TypeAliasType("AliasedArray", np.ndarray[Any, np.dtype[Scalar]], type_params=(Scalar,))


@given(status)
def test_a_report_comes_back_to_the_last_bit(report: MotorStatus):
    line = to_line(report)
    assert to_line(from_plain(MotorStatus, json.loads(line))) == line


@given(chunks)
def test_a_chunk_comes_back_to_the_last_bit(plan: ActionChunk):
    back = from_plain(ActionChunk, json.loads(to_line(plan)))
    assert back.values.dtype == np.float32
    np.testing.assert_array_equal(back.values, plan.values)
    assert to_line(back) == to_line(plan)


@given(st.text(), st.floats(0, 1))
def test_an_answer_comes_back_with_the_frame_that_it_is_about(text: str, confidence: float):
    seen = frame(3)
    inference = Inference(seen, text, confidence, {"vision": 1.5}, chunk(3))
    back = from_plain(Inference, json.loads(to_line(inference)), lambda told: {3: seen}[told["seq"]])
    assert back.frame is seen and (back.text, back.confidence) == (text, confidence)
    assert to_line(back) == to_line(inference)


def test_an_array_is_known_behind_an_alias_of_numpys():
    """numpy 2.5 declares NDArray so where Python has aliases."""
    for hint in (AliasedArray[np.float32], NDArray[np.float32], np.ndarray[Any, np.dtype[np.float32]]):
        assert origin_of(hint) is np.ndarray
    assert origin_of(tuple[int, ...]) is tuple and origin_of(int) is None


def test_zero_keeps_its_sign():
    assert to_line(Velocity(-0.0)) != to_line(Velocity(0.0))


@pytest.mark.parametrize("value", [None, 3, [], {"outcome": "no such"}, {"nothing": 1}])
def test_what_is_not_such_a_record_is_refused(value: object):
    with pytest.raises(ValueError, match=r"."):
        from_plain(type(END), value)


def test_an_end_comes_back():
    assert from_plain(type(END), to_plain(END)) == END


told = st.builds(lambda plan, words: {"of": words, "plan": [plan, (1, 2.5)]}, chunks, st.text())


@given(status | chunks | told)
def test_a_line_holds_the_plain_value(value: object):
    expected = json.dumps(to_plain(value), allow_nan=False, separators=(",", ":"))
    assert to_line(value) == expected.encode()
