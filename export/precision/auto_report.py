"""Tables of the choices of `--precision auto`, for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from export.precision.choose import Choice


def print_choices(choices: Sequence[Choice], console: Console | None = None) -> None:
    """Print the layers that are not as fast as they could be, and a summary of the others."""
    console = console or Console()
    table = Table("layer", "is", "not", "its noise", "ms faster", "why", title="layers kept high")
    for one in choices:
        if one.why:
            figures = f"{one.fastest_noise:.3%}", f"{one.gained_ms:.3f}"
            table.add_row(f"{one.role}: {one.layer}", one.precision, one.fastest, *figures, one.why)
    console.print(table)
    rest = Table("stage", "layers", "precision", "noise", "gained", title="the fastest")
    for stage, precision in dict.fromkeys((one.role, one.precision) for one in choices if not one.why):
        chosen = [one for one in choices if not one.why and (one.role, one.precision) == (stage, precision)]
        noise, gained_ms = sum(one.noise for one in chosen), sum(one.gained_ms for one in chosen)
        rest.add_row(stage, str(len(chosen)), precision, f"{noise:.3%}", f"{gained_ms:.3f} ms")
    console.print(rest)
