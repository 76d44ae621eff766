"""The choice of `--precision auto`: precisions for all layers, fast, and with a noise within a budget.

It starts from the fastest precision everywhere and raises layers, first those that take away most noise for
the time that they cost, until the rest fits. Errors of different layers are taken as independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TICK_MS = 0.002  # least difference that ONNX Runtime's whole microseconds can tell apart


@dataclass(frozen=True)
class Rung:
    """A layer in one precision."""

    precision: str
    noise: float  # power that it alone adds to the graph's outputs, as a share of the signal's
    ms: float


@dataclass(frozen=True)
class Choice:
    """The precision that was chosen for a layer."""

    role: str  # its stage
    node: str
    layer: str  # the node's name for people
    precision: str
    noise: float  # the chosen precision's
    fastest: str  # the precision without a budget
    fastest_noise: float
    gained_ms: float  # time that the fastest saves against the most exact
    why: str  # reason for not taking the narrowest: "noise" or "no faster"; "": it was taken


def choose(ladders: Mapping[str, Sequence[Rung]], budget_db: float) -> dict[str, tuple[Rung, str]]:
    """Return a rung for each layer, and why it is not the narrowest ("" if it is).

    Each ladder ends with the most exact rung, which has no noise.
    """
    climbs = {name: climb(ladder) for name, ladder in ladders.items()}
    at = dict.fromkeys(climbs, 0)
    budget = 10 ** (-budget_db / 10)

    def worth(name: str) -> float:
        """Return the noise that the next rung takes away, for each millisecond that it costs."""
        now, then = climbs[name][at[name] : at[name] + 2]
        return (now.noise - then.noise) / max(then.ms - now.ms, 1e-9)

    def noise() -> float:
        return sum(climbs[name][index].noise for name, index in at.items())

    raised: dict[str, str] = {}
    while noise() > budget:
        above = [name for name, index in at.items() if index + 1 < len(climbs[name])]
        if not above:
            break
        name = max(above, key=worth)
        raised[name] = "noise"
        at[name] += 1
    found: dict[str, tuple[Rung, str]] = {}
    for name, index in at.items():
        slower = "" if climbs[name][0].precision == ladders[name][0].precision else "no faster"
        found[name] = climbs[name][index], raised.get(name, slower)
    return found


def climb(ladder: Sequence[Rung]) -> list[Rung]:
    """Return the rungs that are worth standing on, fastest first: each has less noise than all before it.

    Of rungs that are as fast the narrowest comes first, which is the smallest.
    """
    kept: list[Rung] = []
    for rung in sorted(ladder, key=lambda one: (round(one.ms / _TICK_MS), -one.noise)):
        if not kept or rung.noise < kept[-1].noise:
            kept.append(rung)
    return kept
