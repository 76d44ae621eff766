"""Labels of a drawing: beside their thing, and on nothing else where there is room."""

from hypothesis import given
from hypothesis import strategies as st

from edge.runs.labels import Rect, label_spot

SHEET = Rect(0, 0, 1000, 1000)
SIZE = (100, 20)
points = st.tuples(st.integers(0, 1000), st.integers(0, 1000))


def test_a_label_stands_to_the_right_if_nothing_is_there():
    assert label_spot((500, 500), 10, SIZE, [], SHEET) == Rect(510, 490, 610, 510)


def test_a_label_gives_way_to_what_is_drawn_and_to_the_end_of_the_sheet():
    ball = Rect.around((560, 500), 15)
    assert label_spot((500, 500), 10, SIZE, [ball], SHEET) == Rect(390, 490, 490, 510)
    assert label_spot((950, 500), 10, SIZE, [], SHEET).x1 == 940
    both = [ball, Rect.around((440, 500), 15)]
    assert label_spot((500, 500), 10, SIZE, both, SHEET) == Rect(450, 470, 550, 490)


def test_where_everything_is_taken_it_covers_least():
    little = Rect(510, 490, 511, 491)
    rest = [Rect(0, 0, 505, 1000), Rect(505, 0, 1000, 485), Rect(505, 515, 1000, 1000)]
    assert label_spot((500, 500), 10, SIZE, [little, *rest], SHEET).x0 == 510


@given(points, st.lists(points, max_size=8))
def test_a_label_that_can_lie_inside_does(center: tuple[int, int], others: list[tuple[int, int]]):
    spot = label_spot(center, 10, SIZE, [Rect.around(each, 12) for each in others], SHEET)
    assert spot.shared(SHEET) == spot.area
    assert spot.shared(Rect.around(center, 6)) == 0


@given(points, points, st.integers(1, 300))
def test_a_shared_area_is_the_same_from_both_sides(a: tuple[int, int], b: tuple[int, int], radius: int):
    one, other = Rect.around(a, radius), Rect.around(b, 50)
    assert one.shared(other) == other.shared(one) <= min(one.area, other.area)
    assert one.shared(one) == one.area
