"""Tests against ROS 2 itself, which skip where Python has no rclpy."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Nobody else's nodes are in this domain, and none of these tests' leave this computer.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skipif(
        find_spec("rclpy") is None, reason="this Python has no ROS 2; scripts/ros2-venv -m pytest tests/ros2"
    )
    # Both from within ROS: about modules of Python's own, and about its own logger.
    ignore = pytest.mark.filterwarnings(
        "ignore:module 'sre_.*' is deprecated:DeprecationWarning",
        "ignore:Deprecated in favor of .*RcutilsLogger:DeprecationWarning",
    )
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(skip)
            item.add_marker(ignore)
