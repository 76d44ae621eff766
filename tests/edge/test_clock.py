"""An age over its limit, in words."""

from hypothesis import given
from hypothesis import strategies as st

from edge.clock import age_over


def test_an_age_is_rounded_away_from_its_limit() -> None:
    assert age_over(250_000_001, 250_000_000) == "251 ms old (limit 250 ms)"
    assert age_over(275_400_001, 275_400_000) == "276 ms old (limit 275 ms)"


@given(limit_ns=st.integers(0, 10**12), over_ns=st.integers(1, 10**12))
def test_an_age_over_its_limit_looks_it(limit_ns: int, over_ns: int) -> None:
    age, *_, limit, _unit = age_over(limit_ns + over_ns, limit_ns).split()
    assert int(age) > int(limit)
