"""The launch file's command line; ros2 launch itself is not on PyPI."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from edge.cameras.ros2.child import parse_camera
from edge.commands.run_arguments import run_arguments
from edge.motor.drivers.ros2_address import parse_motors

FILE = Path(__file__).parents[2] / "ros2/vla_edge.launch.py"


def launch_file():
    spec = spec_from_file_location("vla_edge_launch", FILE)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(**changed: str) -> str:
    lines = (FILE.parent / "params.yaml").read_text().splitlines()
    for name, value in changed.items():
        index = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        lines[index] = f"    {name}: {value}"
    return "\n".join(lines)


def test_the_parameters_that_ship_make_a_command_that_vla_edge_takes():
    command = launch_file().command(text())
    assert command[:2] == ["vla-edge", "run"]
    options = run_arguments().parse_args(command[2:])
    assert options.goal == "find_object" and options.target == "cup" and options.max_seconds == 120
    assert parse_camera(options.camera[0][1]).topic == "/camera/image_raw"
    motors = parse_motors(options.motors)
    assert (motors.topic, motors.odom, motors.estop, motors.type) == ("/cmd_vel", "/odom", "", "twist")


def test_every_parameter_reaches_the_command():
    changed = {
        "image_options": "flip=180",
        "stamped": "true",
        "odom": "none",
        "estop": "/estop",
        "arguments": '["--bundle", "head"]',
        "target": '""',
    }
    options = run_arguments().parse_args(launch_file().command(text(**changed))[2:])
    motors = parse_motors(options.motors)
    assert (motors.odom, motors.estop, motors.type) == ("", "/estop", "stamped")
    assert options.bundle == "head" and options.target is None
    assert parse_camera(options.camera[0][1]).view.flip == "180"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "vla_edge: 3",
        "a: [",
        text(goal="3"),
        text(stamped="maybe"),
        text() + "\n    speed: 3",
        text().replace("goal:", "gaol:"),
    ],
)
def test_a_wrong_parameter_file_is_refused(wrong: str):
    with pytest.raises(ValueError, match=r"parameter|ros__parameters"):
        launch_file().command(wrong)
