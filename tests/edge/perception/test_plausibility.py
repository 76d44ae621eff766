"""A camera that is late, frozen or foreign is told from one that is well, while the base obeys the doubt."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from edge.perception import picture_lag
from edge.perception.picture_lag import BaseMotion, LagFit, TurnsSeen
from edge.perception.plausibility import CONFIRMED_S, LAST_LOOK_S, MOST_LOOK_S, Doubt, Plausibility
from edge.records import (
    ZERO,
    CameraMount,
    Frame,
    Image,
    MotorState,
    MotorStatus,
    Odometry,
    StopCause,
    Velocity,
)
from tests.edge.perception.surroundings import MOUNT, Surroundings, painted

MS = 1_000_000
TICK_NS, ARRIVAL_NS = 20 * MS, 20 * MS
AROUND = Surroundings(painted(), MOUNT, 160, 120)
ELSEWHERE = Surroundings(painted(5), MOUNT, 160, 120)


@dataclass
class Turntable:
    """A base that turns as `wanted` says, a rate by seconds, and stands while its camera is in doubt.

    `shown` makes the image at a time from the headings until then, one a tick. Without `measured` it reports
    what it is told alone, and obeys only if it is not `dead`.
    """

    wanted: Callable[[float], float]
    shown: Callable[["Turntable", int], Image]
    measured: bool = True
    dead: bool = False
    away_s: tuple[float, float] = (0.0, 0.0)  # without frames from one time to the other
    back_s: float = 0.0  # when the way back began that a picture which stays is judged by; 0: not yet
    mount: CameraMount = MOUNT
    headings: list[float] = field(default_factory=lambda: [0.0])
    doubts: list[str] = field(default_factory=list)
    may_arrive: list[float] = field(default_factory=list)  # when it might
    now_s: float = 0.0

    def heading(self, time_s: float) -> float:
        times = np.arange(len(self.headings)) * TICK_NS / 1e9
        return float(np.interp(time_s, times, self.headings))

    def run(self, seconds: float) -> Plausibility:
        """Go on until the camera is at fault, or so many seconds are over."""
        base = BaseMotion()
        judge, rate, seq = Plausibility("front", self.mount, base), 0.0, 0
        for tick in range(round(seconds * 1e9 / TICK_NS)):
            now_ns = tick * TICK_NS
            self.now_s = now_ns / 1e9
            self.back_s = self.back_s or (self.now_s if judge.held else 0.0)
            base.goes_back = bool(self.back_s) and self.now_s < self.back_s + 1.0
            told = 0.0 if judge.doubt else self.wanted(self.now_s)
            told = -0.4 if base.goes_back and self.now_s < self.back_s + 0.6 else told
            rate += min(max(told - rate, -4.0 * 0.02), 4.0 * 0.02)
            self.headings.append(self.headings[-1] + (0.0 if self.dead else rate * TICK_NS / 1e9))
            yaw_rad = math.remainder(self.headings[-1], 2 * math.pi)
            odometry = Odometry(now_ns + TICK_NS, 0.0, 0.0, yaw_rad, ZERO) if self.measured else None
            sent = Velocity(0.0, 0.0, rate)
            base.take(MotorStatus(now_ns + TICK_NS, MotorState.FOLLOWING, sent, odometry=odometry))
            while (stamp_ns := round(seq * 1e9 / 30)) + ARRIVAL_NS <= now_ns + TICK_NS:
                if not self.away_s[0] <= stamp_ns / 1e9 < self.away_s[1]:
                    judge.take(Frame(self.shown(self, stamp_ns), stamp_ns, seq), stamp_ns + ARRIVAL_NS)
                seq += 1
            if judge.doubt and self.doubts[-1:] != [judge.doubt]:
                self.doubts.append(judge.doubt)
            if judge.may_arrive:
                self.may_arrive.append(self.now_s)
            if judge.fault is not None:
                break
        return judge


def late(lag_s: float = 0.0, from_s: float = 0.0, scene: Surroundings = AROUND) -> Callable[..., Image]:
    """Show the heading of so long ago, from a time on."""

    def shown(table: Turntable, stamp_ns: int) -> Image:
        time_s = stamp_ns / 1e9
        return scene.seen(table.heading(time_s - lag_s if time_s >= from_s else time_s), stamp_ns)

    return shown


def to_and_fro(time_s: float) -> float:
    """Turn for 2 s, stand for 1 s, turn back."""
    return (0.0, 0.8, 0.8, 0.0, -0.7, -0.7)[int(time_s + 0.5) % 6]


def cause_of(judge: Plausibility) -> StopCause:
    return StopCause.NONE if judge.fault is None else judge.fault.cause


@pytest.mark.parametrize("lag_s", [0.0, pytest.param(0.1, marks=pytest.mark.slow), 0.2])
def test_a_camera_that_is_well_is_never_in_doubt_and_its_lag_is_measured(lag_s: float):
    table = Turntable(to_and_fro, late(lag_s))
    judge = table.run(14)
    assert cause_of(judge) is StopCause.NONE and not table.doubts
    assert judge.lag_s == pytest.approx(lag_s, abs=0.11)


@pytest.mark.parametrize(
    ("lag_s", "from_s"),
    [
        (0.4, 0.0),
        (1.0, 4.2),
        (2.0, 0.0),
        pytest.param(0.4, 4.2, marks=pytest.mark.slow),
        pytest.param(1.0, 0.0, marks=pytest.mark.slow),
        pytest.param(2.0, 4.2, marks=pytest.mark.slow),
    ],
)
def test_a_late_picture_is_told_with_its_age_and_that_of_its_stamp(lag_s: float, from_s: float):
    """Field case 4."""
    table = Turntable(to_and_fro, late(lag_s, from_s))
    judge = table.run(14)
    assert cause_of(judge) is StopCause.CAMERA_LATE and table.doubts
    assert judge.fault is not None and judge.fault.message.startswith("camera 'front': its picture is about ")
    told_ms = float(judge.fault.message.split("about ")[1].split(" ms")[0])
    assert told_ms == pytest.approx(1e3 * lag_s + 20, abs=250), judge.fault.message
    assert "stamp says 20 ms" in judge.fault.message and "newest one at every stage" in judge.fault.hint
    assert not [at_s for at_s in table.may_arrive if at_s > from_s + 1.0 + lag_s]


@pytest.mark.parametrize(("lags_s", "cause"), [
    ((1.2, 0.0), StopCause.NONE),
    pytest.param((1.2, 1.7, 0.0), StopCause.NONE, marks=pytest.mark.slow),
    ((1.2, 1.3), StopCause.CAMERA_LATE),
    ((0.4,), StopCause.CAMERA_LATE),
])  # fmt: skip
def test_a_lag_that_a_standing_base_does_not_show_counts_once_it_is_measured_again(
    lags_s: tuple[float, ...], cause: StopCause, monkeypatch: pytest.MonkeyPatch
):
    """Turns that near things distort fit some lag by chance: here one after the other, by new turns each."""
    measured = [*lags_s]

    def forget(turns: TurnsSeen) -> None:
        del measured[:1]
        turns._turns.clear()

    monkeypatch.setattr(TurnsSeen, "forget", forget)
    monkeypatch.setattr(picture_lag, "lag_of", lambda turns, base: LagFit(measured[0], True, False))
    table = Turntable(to_and_fro, late())
    judge = table.run(20)
    assert cause_of(judge) is cause and table.doubts == [Doubt.LATE.value]
    assert len(measured) == 1, "all were measured"


@pytest.mark.parametrize("turn_rad_s", [0.03, pytest.param(0.045, marks=pytest.mark.slow)])
def test_a_base_that_creeps_moves_its_picture(turn_rad_s: float):
    """It turns by less within 0.3 s than what counts as standing."""
    table = Turntable(lambda time_s: turn_rad_s * (1 if time_s % 1.0 < 0.5 else -1), late(), mount=MOUNT)
    judge = table.run(8)
    assert cause_of(judge) is StopCause.NONE and not table.doubts


def test_a_picture_that_jumps_back_makes_the_base_stand_at_once():
    table = Turntable(to_and_fro, late(1.0, 2.2))
    table.run(2.27)
    assert table.doubts == [Doubt.JUMPED.value]


def test_what_was_odd_before_a_camera_was_away_is_not_held_against_the_base_after_it():
    """Its picture stays for 0.3 s of a turn, then it is away; meanwhile the base stands, as it would."""

    def shown(table: Turntable, stamp_ns: int) -> Image:
        time_s = stamp_ns / 1e9
        return AROUND.seen(table.heading(2.0 if 2.0 <= time_s < 3.0 else time_s), stamp_ns)

    table = Turntable(lambda time_s: 0.8 if 2.0 <= time_s < 2.35 else 0.0, shown, away_s=(2.35, 5.0))
    judge = table.run(7)
    assert cause_of(judge) is StopCause.NONE and table.back_s == 0.0 and not table.doubts


@pytest.mark.parametrize("dead", [False, True])
def test_a_picture_that_stays_while_the_base_turns_is_frozen_or_the_base_slips(dead: bool):
    """Field cases 1 and 28: a frozen picture with new noise, and wheels that turn alone."""
    table = Turntable(lambda time_s: 0.8, lambda table, ns: AROUND.seen(0.2, ns))
    table.dead = dead
    judge = table.run(8)
    if dead:
        assert cause_of(judge) is StopCause.NONE, "by its odometry it stands"
        return
    assert cause_of(judge) is StopCause.CAMERA_STILL and table.now_s < 5
    assert judge.fault is not None and "does not change while the base moves" in judge.fault.message
    assert "frozen" in judge.fault.hint and "does not move though its wheels do" in judge.fault.hint


def test_a_base_that_does_nothing_and_measures_nothing_is_told_by_the_picture():
    """Field case 28."""
    table = Turntable(lambda time_s: 0.8, late(), measured=False, dead=True)
    judge = table.run(8)
    assert cause_of(judge) is StopCause.CAMERA_STILL and table.now_s < 5
    assert judge.fault is not None and "while the base is told to move" in judge.fault.message


def test_a_base_that_measures_nothing_but_obeys_is_not_in_doubt():
    table = Turntable(to_and_fro, late(0.2), measured=False)
    assert cause_of(table.run(14)) is StopCause.NONE and not table.doubts
    assert cause_of(Turntable(to_and_fro, late(1.5), measured=False).run(14)) is StopCause.CAMERA_LATE


@pytest.mark.parametrize("from_s", [0.0, 3.0])
def test_another_scene_that_moves_while_the_base_stands_is_foreign(from_s: float):
    def shown(table: Turntable, stamp_ns: int) -> Image:
        time_s = stamp_ns / 1e9
        if time_s < from_s:
            return late()(table, stamp_ns)
        return ELSEWHERE.seen(math.sin(2.0 * time_s), stamp_ns)

    judge = Turntable(lambda time_s: 0.0, shown).run(10)
    assert cause_of(judge) is StopCause.CAMERA_FOREIGN
    assert judge.fault is not None and "its picture" in judge.fault.message


def test_a_picture_that_jumps_again_and_again_is_foreign():
    """A loop of a few seconds, in which nothing moves."""
    scenes = (AROUND, ELSEWHERE)
    table = Turntable(lambda time_s: 0.0, lambda table, ns: scenes[ns // 2_000_000_000 % 2].seen(0.0, ns))
    judge = table.run(12)
    assert cause_of(judge) is StopCause.CAMERA_FOREIGN and judge.fault is not None
    assert "jumped 4 times within 6 s" in judge.fault.message


@pytest.mark.parametrize(
    "loop_s", [pytest.param(1.3, marks=pytest.mark.slow), 1.57, pytest.param(1.8, marks=pytest.mark.slow)]
)
def test_a_turn_that_is_shown_over_and_over_is_foreign_and_not_late(loop_s: float):
    """After each round the picture jumps, and shows no motion until it can be compared again."""

    def shown(table: Turntable, stamp_ns: int) -> Image:
        time_s = stamp_ns / 1e9
        return AROUND.seen(
            table.heading(time_s if time_s < 3.0 else 3.0 - loop_s + (time_s - 3.0) % loop_s), stamp_ns
        )

    table = Turntable(lambda time_s: 0.8, shown)
    judge = table.run(9)
    assert cause_of(judge) is StopCause.CAMERA_FOREIGN and table.now_s < 3.0 + 3.5


def test_a_mirrored_picture_turns_against_the_base():
    """Field case 5."""
    judge = Turntable(lambda time_s: 0.8, lambda table, ns: AROUND.seen(-table.heading(ns / 1e9), ns)).run(8)
    assert cause_of(judge) is StopCause.CAMERA_FOREIGN
    assert judge.fault is not None and "turns against the base" in judge.fault.message
    assert "`flip=`" in judge.fault.hint


def test_a_lamp_makes_the_base_look_and_go_on():
    def shown(table: Turntable, stamp_ns: int) -> Image:
        image = late()(table, stamp_ns)
        return image if stamp_ns < 5000 * MS else (image * 0.5).astype(np.uint8)

    table = Turntable(to_and_fro, shown)
    judge = table.run(12)
    assert cause_of(judge) is StopCause.NONE and not judge.doubt
    assert table.doubts in ([], [Doubt.JUMPED.value]) and judge.lag_s == 0.0


def test_a_person_who_walks_by_a_base_that_stands_is_no_fault():
    def shown(table: Turntable, stamp_ns: int) -> Image:
        image = late()(table, stamp_ns)
        left = round(160 * ((stamp_ns / 2e9) % 1.4 - 0.4))
        image[10:, max(0, left) : max(0, left + 60)] = 90
        return image

    table = Turntable(lambda time_s: 0.8 if 1 < time_s < 3 else 0.0, shown)
    judge = table.run(12)
    assert cause_of(judge) is StopCause.NONE and not judge.doubt


def test_an_arrival_takes_a_look_that_is_short_where_the_lag_is_known():
    table = Turntable(lambda time_s: (0.7, -0.7)[int(2 * time_s) % 2] if time_s < 4 else 0.0, late())
    table.run(4 + CONFIRMED_S)
    first_s = min(table.may_arrive)
    assert LAST_LOOK_S < first_s - 4 < LAST_LOOK_S + 0.4
    steady = Turntable(lambda time_s: 0.5 if time_s < 4 else 0.0, late())
    steady.headings = [0.0]
    judge = steady.run(8)
    assert cause_of(judge) is StopCause.NONE and min(steady.may_arrive) - 4 < MOST_LOOK_S + 0.4


def test_a_base_that_never_moved_may_arrive_once_it_has_stood():
    table = Turntable(lambda time_s: 0.0, late())
    table.run(4)
    assert MOST_LOOK_S - 0.3 < min(table.may_arrive) < MOST_LOOK_S + 0.4


def test_a_camera_that_looks_at_the_floor_is_not_judged():
    down = CameraMount(1.0, 0.35, 1.3, 0.1)
    table = Turntable(to_and_fro, lambda table, ns: AROUND.seen(0.2, ns), mount=down)
    judge = table.run(4)
    assert cause_of(judge) is StopCause.NONE and judge.may_arrive and not table.doubts
