"""What `describe_scene` says in simulated rooms, judged by the truth: `python -m benchmarks.description`.

A name counts as invented if nothing of that name stands in the room, and as out of view if none of those that
do can be seen from where the robot turns. Things of which the camera sees a few pixels count as in view.
"""

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass

from edge.base_spec import DEFAULT_BASE
from edge.bundle.bundle import load_bundle
from edge.commands.arguments import non_negative_float, non_negative_int, positive_int
from edge.field.proportions import wilson95
from edge.policies.describer import Surveyor
from edge.policies.open import make_policy
from edge.records import Goal
from sim.lockstep import play
from sim.render import Renderer
from sim.scene import sample_scene
from sim.world import World

GOAL = Goal("describe_scene")
DIRECTIONS = 24  # from which the truth looks
MAX_S = 40.0


@dataclass(frozen=True, slots=True)
class Description:
    """What was said in one room."""

    seed: int
    said: list[str]
    in_room: list[str]  # names of all things
    in_view: list[str]  # names of those that can be seen from the start
    bumps: int
    seconds: float

    @property
    def invented(self) -> list[str]:
        """What was said and is not in the room."""
        return [name for name in self.said if name not in self.in_room]

    @property
    def out_of_view(self) -> list[str]:
        """What was said and can't be seen from there."""
        return [name for name in self.said if name not in self.in_view]


def describe(policy: Surveyor, renderer: Renderer, seed: int, latency_s: float) -> Description:
    """Let the policy look round in one room."""
    scene = sample_scene(seed)
    world = World(scene)
    renderer.load(world.model, scene)
    in_view: set[str] = set()
    x_m, y_m, yaw_rad = scene.start
    for step in range(DIRECTIONS):
        yaw = yaw_rad + 2 * math.pi * step / DIRECTIONS
        in_view |= {scene.objects[each.index].name for each in renderer.truth(world.data, x_m, y_m, yaw)}
    episode = play(world, renderer, policy, GOAL, latency_s, MAX_S)
    said = policy.status.answer.split("; ") if policy.status.reached else []
    in_room = sorted({each.name for each in scene.objects})
    return Description(seed, said, in_room, sorted(in_view), episode.bumps, episode.seconds)


def main(argv: list[str]) -> int:
    """Describe the rooms and print what was right; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.description", description="Judge describe_scene."
    )
    parser.add_argument("--bundle", default="default", help="a name or a folder (%(default)s)")
    parser.add_argument("--rooms", type=positive_int, default=40, help="(%(default)s)")
    parser.add_argument("--seed", type=non_negative_int, default=300, help="of the first room (%(default)s)")
    parser.add_argument(
        "--latency-ms", type=non_negative_float, default=80.0, help="of the model (%(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    options = parser.parse_args(argv)
    renderer = Renderer()
    with make_policy(load_bundle(options.bundle), GOAL, renderer.spec.mount, DEFAULT_BASE) as policy:
        assert isinstance(policy, Surveyor), "the bundle does not look round"
        rooms: list[Description] = []
        for seed in range(options.seed, options.seed + options.rooms):
            rooms.append(describe(policy, renderer, seed, options.latency_ms / 1000))
            if not options.json:
                print(line(rooms[-1]), flush=True)
    print(json.dumps([asdict(room) for room in rooms], indent=2) if options.json else "\n".join(sums(rooms)))
    return 0


def line(room: Description) -> str:
    """Return what was said in a room, and what of it was invented."""
    wrong = f"; invented: {', '.join(room.invented)}" if room.invented else ""
    return f"{room.seed}: {', '.join(room.said) or 'nothing'}{wrong}"


def sums(rooms: list[Description]) -> list[str]:
    """Return how much of what was said in all rooms was right."""
    said, invented = sum(len(room.said) for room in rooms), sum(len(room.invented) for room in rooms)
    low, high = wilson95(invented, said)
    hidden = sum(len(room.out_of_view) for room in rooms)
    found = sum(len(set(room.said) & set(room.in_view)) for room in rooms)
    in_view, bumps = sum(len(room.in_view) for room in rooms), sum(room.bumps for room in rooms)
    share = f"{invented / max(1, said):.3f}, 95 %: {low:.3f} to {high:.3f}"
    return [
        f"{said} names in {len(rooms)} rooms, {invented} invented ({share}), {hidden} not in view",
        f"{found} of {in_view} names in view were said; {bumps} bumps",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
