"""What heat does to a drive: the model infers less often, the base drives slower, and at last it stops.

A thread reads the sensors once a second. A sensor that hangs or is gone delays nothing: the last level stays,
and control goes on.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from edge.board.heat import HeatReading, HeatZone, Thermometer
from edge.board.jtop import JtopReader, open_jtop, with_jtop
from edge.board.tree import Tree
from edge.clock import Clock
from edge.interfaces import Closing, Inference
from edge.records import ActionChunk, Observation, StopCause
from edge.runs.log import fields
from edge.runtime.ending import DriveStop
from edge.runtime.loop import Worker

PERIOD_S = 1.0
LOST_S = 5.0  # without a reading, the telemetry counts as lost
# Degrees below the temperature at which a zone throttles.
REST_MARGIN_C = 8.0
SLOW_MARGIN_C = 4.0
STOP_MARGIN_C = -2.0
CRITICAL_MARGIN_C = 3.0  # below the temperature at which the board shuts down, the drive stops in any case
COOLER_C = 3.0  # a level is left this far below where it began
# Throttled by heat without a break.
THROTTLED_SLOW_S = 10.0
THROTTLED_STOP_S = 60.0
OVER_CURRENT_REST_S = 30.0  # after an event: many boards have them at their highest power mode
REST_S = 0.15  # from the end of an inference to the next one
SLOW_FRACTION = 0.5  # the part of the speed that is left

SYSFS, JTOP = "/sys", "jetson-stats"  # where temperatures come from

log = logging.getLogger(__name__)


class HeatLevel(IntEnum):
    """What heat takes from a drive; each level includes those before it."""

    COOL = 0
    REST = 1  # the model rests between inferences
    SLOW = 2  # the base drives at a fraction of its speed
    STOP = 3


class HeatRules:
    """Readings to levels. Pure: no clock, no input or output.

    A level rises by two readings in a row, since one alone may be wrong, and falls once it is clearly cooler.
    """

    def __init__(self) -> None:
        self.level = HeatLevel.COOL
        self.reason = ""  # for people; empty when cool
        self._before = HeatLevel.COOL  # what the last reading alone would be
        self._throttled_ns: int | None = None  # since when
        self._over_currents: int | None = None
        self._over_current_ns: int | None = None  # the newest event

    def update(self, reading: HeatReading, now_ns: int) -> HeatLevel:
        """Take a reading, and return the level from now on."""
        found = [(_level(zone, 0.0), _about(zone)) for zone in reading.zones]
        found += [self._by_throttling(reading, now_ns), self._by_current(reading, now_ns)]
        level, reason = max(found, key=lambda each: each[0])
        risen, self._before = min(level, self._before), level
        warm = max((_level(zone, COOLER_C) for zone in reading.zones), default=HeatLevel.COOL)
        self.level = max(risen, min(self.level, warm))
        if self.level is HeatLevel.COOL:
            self.reason = ""
        elif level >= self.level:
            self.reason = reason
        return self.level

    def _by_throttling(self, reading: HeatReading, now_ns: int) -> tuple[HeatLevel, str]:
        if not reading.throttled:
            self._throttled_ns = None
            return HeatLevel.COOL, ""
        if self._throttled_ns is None:
            self._throttled_ns = now_ns
        since_s = (now_ns - self._throttled_ns) / 1e9
        reason = f"throttled by heat for {since_s:.0f} s ({', '.join(reading.throttled)})"
        if since_s >= THROTTLED_STOP_S:
            return HeatLevel.STOP, f"{reason}, limit {THROTTLED_STOP_S:.0f} s"
        return (HeatLevel.SLOW if since_s >= THROTTLED_SLOW_S else HeatLevel.REST), reason

    def _by_current(self, reading: HeatReading, now_ns: int) -> tuple[HeatLevel, str]:
        if self._over_currents is not None and reading.over_currents > self._over_currents:
            self._over_current_ns = now_ns
        self._over_currents = reading.over_currents
        if self._over_current_ns is None or now_ns - self._over_current_ns > OVER_CURRENT_REST_S * 1e9:
            return HeatLevel.COOL, ""
        return HeatLevel.REST, "throttled by over-current: the board draws more than its supply gives"


def _level(zone: HeatZone, cooler_c: float) -> HeatLevel:
    """Return the level of a zone that is `cooler_c` hotter than it is."""
    if zone.throttle_c is None:
        return HeatLevel.COOL
    celsius = zone.celsius + cooler_c
    stop_c = zone.throttle_c - STOP_MARGIN_C
    if zone.critical_c is not None:
        stop_c = min(stop_c, zone.critical_c - CRITICAL_MARGIN_C)
    if celsius >= stop_c:
        return HeatLevel.STOP
    if celsius >= zone.throttle_c - SLOW_MARGIN_C:
        return HeatLevel.SLOW
    return HeatLevel.REST if celsius >= zone.throttle_c - REST_MARGIN_C else HeatLevel.COOL


def _about(zone: HeatZone) -> str:
    return f"{zone.name} {zone.celsius:.0f} °C (throttles at {zone.throttle_c or 0:.0f})"


@dataclass
class HeatFigures:
    """What a run tells about heat."""

    hottest: HeatZone | None = None
    rest_s: float = 0.0  # time at each level
    slow_s: float = 0.0
    over_currents: int = 0  # events during the run
    lost: int = 0  # times that the telemetry was lost


class HeatWatch(Closing):
    """Watches the heat of a machine from a thread of its own. Close it to end the thread."""

    def __init__(
        self, tree: Tree, clock: Clock, period_s: float = PERIOD_S, jtop: JtopReader | None = None
    ) -> None:
        """Watch by /sys, and by the service of jetson-stats where it runs or `jtop` listens to it."""
        self.figures = HeatFigures()
        self._thermometer = Thermometer(tree)
        self._jtop = jtop or open_jtop(tree)
        self._source = ""
        self._clock, self._period_s = clock, period_s
        self._rules = HeatRules()
        self._read_ns = clock.now_ns()
        self._lost = False
        self._first_over_currents: int | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heat", daemon=True)
        if self._thermometer.judged or self._jtop is not None:
            self._thread.start()
        else:
            log.info("heat is not watched: this machine shows no temperature of its processor")

    @property
    def level(self) -> HeatLevel:
        """What heat takes from the drive now."""
        return self._rules.level

    def to_json(self) -> dict[str, Any]:
        """Return what a run's summary tells about heat; None for what is not known."""
        figures, hottest = self.figures, self.figures.hottest
        return {
            "heat_from": self._source or None,
            "hottest": hottest.name if hottest else None,
            "hottest_c": hottest.celsius if hottest else None,
            "rest_s": round(figures.rest_s, 1),
            "slow_s": round(figures.slow_s, 1),
            "over_currents": figures.over_currents,
            "telemetry_lost": figures.lost,
        }

    def check(self) -> None:
        """Raise DriveStop if it is too hot to go on. Notes when the telemetry is lost; cheap."""
        if self._rules.level is HeatLevel.STOP:
            raise DriveStop(
                StopCause.HOT,
                f"the machine is too hot: {self._rules.reason}",
                "let it cool, check its fan, or lower its power mode; `vla-edge doctor` shows what it reads",
            )
        silent = self._clock.now_ns() - self._read_ns > LOST_S * 1e9 and self._thread.is_alive()
        if silent and not self._lost:
            self.figures.lost += 1
            log.warning("telemetry lost: the heat is not known; the drive goes on")
        elif self._lost and not silent:
            log.info("telemetry is back")
        self._lost = silent

    def slowed(self, chunk: ActionChunk) -> ActionChunk:
        """Return the chunk, slower if it is hot: the same curves at a fraction of the speed."""
        if self._rules.level < HeatLevel.SLOW:
            return chunk
        return replace(chunk, values=chunk.values * chunk.values.dtype.type(SLOW_FRACTION))

    def close(self) -> None:
        """End the thread; one that hangs in a sensor is left behind."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(self._period_s)
        if self._jtop is not None:
            self._jtop.close()

    def _work(self) -> None:
        before_ns = self._clock.now_ns()
        while not self._closed.is_set():
            reading = self._read()
            now_ns = self._clock.now_ns()
            if reading.nearest is not None:  # without one the sensors are gone: the level stays as it was
                self._take(reading, now_ns, (now_ns - before_ns) / 1e9)
            before_ns = now_ns
            self._closed.wait(self._period_s)

    def _read(self) -> HeatReading:
        """Read the sensors, and note by which way if that has changed."""
        told = self._jtop.latest() if self._jtop is not None else None
        source = SYSFS if told is None else JTOP
        if source != self._source:
            level = logging.WARNING if self._source == JTOP else logging.INFO
            why = self._jtop.trouble if self._jtop is not None and told is None else ""
            log.log(level, "heat is read", extra=fields(source=source, **({"trouble": why} if why else {})))
        self._source = source
        return with_jtop(self._thermometer.read(), told)

    def _take(self, reading: HeatReading, now_ns: int, since_s: float) -> None:
        figures, before = self.figures, self._rules.level
        figures.rest_s += since_s if before >= HeatLevel.REST else 0.0
        figures.slow_s += since_s if before >= HeatLevel.SLOW else 0.0
        if self._first_over_currents is None:
            self._first_over_currents = reading.over_currents
        figures.over_currents = reading.over_currents - self._first_over_currents
        if figures.hottest is None or (
            reading.nearest and reading.nearest.margin_c < figures.hottest.margin_c
        ):
            figures.hottest = reading.nearest
        level = self._rules.update(reading, now_ns)
        self._read_ns = now_ns
        if level is not before:
            log.warning(_SAID[level], extra=fields(heat=level.name.lower(), reason=self._rules.reason))


_SAID = {
    HeatLevel.COOL: "the machine has cooled: full rate, full speed",
    HeatLevel.REST: "the machine is hot: the model rests between inferences",
    HeatLevel.SLOW: "the machine is hot: the base drives slower",
    HeatLevel.STOP: "the machine is too hot: the drive stops",
}


class RestingWorker:
    """A worker that rests after each inference while the machine is hot, so that it computes less."""

    def __init__(self, worker: Worker, level: Callable[[], HeatLevel], clock: Clock) -> None:
        self._worker, self._level, self._clock = worker, level, clock
        self._ended_ns: int | None = None

    @property
    def busy(self) -> bool:
        """True while an inference is under way, or while it rests after one."""
        if self._worker.busy or self._ended_ns is None or self._level() is HeatLevel.COOL:
            return self._worker.busy
        return self._clock.now_ns() - self._ended_ns < REST_S * 1e9

    def submit(self, observation: Observation) -> None:
        """Begin an inference. Only when not busy."""
        self._worker.submit(observation)

    def poll(self) -> Inference | None:
        """Return a finished inference once, None while there is none. Raises what the inference raised."""
        inference = self._worker.poll()
        if inference is not None:
            self._ended_ns = self._clock.now_ns()
        return inference
