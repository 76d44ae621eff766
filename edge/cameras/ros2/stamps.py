"""Header stamps, which are of ROS's time, on CLOCK_MONOTONIC. Pure: all times are passed in, ns."""

NEWEST_NS, OLDEST_NS = -10_000_000, 1_000_000_000  # the age of an image whose clock is believed
MOST_DROPPED = 10  # in a row


class WrongClock(ValueError):
    """RosStamps that can't be of this computer's clock."""


class RosStamps:
    """The capture times of a topic's images.

    By the header, an image's age is the wall clock at its arrival minus its stamp. The wall clock may be set
    meanwhile, so no difference between the two clocks is kept. Without the header it is captured as it
    arrives: then nothing shows how long it was on its way.
    """

    def __init__(self, by_header: bool) -> None:
        self.dropped = 0  # images whose stamp was not believed
        self._by_header = by_header
        self._newest_ns = -1
        self._in_a_row = 0

    def capture_ns(self, header_ns: int, wall_ns: int, now_ns: int) -> int | None:
        """Return the CLOCK_MONOTONIC ns of an image that arrives now; None if its stamp is not believed.

        Raises WrongClock, with what is wrong about it, for the tenth in a row.
        """
        age_ns = wall_ns - header_ns if self._by_header else 0
        stamp_ns = now_ns - max(0, age_ns)
        if NEWEST_NS <= age_ns <= OLDEST_NS and stamp_ns > self._newest_ns:
            self._newest_ns, self._in_a_row = stamp_ns, 0
            return stamp_ns
        self.dropped += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_DROPPED:
            raise WrongClock(_wrong(header_ns, age_ns))
        return None


def _wrong(header_ns: int, age_ns: int) -> str:
    if header_ns == 0:
        return "its images have no stamps"
    if age_ns < NEWEST_NS:
        return f"its stamps are {_duration(-age_ns)} ahead of this computer's clock"
    if age_ns > OLDEST_NS:
        return f"its stamps are {_duration(age_ns)} behind this computer's clock"
    return "its stamps stand still or go backwards"


def _duration(ns: int) -> str:
    return f"{ns / 1e6:.0f} ms" if ns < 10_000_000_000 else f"{ns / 1e9:.0f} s"
