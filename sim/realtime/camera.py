"""The simulated camera in real time: a thread that renders, so that firmware and physics don't wait."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.clock import MonotonicClock
from edge.errors import HardwareMissing
from edge.interfaces import Closing
from edge.perception.geometry import Pose
from edge.records import Image
from sim.bases import Hanging
from sim.realtime.camera_faults import FaultyCamera
from sim.render import CameraSpec, Renderer, degrade
from sim.world import World

START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Optics:
    """What a real camera adds to an image."""

    noise: float = 4.0  # standard deviation in grey levels
    blur_px: float = 0.6  # sigma
    upside_down: bool = False
    latency_ms: float = 0.0  # from exposure to the image, at least; rendering takes some itself
    delay_ms: float = 0.0  # from exposure to the stamp, which the image then has as it comes


class ImageSink(Protocol):
    """Where images go: a `edge.cameras.shm.FrameRing`, or a topic."""

    def write(self, image: Image, stamp_ns: int) -> object:
        """Take one image (H, W, 3) RGB and the time of its capture."""
        ...


class CameraThread(Closing):
    """Renders the newest exposure into what takes images. Constructing waits until the first is drawn.

    Raises what the renderer raises: HardwareMissing if there is no off-screen GL.
    """

    def __init__(
        self, world: World, spec: CameraSpec, optics: Optics, ring: ImageSink, fault: FaultyCamera
    ) -> None:
        self.spec = spec
        self.backend = ""
        self.frames = 0
        self.skipped = 0  # exposures that came while an image was drawn
        self._world = world
        self._optics = optics
        self._ring = ring
        self._fault = fault
        self._clock = MonotonicClock()
        self._rng = np.random.default_rng(world.scene.seed)
        self._changed = threading.Condition()
        self._exposure: tuple[Pose, int] | None = None
        self._coming: deque[tuple[Image, int]] = deque()  # drawn, and its stamp has not come
        self._due_ns = 0  # the room's time of the next image
        self._closing = False
        self._error: Exception | None = None
        self._ready = threading.Event()
        # A daemon, so that a GL driver that hangs can't keep a finished process alive.
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S):
            raise HardwareMissing(f"the renderer did not start within {START_LIMIT_S:.0f} s")
        self._raise_error()

    def expose_if_due(self, stamp_ns: int) -> None:
        """Take an image of the room at this moment, if the camera's rate asks for one by the room's time.

        One that waits to be drawn is replaced. Raises what the renderer raised.
        """
        self._raise_error()
        if self._world.time_ns < self._due_ns:
            return
        self._due_ns += round(1e9 / self.spec.rate_hz)
        with self._changed:
            self.skipped += self._exposure is not None
            self._exposure = (self._world.pose, stamp_ns)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(2.0)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            # A GL context belongs to the thread that made it.
            renderer = Renderer(self.spec)
            renderer.load(self._world.model, self._world.scene)
            self._draw_all(renderer)
            renderer.close()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that runs the room
            self._error = error
        finally:
            self._ready.set()

    def _draw_all(self, renderer: Renderer) -> None:
        import mujoco

        # Only the robot moves, and it does not see itself, so the room is drawn as it was at the start.
        data = mujoco.MjData(self._world.model)
        mujoco.mj_forward(self._world.model, data)
        renderer.image(data, *self._world.scene.start)  # the first one is slow
        self.backend = renderer.backend
        self._ready.set()
        while (exposure := self._next()) is not None:
            pose, stamp_ns = exposure
            image = renderer.image(data, pose.x_m, pose.y_m, pose.yaw_rad)
            image = degrade(image, self._rng, self._optics.noise, self._optics.blur_px)
            image = Hanging(self._optics.upside_down).turned(image)
            self._clock.sleep_until(stamp_ns + round(self._optics.latency_ms * 1e6))
            spoiled = self._fault.spoil(image, stamp_ns, self._with_noise)
            if spoiled is not None:
                self._coming.append((spoiled[0], spoiled[1] + round(self._optics.delay_ms * 1e6)))

    def _with_noise(self, image: Image) -> Image:
        return degrade(image, self._rng, self._optics.noise, 0.0)

    def _next(self) -> tuple[Pose, int] | None:
        """Return the next exposure, and deliver what is due meanwhile; None once it closes."""
        while True:
            wait_s = self._deliver()
            with self._changed:
                self._changed.wait_for(lambda: self._exposure is not None or self._closing, wait_s)
                exposure, self._exposure = self._exposure, None
                if self._closing or exposure is not None:
                    return None if self._closing else exposure

    def _deliver(self) -> float | None:
        """Deliver the images whose time has come; return the seconds until the next one, None without any."""
        while self._coming:
            wait_ns = self._coming[0][1] - self._clock.now_ns()
            # Stamps of a faulty camera may be far ahead of the clock: it delivers them all the same.
            if 0 < wait_ns <= self._optics.delay_ms * 1e6:
                return wait_ns / 1e9
            self._ring.write(*self._coming.popleft())
            self.frames += 1
        return None
