"""Action heads: hidden states at the action tokens to chunks of actions.

B batch, S steps, L action tokens a step, D width of the tokens, T horizon, A action dims. Continuous heads
give raw actions (B, S, T, A): pose in [-1, 1] (tanh); the gripper, if there is one, is the last number, a
logit. The nets are those of RoboVLMs (arXiv 2412.14058). The discrete head (`vla.heads.discrete`) has no net
of its own.
"""

from vla.heads.base import Head, HeadConfig, HeadMemory
from vla.heads.fc import FCHead
from vla.heads.gpt import GPTHead
from vla.heads.lstm import LSTMHead

__all__ = ["HEADS", "FCHead", "GPTHead", "Head", "HeadConfig", "HeadMemory", "LSTMHead", "build_head"]

HEADS: dict[str, type[Head]] = {"fc": FCHead, "lstm": LSTMHead, "gpt": GPTHead}


def build_head(width: int, tokens: int, window: int, config: HeadConfig) -> Head:
    """Build the continuous head that `config.kind` names, with random weights."""
    return HEADS[config.kind](width, tokens, window, config)
