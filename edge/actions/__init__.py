"""The numbers of actions: physical values to what a net learns, and exactly back.

Training and the robot share these. `encode` goes towards the net, `decode` towards the robot.
"""

from edge.actions.frames import GimbalLock, tcp_to_world, to_absolute, to_relative, world_to_tcp
from edge.actions.normalise import (
    CALVIN_RANGE,
    CALVIN_RELATIVE,
    GRIPPER,
    MeanStd,
    MinMax,
    MuLaw,
    Pipeline,
    Transform,
)
from edge.actions.tokenizer import ActionTokenizer, NotAnAction

__all__ = [
    "CALVIN_RANGE",
    "CALVIN_RELATIVE",
    "GRIPPER",
    "ActionTokenizer",
    "GimbalLock",
    "MeanStd",
    "MinMax",
    "MuLaw",
    "NotAnAction",
    "Pipeline",
    "Transform",
    "tcp_to_world",
    "to_absolute",
    "to_relative",
    "world_to_tcp",
]
