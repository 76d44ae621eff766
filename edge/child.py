"""What the processes have in common that this package starts."""

import os
from pathlib import Path

import edge


def child_environment() -> dict[str, str]:
    """Return this environment, with the folder that this package was imported from on PYTHONPATH.

    More threads of numpy would only delay processes that add a few numbers.
    """
    root = str(Path(edge.__file__ or ".").parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
