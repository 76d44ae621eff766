"""The comparison with torch that decides if a bundle is written."""

import math

import numpy as np
import pytest

from edge.errors import BundleRefused
from export.sources.compare import Differences, TorchParity


def parity(error: float, equal: float) -> TorchParity:
    return TorchParity({"error": error, "equal": equal}, most={"error": 0.001}, least={"equal": 0.99})


def test_figures_at_their_limits_pass_and_just_beyond_are_refused() -> None:
    parity(0.001, 0.99).check()
    for error, equal in ((math.nextafter(0.001, 1), 0.99), (0.001, math.nextafter(0.99, 0))):
        with pytest.raises(BundleRefused):
            parity(error, equal).check()


@pytest.mark.parametrize(
    ("error", "equal", "message"),
    [
        (0.0021, 1.0, r"disagree: error 0\.0021 \(at most 0\.001\)$"),
        (0.0, 0.98, r"disagree: equal 0\.98 \(at least 0\.99\)$"),
        (0.5, 0.5, r"error 0\.5 \(at most 0\.001\), equal 0\.5 \(at least 0\.99\)$"),
        (math.nan, 1.0, "error nan"),
        (0.0, math.nan, "equal nan"),
    ],
)
def test_figures_beyond_their_limits_are_named(error: float, equal: float, message: str) -> None:
    with pytest.raises(BundleRefused, match=message):
        parity(error, equal).check()


def test_one_nan_among_many_values_is_not_lost() -> None:
    for values in ([math.nan, 1.0], [1.0, math.nan]):
        differences = Differences()
        for value in values:
            differences.add_values(np.array([value]), np.array([0.0]))
        assert math.isnan(differences.max_error)


def test_differences_are_the_largest_error_and_the_share_of_equal_choices() -> None:
    differences = Differences()
    differences.add_values(np.array([1.0, 2.0]), np.array([1.0, 1.5]), scale=2.0)
    differences.add_values(np.array([1.0]), np.array([1.1]))
    differences.add_choices(True, False)
    differences.add_choices(True)
    assert differences.max_error == 0.25 and differences.share_equal == pytest.approx(2 / 3)
