"""What Rerun is told of a drive: pictures with boxes, the path, curves, and lines of text.

Times are seconds of CLOCK_MONOTONIC, as everywhere in a run, and numbers of the camera's frames.
"""

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from edge.runs.live.snapshot import Snapshot
from edge.runs.recording.images import as_jpeg
from edge.runs.tap.events import TapEvent
from edge.runs.viewers.shown import WIDTH_PX

PATH_NS = 1_000_000_000
CURVE_NS = 50_000_000  # motor reports come at 50 Hz; curves are drawn at 20
ARROW_M = 0.3
Plain = Mapping[str, Any]


class RerunScene:
    """Tells a stream of Rerun's of a run's events, which come in their order."""

    def __init__(self, stream: Any) -> None:
        self._rerun, self._stream = import_module("rerun"), stream
        self._snapshot = Snapshot()
        self._sizes: dict[str, tuple[int, int]] = {}  # width and height as shown, by camera
        self._states: dict[str, tuple[str, str]] = {}  # with the reason, by who is in it
        self._curve_ns = self._path_ns = 0
        self.begin()

    def begin(self) -> None:
        """Tell a viewer that has just come what is told once, and what else may not change for long."""
        self._states = {}
        self._path_ns = 0
        self._stream.log("world", self._rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def take(self, event: TapEvent, tell: bool) -> None:
        """Take an event; with `tell` the stream learns of it."""
        if event.topic != "image":
            self._snapshot.take(event.topic, event.stamp_ns, event.data)
        tells = {
            "image": self._tell_image, "tick": self._tell_tick, "inference": self._tell_inference,
            "chunk": self._tell_chunk, "motor": self._tell_motor, "log": self._tell_line,
            "end": self._tell_end,
        }  # fmt: skip
        if tell and event.topic in tells:
            self._stream.set_time("monotonic", duration=event.stamp_ns / 1e9)
            tells[event.topic](event)

    def _tell_image(self, event: TapEvent) -> None:
        jpeg = as_jpeg(event, WIDTH_PX)
        camera: str = jpeg.data["camera"]
        self._sizes[camera] = int(jpeg.data["width"]), int(jpeg.data["height"])
        self._stream.set_time("frame", sequence=jpeg.data["seq"])
        image = self._rerun.EncodedImage(contents=bytes(jpeg.blob), media_type="image/jpeg")
        self._stream.log(f"camera/{camera}", image)

    def _tell_tick(self, event: TapEvent) -> None:
        rerun, camera, boxes = self._rerun, self._snapshot.camera, self._snapshot.boxes
        self._stream.set_time("frame", sequence=event.data["frames"][camera]["seq"])
        width, height = self._sizes.get(camera, (0, 0))
        if width:
            corners = [[x0 * width, y0 * height, x1 * width, y1 * height] for y0, x0, y1, x1, _ in boxes]
            form, words = rerun.Box2DFormat.XYXY, [words for *_, words in boxes]
            shown = rerun.Boxes2D(array=corners, array_format=form, labels=words) if boxes else None
            self._stream.log(f"camera/{camera}/boxes", shown or rerun.Clear(recursive=False))
        self._tell_state("policy", event.data["policy"]["state"], event.data["doubt"])

    def _tell_inference(self, event: TapEvent) -> None:
        inference: Plain = event.data["inference"]
        stages: Plain = inference["stages_ms"]
        self._tell_curves({f"latency_ms/{stage}": ms for stage, ms in stages.items()})
        self._tell_curves({"latency_ms/total": sum(stages.values()), "confidence": inference["confidence"]})
        self._tell_text("answer", inference["text"], "INFO")

    def _tell_chunk(self, event: TapEvent) -> None:
        x, y, turn = event.data["values"][0]
        self._tell_curves({"speed_m_s/wanted": math.hypot(x, y), "turn_rad_s/wanted": turn})

    def _tell_motor(self, event: TapEvent) -> None:
        self._tell_state("motor", event.data["state"], event.data["reason"])
        if event.stamp_ns < self._curve_ns:
            return
        self._curve_ns = event.stamp_ns + CURVE_NS
        shown, now_ms = self._snapshot.state(with_path=False), event.stamp_ns / 1e6
        stamps = {what: shown[f"{what}_ms"] for what in ("frame", "answer") if f"{what}_ms" in shown}
        self._tell_curves({f"age_ms/{what}": now_ms - stamp_ms for what, stamp_ms in stamps.items()})
        self._tell_curves({"speed_m_s/sent": shown["speed_m_s"], "turn_rad_s/sent": shown["turn_rad_s"]})
        if "frame_to_motor_ms" in shown:
            self._tell_curves({"latency_ms/frame_to_motor": shown["frame_to_motor_ms"]})
        if "pose" in shown:
            x, y, yaw = shown["pose"]
            ahead = [ARROW_M * math.cos(yaw), ARROW_M * math.sin(yaw), 0.0]
            self._stream.log("world/base", self._rerun.Arrows3D(origins=[[x, y, 0.0]], vectors=[ahead]))
        if event.stamp_ns >= self._path_ns:
            self._path_ns = event.stamp_ns + PATH_NS
            path = [[x, y, 0.0] for x, y in self._snapshot.state(with_path=True)["path"]]
            self._stream.log("world/path", self._rerun.LineStrips3D([path]))

    def _tell_line(self, event: TapEvent) -> None:
        line = event.data
        values = "".join(f" {key}={value}" for key, value in line["fields"].items())
        level: str = line["level"].upper()
        self._tell_text("log", f"{line['logger']}: {line['event']}{values}", level.removesuffix("ING"))

    def _tell_end(self, event: TapEvent) -> None:
        end = event.data
        self._tell_text("state", f"drive: {end['outcome']}: {end['reason']}".rstrip(": "), "INFO")

    def _tell_state(self, who: str, state: str, reason: str) -> None:
        """Tell of a state when it, or its reason, changes."""
        if self._states.get(who) != (state, reason):
            self._states[who] = state, reason
            self._tell_text("state", f"{who}: {state}" + (f": {reason}" if reason else ""), "INFO")

    def _tell_text(self, path: str, text: str, level: str) -> None:
        self._stream.log(path, self._rerun.TextLog(text, level=level))

    def _tell_curves(self, values: Mapping[str, float]) -> None:
        for path, value in values.items():
            self._stream.log(path, self._rerun.Scalars(float(value)))
