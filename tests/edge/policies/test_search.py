import math

from edge.perception.geometry import Pose
from edge.policies.search import FULL_TURN_RAD, RecentPositions, Search


def turned(search: Search) -> None:
    yaw = 0.0
    search.start_turn(1.0)
    while not search.all_round:
        yaw += 0.05
        search.look(Pose(1.0, 2.0, math.remainder(yaw, 2 * math.pi)))
    assert yaw >= FULL_TURN_RAD


def test_after_a_full_turn_it_drives_to_a_spot_away_from_those_it_looked_from() -> None:
    search, asked = Search(), []
    turned(search)

    def choose(pose: Pose, visited: list[tuple[float, float]]) -> tuple[float, float]:
        asked.append((pose, list(visited)))
        return 3.0, 4.0

    search.next_leg(Pose(1.0, 2.0), choose)
    assert search.waypoint == (3.0, 4.0) and search.rounds == 1
    assert asked == [(Pose(1.0, 2.0), [(1.0, 2.0)])]


def test_with_no_spot_to_go_to_it_turns_again() -> None:
    search = Search()
    turned(search)
    search.next_leg(Pose(), lambda pose, visited: None)
    assert search.waypoint is None and not search.all_round and search.visited == [(0.0, 0.0)]


def test_positions_are_remembered_for_a_while() -> None:
    positions = RecentPositions(keep_ns=10)
    positions.add(1.0, 0.0, now_ns=0)
    assert positions.near(1.3, 0.0, within_m=0.4, now_ns=9)
    assert not positions.near(1.5, 0.0, within_m=0.4, now_ns=9)
    assert not positions.near(1.0, 0.0, within_m=0.4, now_ns=10)
