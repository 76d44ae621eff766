"""Figures of ROS 2 in and out. They need a Python that has it: scripts/ros2-venv."""
