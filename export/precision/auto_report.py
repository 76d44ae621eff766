"""What `--precision auto` chose, as tables for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from export.precision.auto import Choice


def print_choices(choices: Sequence[Choice], console: Console | None = None) -> None:
    """What `--precision auto` chose: the layers that are not as fast as they could be, and the others."""
    console = console or Console()
    table = Table("layer", "is", "not", "its noise", "ms faster", "why", title="layers kept high")
    for one in choices:
        if one.why:
            figures = f"{one.fastest_noise:.3%}", f"{one.gained_ms:.3f}"
            table.add_row(f"{one.role}: {one.layer}", one.precision, one.fastest, *figures, one.why)
    console.print(table)
    rest = Table("graph", "layers", "precision", "noise", "gained", title="the fastest")
    for role, precision in dict.fromkeys((one.role, one.precision) for one in choices if not one.why):
        of = [one for one in choices if not one.why and (one.role, one.precision) == (role, precision)]
        noise, gained_ms = sum(one.noise for one in of), sum(one.gained_ms for one in of)
        rest.add_row(role, str(len(of)), precision, f"{noise:.3%}", f"{gained_ms:.3f} ms")
    console.print(rest)
