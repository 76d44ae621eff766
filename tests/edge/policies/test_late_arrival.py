"""Late answers: what of them counts as standing, and what goes on after a detour."""

import numpy as np
import pytest

from edge.interfaces import Inference
from edge.model.actions import ActionPrediction
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.records import ActionChunk, Image, MotorState, Observation, Odometry
from tests.edge.policies.late_drive import drive
from tests.edge.policies.test_driver import GOAL, MS, Says, policy, wall


class Twitches(Says):
    """Drives for ten answers; then the first row of each still turns a little, and the others stand."""

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> ActionPrediction:
        self.actions = (0.8, 0.0) if len(self.asked) < 10 else (0.0, 0.0)
        made = super().step(image, prompt, odometry)
        if len(self.asked) > 10:
            made.actions[0] = np.array([0.0, 0.2])
        return made


@pytest.mark.parametrize(("late_ms", "arrives"), [(20, False), (240, True)])
def test_rows_that_elapse_before_their_answer_comes_are_no_motion(late_ms: int, arrives: bool) -> None:
    """At 20 ms the first row is driven, so the base goes on turning; at 240 ms it stands, and is there."""
    made = policy(Twitches())
    drive(made, GOAL, Guard(MotorLimits()), [late_ms], 12.0)
    assert made.status.reached is arrives


class Dithering(Says):
    """Turns left twice, then right twice, for ever: it sees the same two views."""

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> ActionPrediction:
        self.actions = (0.0, 1.0 if len(self.asked) // 2 % 2 else -1.0)
        return super().step(image, prompt, odometry)


@pytest.mark.parametrize("late_ms", [pytest.param(240, marks=pytest.mark.slow), 1300])
def test_a_slow_policy_that_turns_to_and_fro_is_driven_elsewhere_and_looks_on_there(late_ms: int) -> None:
    """After the detour nothing fresh is there to follow: the base stands by a chunk that does not age."""
    made = policy(Dithering(), lambda image, view: wall(2.0))
    states: list[str] = []
    act = made.act

    def noted(observation: Observation, inference: Inference | None) -> ActionChunk | None:
        chunk = act(observation, inference)
        states.append(made.status.state)
        return chunk

    made.act = noted  # type: ignore[method-assign]
    found = drive(made, GOAL, Guard(MotorLimits()), [late_ms], 34.0)
    assert found.guard.state in (MotorState.FOLLOWING, MotorState.HOLDING), found.guard.reason
    assert found.guard.counts.repeated == 0, "an answer about a frame before the end of the detour"
    over = next(after for after in range(states.index("detour"), len(states)) if states[after] != "detour")
    over_ns = (over + 1) * 40 * MS
    assert over_ns < 30e9, "it comes to its end"
    assert found.ways(over_ns + 1000 * MS)[1] > 0.1, "and the policy turns on"
