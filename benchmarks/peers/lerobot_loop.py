"""LeRobot's control loops around a robot that is a double: `python -m benchmarks.peers.lerobot_loop LOOP`.

LOOP is "record", with a policy that computes nothing, or "teleoperate". Each line of the input is seconds to
run for at 30 Hz; each line of the output says what a tick took. Run by LeRobot's Python. Nothing is recorded,
nothing is drawn, and the robot has its picture already: what is left is the loop.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import version
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.peers.process import answers

RATE_HZ = 30
HEIGHT, WIDTH = 240, 320
ACTIONS = ("linear.vel", "angular.vel")


class RobotDouble:
    """A mobile base with a camera, whose picture is in memory and whose motors are nothing."""

    name = robot_type = "double"
    action_features = dict.fromkeys(ACTIONS, float)

    def __init__(self) -> None:
        self._pictures = np.random.default_rng(0).integers(0, 256, (8, HEIGHT, WIDTH, 3), np.uint8)
        self.ticks = 0

    def get_observation(self) -> dict[str, Any]:
        self.ticks += 1
        return dict.fromkeys(ACTIONS, 0.0) | {"front": self._pictures[self.ticks % len(self._pictures)]}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        return action


class ConstantPolicy:
    """A policy that computes nothing."""

    def __init__(self, action: Any) -> None:
        self.config = SimpleNamespace(device="cpu", use_amp=False)
        self._action = action

    def reset(self) -> None:
        """Do nothing: it remembers nothing."""

    def select_action(self, batch: dict[str, Any]) -> Any:
        return self._action


class NothingRecorded:
    """Stands for the dataset, whose features the loop needs."""

    fps = RATE_HZ

    def __init__(self) -> None:
        state = {"dtype": "float32", "shape": (len(ACTIONS),), "names": list(ACTIONS)}
        image = {"dtype": "video", "shape": (HEIGHT, WIDTH, 3), "names": ["height", "width", "channels"]}
        self.features = {
            "observation.state": state,
            "observation.images.front": image,
            "action": state,
        }

    def add_frame(self, frame: dict[str, Any]) -> None:
        """Do nothing."""


def record_loop() -> Callable[[RobotDouble, float], None]:
    """Return LeRobot's loop of `lerobot-record` with a policy, for a robot and seconds."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature  # pyright: ignore[reportMissingImports]
    from lerobot.policies.act.configuration_act import ACTConfig  # pyright: ignore[reportMissingImports]
    from lerobot.policies.act.processor_act import (  # pyright: ignore[reportMissingImports]
        make_act_pre_post_processors,
    )
    from lerobot.processor import make_default_processors  # pyright: ignore[reportMissingImports]
    from lerobot.scripts import lerobot_record  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    inputs = {
        "observation.state": PolicyFeature(FeatureType.STATE, (len(ACTIONS),)),
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, HEIGHT, WIDTH)),
    }
    outputs = {"action": PolicyFeature(FeatureType.ACTION, (len(ACTIONS),))}
    config = ACTConfig(input_features=inputs, output_features=outputs, device="cpu")
    before, after = make_act_pre_post_processors(config)
    to_action, to_robot, to_observation = make_default_processors()
    policy = ConstantPolicy(torch.zeros(1, len(ACTIONS)))

    def run(robot: RobotDouble, seconds: float) -> None:
        lerobot_record.record_loop(
            robot,
            {"exit_early": False},
            RATE_HZ,
            to_action,
            to_robot,
            to_observation,
            dataset=NothingRecorded(),
            policy=policy,
            preprocessor=before,
            postprocessor=after,
            control_time_s=seconds,
            single_task="find the cup",
        )

    return run


def teleoperate_loop() -> Callable[[RobotDouble, float], None]:
    """Return LeRobot's loop of `lerobot-teleoperate`, for a robot and seconds."""
    from lerobot.processor import make_default_processors  # pyright: ignore[reportMissingImports]
    from lerobot.scripts import lerobot_teleoperate  # pyright: ignore[reportMissingImports]

    processors = make_default_processors()
    leader = SimpleNamespace(get_action=lambda: dict.fromkeys(ACTIONS, 0.0))

    def run(robot: RobotDouble, seconds: float) -> None:
        with redirect_stdout(io.StringIO()):  # it prints a line each tick
            lerobot_teleoperate.teleop_loop(leader, robot, RATE_HZ, *processors, duration=seconds)

    return run


def stamp_sleeps(module: Any, robot: RobotDouble) -> list[float]:
    """Return where the seconds of each tick go before its sleep, as the loop of a module runs."""
    sleep, observe, began = module.precise_sleep, robot.get_observation, [0.0]
    ticks_s: list[float] = []

    def observing() -> dict[str, Any]:
        began[0] = time.perf_counter()
        return observe()

    def sleeping(seconds: float) -> None:
        ticks_s.append(time.perf_counter() - began[0])
        sleep(seconds)

    module.precise_sleep, robot.get_observation = sleeping, observing  # type: ignore[method-assign]
    return ticks_s


def main(argv: list[str]) -> None:
    """Answer until the input ends."""
    with answers() as out:
        from lerobot.scripts import (  # pyright: ignore[reportMissingImports]
            lerobot_record,
            lerobot_teleoperate,
        )

        record = argv[0] == "record"
        run, robot = record_loop() if record else teleoperate_loop(), RobotDouble()
        ticks_s = stamp_sleeps(lerobot_record if record else lerobot_teleoperate, robot)
        run(robot, 1.0)  # warm
        print(json.dumps({"lerobot": version("lerobot"), "torch": version("torch")}), file=out, flush=True)
        for line in sys.stdin:
            ticks_s.clear()
            cpu_s = time.process_time()
            run(robot, float(line))
            cpu_ms = (time.process_time() - cpu_s) * 1e3 / len(ticks_s)
            answer = {"ms": median(ticks_s) * 1e3, "cpu_ms": cpu_ms, "ticks": len(ticks_s)}
            print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
