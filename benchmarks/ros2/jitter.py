"""`python -m benchmarks.ros2.jitter`: how late the motor process's ticks are, with ROS 2 in it and without.

The two drivers take turns. Meanwhile the default model answers with two threads, chunks go to the motor
process, and a base in a process of its own listens to /cmd_vel and publishes /odom 50 times a second.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np

from edge.base_spec import DEFAULT_BASE
from edge.bundle.bundle import load_bundle
from edge.commands.arguments import ArgumentParser, positive_float, positive_int
from edge.errors import HardwareMissing
from edge.goals.goals import parse_goal
from edge.goals.vocabulary import check_target
from edge.interfaces import Policy
from edge.motor.client import MotorProcess
from edge.motor.wire import Message
from edge.policies.open import make_policy
from edge.records import ZERO, ActionChunk, Frame, Goal, MotorState, MotorStatus, Observation, Odometry
from edge.ros2 import RosNode, load_ros
from sim.realtime.ros2_bridge import set_stamp
from sim.render import CameraSpec

PERIOD_NS = 20_000_000
SETTLE_S = 1.0  # the beginning of each turn does not count
MOTORS = {"null": "null://", "ros2": "ros2:///cmd_vel?domain={}"}


class TickRecorder(MotorProcess):
    """A motor process whose every status is kept."""

    def __init__(self, child: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        super().__init__(child, control)
        self.ticks: list[MotorStatus] = []

    def _take(self, message: Message) -> None:
        super()._take(message)
        if isinstance(message, MotorStatus):
            self.ticks.append(message)


def lateness_ms(ticks: list[MotorStatus]) -> list[float]:
    """Return how much later than the most punctual one each tick was, by deadlines 20 ms apart."""
    late = [tick.stamp_ns - (tick.ticks + tick.missed_ticks) * PERIOD_NS for tick in ticks]
    return [(each - min(late)) / 1e6 for each in late]


def take_turn(motors: str, policy: Policy, goal: Goal, seconds: float) -> dict[str, Any]:
    """Drive for `seconds` and return the lateness of each tick, and how many answers the model gave."""
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    with TickRecorder.start(motors) as motor:
        assert isinstance(motor, TickRecorder)
        motor.arm()
        while motor.status().state is not MotorState.HOLDING:
            time.sleep(0.01)
        begin_ns = time.monotonic_ns()
        answers = 0
        while (now_ns := time.monotonic_ns()) - begin_ns < (seconds + SETTLE_S) * 1e9:
            values = np.full((10, 3), (0.1, 0.0, 0.1), np.float32)
            motor.send(ActionChunk(values, 0.1, now_ns, now_ns + 10**9, 1.0, answers))
            frames = {"front": Frame(image, now_ns, answers)}
            policy.infer(Observation(frames, goal, Odometry(now_ns, 0.0, 0.0, 0.0, ZERO)))
            answers += 1
            motor.status()
        ticks = [tick for tick in motor.ticks if tick.stamp_ns > begin_ns + SETTLE_S * 1e9]
    odometry = len({tick.odometry.stamp_ns for tick in ticks if tick.odometry is not None})
    missed = ticks[-1].missed_ticks - ticks[0].missed_ticks
    return {"late_ms": lateness_ms(ticks), "answers": answers, "odometry": odometry, "missed": missed}


def figures(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the percentiles over all turns of one driver."""
    late = np.concatenate([turn["late_ms"] for turn in turns])
    names = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
    return {
        "late_ms": {name: round(float(np.percentile(late, q)), 3) for name, q in names.items()},
        "ticks": len(late),
        **{name: sum(turn[name] for turn in turns) for name in ("missed", "odometry", "answers")},
    }


def base(domain: int) -> None:
    """Be a base until standard input ends: listen, and measure 50 times a second."""
    with RosNode("base", domain) as node:
        moving = ZERO
        message = load_ros("nav_msgs.msg").Odometry()
        message.child_frame_id = "base_link"
        publisher = node.publisher(type(message), "/odom", "reliable")

        def take(command: Any) -> None:
            nonlocal moving
            moving = command

        node.subscribe(load_ros("geometry_msgs.msg").Twist, "/cmd_vel", take, "reliable")
        # A base has a board of its own, which what runs here does not hold up.
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        print("listens", flush=True)
        due_ns = time.monotonic_ns()
        while os.getppid() != 1:
            due_ns += PERIOD_NS
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                node.spin(1, left_ns / 1e9)
            set_stamp(message, time.monotonic_ns())
            if moving is not ZERO:
                message.twist.twist = moving
            publisher.publish(message)


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    parser = ArgumentParser("benchmarks.ros2.jitter", "How late the ticks of the motor process are.")
    parser.add_argument("--seconds", type=positive_float, default=60.0, help="of each turn (%(default)g)")
    parser.add_argument("--rounds", type=positive_int, default=2, help="turns of each driver (%(default)s)")
    parser.add_argument("--domain", type=positive_int, default=1 + os.getpid() % 100)
    parser.add_argument("--base", action="store_true", help="be the base; used by the benchmark itself")
    a = parser.parse_args(argv)
    if a.base:
        base(a.domain)
        return 0
    bundle = load_bundle("default")
    goal = check_target(bundle, parse_goal("find_object", "cup"))
    policy = make_policy(bundle, goal, CameraSpec().mount, DEFAULT_BASE, 2)
    policy.reset(goal)
    command = [sys.executable, "-m", "benchmarks.ros2.jitter", "--base", "--domain", str(a.domain)]
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in MOTORS}
    load_before = os.getloadavg()[0]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            if child.stdout is None or child.stdout.readline() != "listens\n":
                raise HardwareMissing("the base did not start", "scripts/ros2-venv makes a Python with ROS 2")
            for _ in range(a.rounds):
                for name, motors in MOTORS.items():
                    turns[name].append(take_turn(motors.format(a.domain), policy, goal, a.seconds))
        finally:
            child.terminate()
    report = {name: figures(each) for name, each in turns.items()}
    load = [round(load_before, 1), round(os.getloadavg()[0], 1)]
    print(json.dumps({**report, "load_before_and_after": load, "cores": os.cpu_count()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
