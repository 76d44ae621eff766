"""Approach a velocity in the plane under acceleration and jerk limits. Vectors are complex numbers."""

import math


def clipped(vector: complex, limit: float) -> complex:
    """Shorten `vector` to the length `limit` if it is longer."""
    length = abs(vector)
    return vector if length <= limit else vector * (limit / length)


def faster(vector: complex, lowest: float) -> complex:
    """Return `vector` if it is longer than `lowest`, else zero."""
    return vector if abs(vector) > lowest else 0j


def capped(vector: complex, highest: float, lowest: float) -> complex:
    """Shorten `vector` to the length `highest`; to zero if that is below the `lowest` speed of a base."""
    return clipped(vector, highest) if highest >= lowest else 0j


def slew(
    velocity: complex,
    last_accel: complex,
    target: complex,
    accel: float,
    decel: float,
    jerk: float,
    dt_s: float,
) -> tuple[complex, complex]:
    """Compute the velocity `dt_s` (> 0) seconds later, and the acceleration that leads to it.

    |change| <= decel * dt_s and growth of the speed <= accel * dt_s always hold. The jerk limit yields to
    both, to a target of zero, and to landing exactly on the target. Units are m/s or rad/s and their
    derivatives.
    """
    gap = target - velocity
    if target == 0:
        wanted = last_accel = clipped(gap / dt_s, decel)
    else:
        slowing = (gap * velocity.conjugate()).real < 0
        wanted = clipped(gap * 1e9, min(decel if slowing else accel, _eased(abs(gap), jerk, dt_s)))
    chosen = clipped(last_accel + clipped(wanted - last_accel, jerk * dt_s), decel)
    change = chosen * dt_s
    # The last step lands on the target exactly, and neither passes it nor misses it by a rounding.
    lands = (change * gap.conjugate()).real >= abs(gap) ** 2 * (1 - 1e-9)
    after = target if lands else velocity + change
    after = clipped(after, abs(velocity) + accel * dt_s)
    return after, (after - velocity) / dt_s


def _eased(gap: float, jerk: float, dt_s: float) -> float:
    """Compute the acceleration from which steps of full negative jerk end just where the gap closes."""
    unit = jerk * dt_s
    steps = 2 * gap / (unit * dt_s)
    # This is sqrt(1/4 + steps) - 1/2, written so that a tiny gap does not vanish in the difference.
    return unit * steps / (math.sqrt(0.25 + steps) + 0.5)
