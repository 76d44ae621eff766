"""`python -m benchmarks.ros2.rooms`: the simulated robot behind ROS 2, driven by `vla-edge run` to a cup.

In each room the simulator is bridged in a process of its own; the runtime sees /sim/image and drives by
/cmd_vel. The truth comes from the simulator.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from edge.commands.arguments import ArgumentParser, positive_float, positive_int
from edge.errors import HardwareMissing

TARGET = "cup"
MOUNT = "fov=55,height=0.35,pitch=12,forward=0.12"  # where the simulated camera sits
END_S = 30.0


def drive(seed: int, domain: int, seconds: float) -> dict[str, Any]:
    """Drive in one room; return the run's exit code and reason, and the truth. Raises HardwareMissing."""
    bridge = [sys.executable, "-m", "sim.realtime.ros2_bridge", "--domain", str(domain)]
    bridge += ["--seed", str(seed), "--target", TARGET]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(bridge, stdin=pipe, stdout=pipe, text=True) as room,
    ):
        assert room.stdout is not None
        if not room.stdout.readline().startswith("{"):
            raise HardwareMissing(
                "the simulator did not start", "scripts/ros2-venv makes a Python with ROS 2"
            )
        addresses = (f"ros2:///sim/image?domain={domain}", f"ros2:///cmd_vel?domain={domain}")
        run = [sys.executable, "-m", "edge.cli", "run", "--goal", "find_object", "--target", TARGET]
        run += ["--mount", MOUNT, "--allow-domain"]  # to a run it is a real camera
        run += ["--camera", addresses[0], "--motors", addresses[1], "--max-seconds", str(seconds)]
        done = subprocess.run(
            [*run, "--json", "--runs-dir", folder], capture_output=True, text=True, check=False
        )
        truth, _ = room.communicate("", timeout=END_S)
    summary = json.loads(done.stdout or "{}")
    return {
        "seed": seed,
        "exit_code": done.returncode,
        "reason": summary.get("reason") or done.stderr.strip(),
        "seconds": summary.get("seconds"),
        **{name: json.loads(truth)[name] for name in ("arrived", "distance_m", "bumps", "path_m", "lost_ms")},
    }


def main(argv: list[str]) -> int:
    """Run it; returns 0 if the cup was found in every room, else 3."""
    parser = ArgumentParser("benchmarks.ros2.rooms", "Find a cup through ROS 2 in simulated rooms.")
    parser.add_argument("--rooms", type=positive_int, default=10, help="how many (%(default)s)")
    parser.add_argument("--seed", type=positive_int, default=1, help="seed of the first room (%(default)s)")
    parser.add_argument("--max-seconds", type=positive_float, default=120.0, help="a room (%(default)g)")
    parser.add_argument("--domain", type=positive_int, default=1 + os.getpid() % 100)
    a = parser.parse_args(argv)
    found = 0
    for seed in range(a.seed, a.seed + a.rooms):
        room = drive(seed, a.domain, a.max_seconds)
        found += room["exit_code"] == 0 and room["arrived"]
        print(json.dumps(room), flush=True)
    print(json.dumps({"found": found, "rooms": a.rooms, "load": round(os.getloadavg()[0], 1)}))
    return 0 if found == a.rooms else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
