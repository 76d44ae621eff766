import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edge.actions import CALVIN_RANGE, CALVIN_RELATIVE, MeanStd, MinMax, MuLaw, Pipeline, Transform
from edge.errors import UsageError

HALF_AND_TWO = MinMax(low=(-0.5, 0.0), high=(0.5, 2.0), gripper=True)
units = st.floats(-1, 1)


@st.composite
def min_max(draw: st.DrawFn) -> MinMax:
    columns = draw(st.integers(1, 7))
    low = draw(st.tuples(*[st.floats(-10, 10)] * columns))
    spans = draw(st.tuples(*[st.floats(1e-3, 10)] * columns))
    return MinMax(low, tuple(a + b for a, b in zip(low, spans, strict=True)), draw(st.booleans()))


@st.composite
def mean_std(draw: st.DrawFn) -> MeanStd:
    columns = draw(st.integers(1, 7))
    mean, std = st.tuples(*[st.floats(-10, 10)] * columns), st.tuples(*[st.floats(1e-3, 10)] * columns)
    return MeanStd(draw(mean), draw(std), draw(st.booleans()))


def numbers(data: st.DataObject, columns: int, elements: st.SearchStrategy[float] = units) -> np.ndarray:
    shape = data.draw(array_shapes(min_dims=0, max_dims=2, max_side=4))
    return data.draw(arrays(np.float64, (*shape, columns), elements=elements))


def test_min_max_by_hand() -> None:
    given_actions = [
        [0.25, 0.5, 0.0],  # 2 * 0.75 / 1 - 1, 2 * 0.5 / 2 - 1
        [-0.5, 2.0, 1.0],  # the limits
        [-9.0, 9.0, -1.0],  # beyond them: clipped
    ]
    expected = [[0.5, -0.5, 0.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, -1.0]]
    assert HALF_AND_TWO.encode(given_actions).tolist() == expected
    assert HALF_AND_TWO.decode(expected[0]).tolist() == given_actions[0]


@pytest.mark.parametrize(
    ("action", "expected"), [(0.325, 0.5), (0.65, 1.0), (0.9, 1.0), (-0.13, -0.2), (0, 0)]
)
def test_calvin_range_by_hand(action: float, expected: float) -> None:
    """2 (a + 0.65) / 1.3 - 1 = a / 0.65."""
    assert CALVIN_RANGE.encode([action] * 6 + [-1]) == pytest.approx([expected] * 6 + [-1])


def test_calvin_relative_by_hand() -> None:
    delta = [0.01, -0.004, 0.03, 0.05, -0.01, 0.2, 1.0]
    # x 50: 0.5, -0.2, 1.5 clipped to 1. x 20: 1, -0.2, 4 clipped to 1. The gripper as it was.
    expected = [0.5, -0.2, 1.0, 1.0, -0.2, 1.0, 1.0]
    assert CALVIN_RELATIVE.encode(delta) == pytest.approx(expected)
    # 1 / 50 m and 1 / 20 rad at the limit.
    assert CALVIN_RELATIVE.decode([1, 1, 1, 1, 1, 1, 0]) == pytest.approx([0.02] * 3 + [0.05] * 3 + [0])


def test_mean_std_by_hand() -> None:
    step = MeanStd(mean=(0.2, -1.0), std=(0.1, 2.0))
    # 0.2 / 0.100001, 3 / 2.000001
    assert step.encode([0.4, 2.0]) == pytest.approx([1.99998000, 1.49999925], abs=1e-8)
    assert step.decode([0.0, 0.0]).tolist() == [0.2, -1.0]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (0.0, 0.0),
        (3 / 255, 0.25),  # ln 4 / ln 256
        (15 / 255, 0.5),  # ln 16 / ln 256
        (-15 / 255, -0.5),
        (63 / 255, 0.75),  # ln 64 / ln 256
        (1.0, 1.0),
        (-1.0, -1.0),
    ],
)
def test_mu_law_by_hand(action: float, expected: float) -> None:
    step = MuLaw(columns=1, gripper=True)
    assert step.encode([action, 0.3]) == pytest.approx([expected, 0.3], abs=1e-12)
    assert step.decode([expected, 0.3]) == pytest.approx([action, 0.3], abs=1e-12)


@given(min_max(), st.data())
def test_min_max_has_an_exact_inverse(step: MinMax, data: st.DataObject) -> None:
    values = numbers(data, len(step.low) + step.gripper)
    actions = step.decode(values)
    assert step.encode(actions) == pytest.approx(values, abs=1e-6)
    assert step.decode(step.encode(actions)) == pytest.approx(actions, abs=1e-6)


@given(mean_std(), st.data())
def test_mean_std_has_an_exact_inverse(step: MeanStd, data: st.DataObject) -> None:
    actions = numbers(data, len(step.mean) + step.gripper, st.floats(-10, 10))
    assert step.decode(step.encode(actions)) == pytest.approx(actions, abs=1e-6)


@given(st.integers(1, 7), st.booleans(), st.floats(1, 1000), st.data())
def test_mu_law_has_an_exact_inverse(columns: int, gripper: bool, mu: float, data: st.DataObject) -> None:
    step = MuLaw(columns, mu, gripper)
    values = numbers(data, columns + gripper)
    assert step.decode(step.encode(values)) == pytest.approx(values, abs=1e-6)
    assert step.encode(step.decode(values)) == pytest.approx(values, abs=1e-6)


@given(st.data())
def test_a_pipeline_is_undone_from_the_last_step_to_the_first(data: st.DataObject) -> None:
    pipeline = Pipeline(
        (CALVIN_RELATIVE, CALVIN_RANGE, MuLaw(6, gripper=True), MeanStd((0.1,) * 6, (0.5,) * 6, gripper=True))
    )
    # Inside of 0.65 / 50, the narrowest limit, nothing is clipped.
    actions = numbers(data, 7, st.floats(-0.013, 0.013))
    assert pipeline.decode(pipeline.encode(actions)) == pytest.approx(actions, abs=1e-6)


def test_a_pipeline_by_hand() -> None:
    # 0.0065 m x 50 = 0.325; / 0.65 = 0.5; the other order would clip at 0.02 / 0.65.
    pipeline = Pipeline((CALVIN_RELATIVE, CALVIN_RANGE))
    assert pipeline.encode([0.0065, 0, 0, 0, 0, 0, 1]) == pytest.approx([0.5, 0, 0, 0, 0, 0, 1])
    assert pipeline.decode([0.5, 0, 0, 0, 0, 0, 1]) == pytest.approx([0.0065, 0, 0, 0, 0, 0, 1])


STEPS: list[Transform] = [HALF_AND_TWO, MeanStd((3.0, 4.0), (2.0, 2.0), gripper=True), MuLaw(2, gripper=True)]


@pytest.mark.parametrize("step", STEPS)
def test_the_gripper_column_is_left_alone_and_not_the_last_time_step(step: Transform) -> None:
    actions = np.full((2, 4, 3), 0.3)
    actions[..., -1] = 7.0
    for result in (step.encode(actions), step.decode(actions)):
        assert (result[..., -1] == 7.0).all()
        assert (result[:, -1, :-1] == result[:, 0, :-1]).all()
        assert (result[..., :-1] != 0.3).all()


@pytest.mark.parametrize("step", STEPS)
def test_what_is_given_is_not_written_to(step: Transform) -> None:
    actions = np.full((2, 3), 0.3)
    step.encode(actions)
    step.decode(actions)
    assert (actions == 0.3).all()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", [(2,), (3, 4), (1,), ()])
def test_actions_of_another_width_are_an_error(step: Transform, shape: tuple[int, ...]) -> None:
    for direction in (step.encode, step.decode):
        with pytest.raises(ValueError, match="want 3 columns"):
            direction(np.zeros(shape))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_actions_that_are_no_numbers_are_an_error(step: Transform, value: float) -> None:
    for direction in (step.encode, step.decode):
        with pytest.raises(ValueError, match=rf"{value} at \(1, 2\)"):
            direction([[0, 0, 0], [0, 0, value]])


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        ((0.0, 0.5), (1.0, 0.5), "column 1 spans 0.5 to 0.5"),
        ((0.0, 0.7), (1.0, 0.5), "column 1 spans 0.7 to 0.5"),
        ((math.nan,), (1.0,), "column 0 spans nan to 1.0"),
        ((0.0,), (math.inf,), "column 0 spans 0.0 to inf"),
        ((-1.7e308,), (1.7e308,), "column 0 spans"),
        ((0.0, 0.0), (1.0,), "low has 2 columns and high 1"),
        ((), (), "low has 0 columns"),
    ],
)
def test_limits_that_do_not_scale_are_an_error(
    low: tuple[float, ...], high: tuple[float, ...], found: str
) -> None:
    with pytest.raises(UsageError, match=found):
        MinMax(low, high)


@pytest.mark.parametrize(
    ("mean", "std", "found"),
    [
        ((0.0, 1.0), (1.0, 0.0), "column 1 has mean 1.0 and deviation 0.0"),
        ((0.0,), (-1.0,), "deviation -1.0"),
        ((math.nan,), (1.0,), "mean nan"),
        ((0.0,), (math.nan,), "deviation nan"),
        ((0.0,), (math.inf,), "deviation inf"),
        ((0.0,), (1.0, 1.0), "mean has 1 columns and std 2"),
    ],
)
def test_deviations_that_do_not_scale_are_an_error(
    mean: tuple[float, ...], std: tuple[float, ...], found: str
) -> None:
    with pytest.raises(UsageError, match=found):
        MeanStd(mean, std)


@pytest.mark.parametrize(("columns", "mu"), [(0, 255.0), (1, 0.0), (1, -1.0), (1, math.nan), (1, math.inf)])
def test_a_mu_that_does_not_scale_is_an_error(columns: int, mu: float) -> None:
    with pytest.raises(UsageError, match=f"{columns} columns with mu {mu}"):
        MuLaw(columns, mu)
