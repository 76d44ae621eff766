"""How long work tells its caller how far it is."""

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]  # what is being done, how many parts are done, of how many
