"""What a measurement has to say about its machine, so that figures of two power modes are never compared."""

from collections.abc import Generator
from contextlib import contextmanager

from edge.board.heat import Thermometer
from edge.board.identity import read_board
from edge.board.tree import Tree
from edge.errors import EdgeError


@contextmanager
def one_power_mode(tree: Tree | None = None) -> Generator[dict[str, str]]:
    """Yield the board, L4T and power mode that a measurement is made on, for its JSON.

    After the block "throttled" names what heat throttled at its end; empty if nothing. Raises EdgeError if
    the power mode changed within the block: such figures are of no mode.
    """
    tree = tree or Tree()
    board = read_board(tree)
    machine = board.to_json()
    yield machine
    now = read_board(tree).power_mode.name
    if now != board.power_mode.name:
        raise EdgeError(
            f"the power mode changed from {board.power_mode.name} to {now} while it was measured",
            "measure again, and leave the power mode alone; figures compare within one mode only",
        )
    machine["throttled"] = ", ".join(Thermometer(tree).read().throttled)
