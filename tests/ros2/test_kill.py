"""The end of a drive at full speed, judged by a listener in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.motor.limits import MotorLimits
from tests.ros2.topics import base_node, domain
from tests.waiting import alive, until

RUNTIME = """
import signal, sys, time
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts without it
from edge.motor.client import MotorProcess
from edge.records import ActionChunk, MotorState
with MotorProcess.start("ros2:///cmd_vel") as motor:
    print(motor.pid, flush=True)
    motor.arm()
    while motor.status().state is not MotorState.HOLDING:
        time.sleep(0.01)
    for decision in range(10**6):
        now_ns = time.monotonic_ns()
        values = np.tile(np.array([0.5, 0, 0.4], np.float32), (10, 1))
        motor.send(ActionChunk(values, 0.1, now_ns, now_ns + 10**9, 1.0, decision))
        motor.status()
        time.sleep(0.03)
"""
LISTENER = """
import json, sys, time
from edge.ros2 import RosNode, load_ros
heard = []
def take(message):
    if not heard:
        print("hears", flush=True)
    heard.append((time.monotonic_ns(), message.linear.x, message.angular.z))
with RosNode("listener", int(sys.argv[1])) as node:
    node.subscribe(load_ros("geometry_msgs.msg").Twist, "/cmd_vel", take, sys.argv[2])
    print("listens", flush=True)
    import select
    while not select.select([sys.stdin], [], [], 0)[0]:
        node.spin(1, 0.02)
print(json.dumps(heard))
"""
LIMIT_S = 0.55


def run(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    )


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("victim", "how", "quality"),
    [
        ("runtime", signal.SIGKILL, "reliable"),
        ("runtime", signal.SIGKILL, "best_effort"),
        ("runtime", signal.SIGINT, "reliable"),
        ("motor", signal.SIGTERM, "best_effort"),
    ],
)
def test_the_last_velocity_is_zero_however_the_drive_ends(victim: str, how: int, quality: str):
    with base_node() as base, run(LISTENER, str(domain()), quality) as listener, run(RUNTIME) as runtime:
        try:
            assert listener.stdout is not None and runtime.stdout is not None
            assert listener.stdout.readline() == "listens\n"
            motor_pid = int(runtime.stdout.readline())
            assert listener.stdout.readline() == "hears\n"
            until(lambda: base.velocity().linear_x_m_s > 0.45)
            killed_ns = time.monotonic_ns()
            os.kill(runtime.pid if victim == "runtime" else motor_pid, how)
            until(lambda: not alive(motor_pid))
            time.sleep(0.1)
            out, _ = listener.communicate("\n", timeout=20)
        finally:
            runtime.kill()
            listener.kill()
    heard = json.loads(out)
    after = [velocity for velocity in heard if velocity[0] > killed_ns]
    ramp_s = MotorLimits().braking_s(0.5, 0.4)
    moving_s = max((stamp_ns - killed_ns) / 1e9 for stamp_ns, x, turn in after if x or turn)
    figures = f"moved for {1e3 * moving_s:.0f} ms (ramp {1e3 * ramp_s:.0f} ms)"
    print(f"signal {how} to the {victim}, {quality} listener: {figures}")
    assert after[-1][1:] == [0, 0]
    assert max(x for _, x, _ in after) <= 0.5
    assert moving_s < LIMIT_S + ramp_s
    speeds = [x for _, x, _ in after]
    assert speeds == sorted(speeds, reverse=True)  # a ramp, and nothing moves again
