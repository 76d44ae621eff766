"""A camera whose delay was measured: how old its frames may be, and what bounds the motion that they steer.

The delay is the time from the exposure to the camera's own stamp. It is taken off the stamp, so every age and
every pose of a frame is that of its exposure.
"""

from dataclasses import replace

import numpy as np

from edge.motor.limits import CEILINGS, MotorLimits
from edge.records import ActionChunk, Frame

MOST_DELAY_S = 0.5  # a later camera is mended, not calibrated
SILENT_S = 0.2  # so long a camera may be silent, whatever its delay
FULL_SPEED = MotorLimits()
BY_AGE_S = CEILINGS["follow_age_s"]  # the motor process follows no older frame, unless the way bounds it
FRAME_S = 0.033  # between two frames of most cameras
ON_THE_WAY_S = 0.05  # from a frame to the tick of the motor process that follows it


def exposed(frame: Frame, delay_s: float) -> Frame:
    """Return the frame with the stamp of its exposure. `delay_s`: from there to the stamp that it has."""
    if not delay_s and not frame.delay_ns:
        return frame
    delay_ns = min(round(delay_s * 1e9), frame.stamp_ns)
    return replace(frame, stamp_ns=frame.stamp_ns - delay_ns, delay_ns=delay_ns)


def is_late(delay_s: float) -> bool:
    """Return True if a delay leaves so little of the age limit that motion must be bounded by its way."""
    return delay_s + SILENT_S > BY_AGE_S


def longest_age_s(limit_s: float, delay_s: float) -> float:
    """Return how old a frame may be, from its exposure: the limit, or more if the camera is late.

    What answers frames of such a camera is bounded by way, so that the base goes no farther on them.
    """
    return delay_s + SILENT_S if is_late(delay_s) else limit_s


def told(delay_s: float) -> str:
    """Return the delay for the end of a sentence; empty if there is none."""
    return f", {delay_s * 1e3:.0f} ms of it the camera's own delay" if delay_s else ""


def for_delay(chunk: ActionChunk, frame: Frame) -> ActionChunk:
    """Return the chunk that answers a frame, bounded by way if its camera is late.

    It is as slow as such frames allow, so that the motor process need not brake again and again. Its rows
    begin as the camera gives the frame, later by the delay: those before are over by then. Chunks that are
    bounded by way already are left: they have been made for late answers.
    """
    if chunk.by_way or not is_late(frame.delay_ns / 1e9):
        return chunk
    highest_m_s, highest_rad_s = fastest(frame.delay_ns / 1e9, FULL_SPEED)
    linear_m_s, angular_rad_s = np.hypot(chunk.values[:, 0], chunk.values[:, 1]), np.abs(chunk.values[:, 2])
    used = np.maximum(linear_m_s / highest_m_s, angular_rad_s / highest_rad_s)
    slowed = chunk.values / np.maximum(used, 1.0)[:, None].astype(np.float32)
    over = round(frame.delay_ns / 1e9 / chunk.dt_s)
    values = np.concatenate([np.repeat(slowed[:1], over, axis=0), slowed])
    until_ns = chunk.valid_until_ns + round(over * chunk.dt_s * 1e9)
    return replace(chunk, values=values, valid_until_ns=until_ns, by_way=True)


def fastest(delay_s: float, limits: MotorLimits) -> tuple[float, float]:
    """Return the highest speed, m/s, and turn rate, rad/s, that frames so late allow without a pause."""
    share = limits.share_by_way(delay_s + FRAME_S + ON_THE_WAY_S)
    return share * limits.linear_m_s, share * limits.angular_rad_s


def caution(name: str, delay_s: float, limits: MotorLimits) -> str:
    """Return what to say before a drive about a camera's measured delay; empty if that changes nothing."""
    speed_m_s = fastest(delay_s, replace(limits, lowest_m_s=0.0, lowest_rad_s=0.0))[0]
    if not is_late(delay_s) or speed_m_s >= limits.linear_m_s:
        return ""
    return (
        f"camera {name!r} is {delay_s * 1e3:.0f} ms late, as measured: the base goes {speed_m_s:.2f} m/s at "
        f"most, so that it stands within {limits.blind_m:.2f} m of what a frame showed"
    )
