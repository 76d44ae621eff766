"""Start `vla-edge run` on topics: `ros2 launch ros2/vla_edge.launch.py`, with params.yaml beside this.

vla-edge is a process of its own, not a node with parameters: this file turns the parameters into a command.
Ctrl-C goes to vla-edge, which stops the base and then ends; it gets 10 s for that.
"""

from pathlib import Path

import yaml

PARAMS = Path(__file__).resolve().parent / "params.yaml"
KNOWN = {
    "goal": str,
    "target": str,
    "image": str,
    "image_options": str,
    "cmd_vel": str,
    "stamped": bool,
    "odom": str,
    "estop": str,
    "max_seconds": (int, float),
    "arguments": list,
}


def command(text):
    """Return the command of a parameter file's text. Raises ValueError for a bad one."""
    try:
        params = yaml.safe_load(text)["vla_edge"]["ros__parameters"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"vla_edge: ros__parameters: is missing or not YAML: {error}") from error
    for name in sorted({*KNOWN, *params}):
        if name not in KNOWN:
            raise ValueError(f"there is no parameter {name!r}; there are {', '.join(KNOWN)}")
        if name not in params or not isinstance(params[name], KNOWN[name]):
            raise ValueError(f"the parameter {name!r} is missing or of another type: see params.yaml")
    options = f"?{params['image_options']}" if params["image_options"] else ""
    kind = "&type=stamped" if params["stamped"] else ""
    target = ["--target", params["target"]] if params["target"] else []
    return [
        *("vla-edge", "run", "--goal", params["goal"], *target),
        *("--camera", f"ros2://{params['image']}{options}"),
        *("--motors", f"ros2://{params['cmd_vel']}?odom={params['odom']}&estop={params['estop']}{kind}"),
        *("--max-seconds", str(params["max_seconds"])),
        *map(str, params["arguments"]),
    ]


def generate_launch_description():
    """Return what ros2 launch starts."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
    from launch.substitutions import LaunchConfiguration

    def start(context):
        params = Path(LaunchConfiguration("params").perform(context))
        return [
            ExecuteProcess(
                cmd=command(params.read_text(encoding="utf-8")),
                output="screen",
                sigterm_timeout="10",
                sigkill_timeout="10",
            )
        ]

    return LaunchDescription(
        [
            DeclareLaunchArgument("params", default_value=str(PARAMS), description="the parameter file"),
            OpaqueFunction(function=start),
        ]
    )
