"""What is believed of a target: where it stands, and whether it is really there."""

import math

from edge.perception.geometry import Pose, View, wrap
from edge.records import Detection

BELIEF_S = 0.4  # time constant of the belief: the share of the newest answers that saw it
LOOK_S = 2.0  # time constant of a look's likeness
MAX_RADIUS_M = 0.4
_FRESH, _TRACKED = 0.5, 0.15  # weight of a position from an answer, and from the tracked box


class TargetEstimate:
    """One target of a search. Positions are in the odometry frame."""

    def __init__(self, out_of_view_ns: int = 6_000_000_000) -> None:
        """Begin without a position; a target out of view is believed in for `out_of_view_ns`."""
        self._out_of_view_ns = out_of_view_ns
        self.x_m = 0.0
        self.y_m = 0.0
        self.known = False
        self.hits = 0  # answers in a row that saw it
        self.belief = 0.0  # [0, 1]
        self.confidence = 0.0  # confidence of the newest answers that saw it, smoothed
        self.likeness = 0.0  # [0, 1], mean confidence of this look's answers; a miss counts 0
        self.bearing_rad = 0.0  # at which it was seen last, left positive
        self.radius_m = 0.0  # half its width, as far as it is seen
        self._answered_ns = 0
        self._hit_ns = 0
        self._looked_s = 0.0

    def start_look(self) -> None:
        """Begin a look of its own, from another side."""
        self.hits, self._looked_s = 0, 0.0

    def saw(self, detection: Detection, view: View, pose: Pose, stamp_ns: int) -> None:
        """Take in an answer about the frame of `stamp_ns`, taken at `pose`, that has found it."""
        self._believe(1.0, detection.confidence, stamp_ns)
        self._hit_ns = stamp_ns
        self.hits += 1
        weight = 0.3 if self.hits > 1 else 1.0
        self.confidence += weight * (detection.confidence - self.confidence)
        self._locate(detection, view, pose, _FRESH)

    def missed(self, view: View, pose: Pose, stamp_ns: int) -> None:
        """Take in an answer that has not found it: held against it only if it should have been in view."""
        self.hits = 0
        bearing_rad = math.atan2(*reversed(pose.to_base(self.x_m, self.y_m)))
        in_view = abs(wrap(bearing_rad)) < 0.9 * view.half_fov_rad
        if in_view or not self.known or stamp_ns - self._hit_ns > self._out_of_view_ns:
            self._believe(0.0, 0.0, stamp_ns)
        self._answered_ns = stamp_ns

    def track(self, detection: Detection, view: View, pose: Pose) -> None:
        """Take in where the tracked box is now."""
        if self.known:
            self._locate(detection, view, pose, _TRACKED)

    def forget(self) -> None:
        """Drop its position: it is no longer of interest."""
        self.known, self.hits, self.belief = False, 0, 0.0

    def _believe(self, seen: float, confidence: float, stamp_ns: int) -> None:
        gone_s = min(0.2, max(0.0, (stamp_ns - self._answered_ns) / 1e9))
        self.belief += (1 - math.exp(-gone_s / BELIEF_S)) * (seen - self.belief)
        # A plain mean at first, then an exponential one.
        self._looked_s += gone_s
        self.likeness += gone_s / max(min(self._looked_s, LOOK_S), 1e-3) * (confidence - self.likeness)
        self._answered_ns = stamp_ns

    def _locate(self, detection: Detection, view: View, pose: Pose, weight: float) -> None:
        bearing_rad = view.bearing(detection.box)
        point = view.place(detection.box)
        x, y = pose.to_world(*point)
        jump = math.hypot(x - self.x_m, y - self.y_m) > 0.5 * math.hypot(*point) + 0.3
        if not self.known or (jump and weight == _FRESH):
            weight = 1.0
        self.x_m += weight * (x - self.x_m)
        self.y_m += weight * (y - self.y_m)
        half_width_m = (detection.box.x1 - detection.box.x0) * view.tan_u * math.hypot(*point)
        self.radius_m += weight * (min(MAX_RADIUS_M, half_width_m) - self.radius_m)
        self.known, self.bearing_rad = True, bearing_rad
