"""`vla-edge run` whose policy breaks as `VLA_EDGE_BREAKS` names: `python -m sim.faults.run ARGUMENTS`.

`parser` breaks the parser of its answers. Cameras at `broken://` break by themselves.
"""

import os
import sys
from typing import Any, cast

from edge import cli
from edge.model import boxes
from edge.plugins import CAMERAS
from edge.policies import open as policies
from sim.faults.breaking import INFERENCES, Breaking, break_parser


def main() -> int:
    """Run it; return the exit code of `vla-edge run`."""
    mode = os.environ.get("VLA_EDGE_BREAKS", "")
    make_policy = policies.make_policy

    def make_breaking(*arguments: Any, **options: Any) -> object:
        policy = make_policy(*arguments, **options)
        Breaking(policy, mode, INFERENCES)
        return policy

    if mode == "parser":
        break_parser(boxes, "parse_detections")
    else:
        policies.make_policy = make_breaking
    cast("dict[str, str]", CAMERAS.built_in)["broken"] = "sim.faults.camera:open_address"
    return cli.main(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
