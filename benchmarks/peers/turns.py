"""Peers in turns: all of them answer the same question, another one first each time."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from edge.errors import EdgeError

Turns = dict[str, list[dict[str, Any]]]  # answers by the peer's name


class TurnTaker(Protocol):
    """What takes turns."""

    name: str
    versions: dict[str, str]

    def ask(self, question: object) -> dict[str, Any]:
        """Return what it took: "cpu_ms", "ms" and more."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def open_all(
    openers: Mapping[str, Callable[[], TurnTaker]], missing: dict[str, str], stack: ExitStack
) -> list[TurnTaker]:
    """Return the peers that open; why one does not is noted in `missing`."""
    found: list[TurnTaker] = []
    for name, opener in openers.items():
        try:
            peer = opener()
        except EdgeError as error:
            missing[name] = error.message
            continue
        stack.callback(peer.close)
        found.append(peer)
    return found


def take_turns(
    peers: Sequence[TurnTaker],
    question: Callable[[int], object],
    turns: int,
    on_turn: Callable[[int], None],
    warm_up: int = 0,
) -> Turns:
    """Return each peer's answers, one a turn; those of the first `warm_up` turns don't count."""
    found: Turns = {peer.name: [] for peer in peers}
    for number in range(warm_up + turns):
        first = number % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            answer = peer.ask(question(number))
            if number >= warm_up:
                found[peer.name].append(answer)
        on_turn(number)
    return found
