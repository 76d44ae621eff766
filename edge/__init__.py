"""The runtime that runs on the robot: camera to motors, safe by construction. Never imports torch."""

__version__ = "0.1.0"
