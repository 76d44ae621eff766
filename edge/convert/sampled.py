"""A drive at an even rate: which image each row sees, where the base was, and what was sent to it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.convert.driven_run import DrivenRun
from edge.motor.guard import ARMED
from edge.records import Goal, MotorStatus, Odometry, Velocity

OLD_NS = 250_000_000  # an older image stops a drive
_TASKS = {
    "find_object": "find the {}",
    "follow_object": "follow the {}",
    "instruct": "{}",
    "describe_scene": "describe the scene",
    "identify_main_object": "identify the main object",
}


@dataclass(frozen=True, slots=True)
class SampledDrive:
    """Row t has what was known at its time, and what was sent from then until row t + 1."""

    images: dict[str, NDArray[np.int64]]  # by camera (n,): stamp of the newest image, by the file's clock
    states: NDArray[np.float32]  # (n, 6): x_m, y_m, yaw_rad and velocities; (n, 0) without odometry
    actions: NDArray[np.float32]  # (n, 3): m/s, m/s, rad/s; the mean of what the motor process sent
    by_hand: NDArray[np.bool_]  # (n,): a person drove for some of that time
    old_images: int  # rows with an image that is older than OLD_NS

    @property
    def rows(self) -> int:
        return len(self.actions)


def sample(run: DrivenRun, rate_hz: int) -> SampledDrive | None:
    """Return the part of a run in which the base was armed; None if there is none with images."""
    statuses = _armed(run.statuses)
    if not statuses or not run.stamps_ns:
        return None
    # Those of images are in order but for a camera's own jitter.
    seen = {name: np.sort(np.array(stamps, np.int64)) for name, stamps in run.stamps_ns.items()}
    reports = np.array([each.stamp_ns for each in statuses], np.int64) + run.offset_ns
    first_ns = max(int(reports[0]), *(int(stamps[0]) for stamps in seen.values()))
    period_ns = 10**9 / rate_hz
    count = int((int(reports[-1]) - first_ns) / period_ns)
    if count < 1:
        return None
    edges = first_ns + np.rint(np.arange(count + 1) * period_ns).astype(np.int64)
    newest = {name: stamps[np.searchsorted(stamps, edges[:-1], "right") - 1] for name, stamps in seen.items()}
    old = np.any([edges[:-1] - stamps > OLD_NS for stamps in newest.values()], axis=0)
    sent = np.array([_numbers(each.sent) for each in statuses], np.float64)
    hand = np.array([each.by_hand for each in statuses])
    # Without a report in a row's time, the one before it still holds.
    begin = np.minimum(np.searchsorted(reports, edges[:-1]), len(reports) - 1)
    until = np.searchsorted(reports, edges[1:])
    begin = np.where(until > begin, begin, np.maximum(until - 1, 0))
    spans = [slice(a, max(b, a + 1)) for a, b in zip(begin, until, strict=True)]
    before = np.maximum(np.searchsorted(reports, edges[:-1], "right") - 1, 0)
    return SampledDrive(
        newest,
        _states([each.odometry for each in statuses], before),
        np.array([sent[span].mean(0) for span in spans], np.float32),
        np.array([bool(hand[span].any()) for span in spans]),
        int(old.sum()),
    )


def task_words(goal: Goal) -> str:
    """Return a goal as the instruction of an episode, in the words of `vla-edge collect`."""
    return _TASKS[goal.kind].format(goal.target)


def _armed(statuses: list[MotorStatus]) -> list[MotorStatus]:
    """Return the reports from the first to the last of the armed base, which one that stops is not."""
    at = [number for number, each in enumerate(statuses) if each.state in ARMED]
    return statuses[at[0] : at[-1] + 1] if at else []


def _states(known: list[Odometry | None], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what the base knew of itself at those reports; the first that it measured stands for earlier."""
    newest = next((each for each in known if each is not None), None)
    if newest is None:
        return np.empty((len(rows), 0), np.float32)
    states: list[tuple[float, ...]] = []
    for each in known:
        newest = each or newest
        states.append((newest.x_m, newest.y_m, newest.yaw_rad, *_numbers(newest.velocity)))
    return np.array(states, np.float32)[rows]


def _numbers(velocity: Velocity) -> tuple[float, float, float]:
    return velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s
