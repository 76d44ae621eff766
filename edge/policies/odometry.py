"""Whether a policy can drive a base that does not measure its motion, and what a person should know then."""

import time
from collections.abc import Callable

from edge.errors import UsageError
from edge.goals.goals import GOALS
from edge.interfaces import LooksRound, Policy, UsesOdometry
from edge.motor.client import MotorProcess
from edge.records import Goal

WAIT_S = 2.0  # for the first odometry; the model has been loaded meanwhile, so most bases have sent some
_POLL_S = 0.01


def odometry_cautions(
    policy: Policy, goal: Goal, motor: MotorProcess, check: Callable[[], None]
) -> tuple[str, ...]:
    """Return what to say before a drive on a base without odometry; nothing if it reports some in time.

    `check` raises what ends the wait, such as KeyboardInterrupt. Raises UsageError if the policy can't drive
    without odometry.
    """
    looks_round = isinstance(policy, LooksRound) and policy.looks_round
    if not (GOALS[goal.kind].moves or looks_round):
        return ()
    deadline_s = time.monotonic() + WAIT_S
    while motor.status().odometry is None:
        check()
        if time.monotonic() > deadline_s:
            return (_caution(policy),)
        time.sleep(_POLL_S)
    return ()


def _caution(policy: Policy) -> str:
    """Return what the policy does without odometry. Raises UsageError if it needs some."""
    uses = policy if isinstance(policy, UsesOdometry) else None
    if uses is not None and uses.needs_odometry:
        raise UsageError(
            f"no odometry: the base has reported none within {WAIT_S:g} s, and this policy can't drive "
            f"without: {uses.without_odometry}",
            "give the base's driver odometry, or take a bundle that drives without, such as --bundle head",
        )
    then = f"; {uses.without_odometry}" if uses is not None and uses.without_odometry else ""
    return f"no odometry: nothing checks that the base moves as told{then}"
