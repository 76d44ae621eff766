"""Images of a scene without a screen, and the truth about what is visible in them."""

import math
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import HardwareMissing
from edge.perception.geometry import COLUMNS
from edge.records import Box, CameraMount, Image
from sim.objects import Geom
from sim.realtime.lens import Bending, bent_lens
from sim.scene import Scene, SceneObject


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """The robot's camera and where it sits on the base."""

    width: int = 320
    height: int = 240
    vertical_fov_rad: float = math.radians(55)
    height_m: float = 0.35
    forward_m: float = 0.12
    pitch_rad: float = math.radians(12)  # downwards
    rate_hz: float = 30.0
    distortion: float = 0.0  # one of sim.realtime.lens.DISTORTION's range

    @property
    def mount(self) -> CameraMount:
        """Where it sits, for the policy."""
        return CameraMount(self.vertical_fov_rad, self.height_m, self.pitch_rad, self.forward_m)


@dataclass(frozen=True, slots=True)
class Visible:
    """A named object as the camera sees it."""

    index: int  # in Scene.objects
    box: Box  # around its visible pixels
    distance_m: float  # from the camera to the object's centre, along the floor
    pixels: int  # visible ones
    whole: float  # area of the visible box / area of the box with nothing before it, in the image


OFF_SCREEN = ("egl", "osmesa")
if os.environ.get("MUJOCO_GL", OFF_SCREEN[0]) not in OFF_SCREEN:
    # MuJoCo reads it when it is first imported, and a backend that draws on a screen draws nothing here.
    del os.environ["MUJOCO_GL"]


def _gl() -> tuple[str, type]:
    """Return the first off-screen GL that works: EGL, else OSMesa."""
    errors: list[str] = []
    wanted = os.environ.get("MUJOCO_GL")
    for name in (wanted,) if wanted else OFF_SCREEN:
        os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = name
        try:
            if name == "egl":
                from mujoco.egl import GLContext
            else:
                from mujoco.osmesa import GLContext
            GLContext(16, 16).free()
            return name, GLContext
        except Exception as error:  # noqa: BLE001, whatever a missing GL library raises, by its own binding
            errors.append(f"{name}: {type(error).__name__}: {error}")
    raise HardwareMissing(
        "no off-screen renderer for the simulated camera (" + "; ".join(errors) + ")",
        "sudo apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri",
    )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A compiled scene, uploaded. MuJoCo's own types are known at run time only."""

    model: Any  # MjModel
    scene: Scene
    context: Any  # MjrContext
    drawn: Any  # MjvScene
    body_object: NDArray[np.int64]  # index in Scene.objects by body, -1 for none


@dataclass
class Renderer:
    """Renders scenes off screen. One GL context for many models; not for several threads; close it."""

    spec: CameraSpec = field(default_factory=CameraSpec)

    def __post_init__(self) -> None:
        self.backend, context_class = _gl()
        import mujoco

        self._mujoco = mujoco
        spec = self.spec
        size, self._fov_rad = (spec.width, spec.height), spec.vertical_fov_rad
        self._bending: Bending | None = None
        if spec.distortion:
            bending = Bending.of(bent_lens(*size, spec.vertical_fov_rad, spec.distortion))
            self._bending, size, self._fov_rad = bending, bending.size_px, bending.vertical_fov_rad
        self._gl = context_class(*size)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._rect = mujoco.MjrRect(0, 0, *size)
        self._loaded: _Loaded | None = None

    @property
    def _now(self) -> _Loaded:
        assert self._loaded is not None, "load a scene first"
        return self._loaded

    def load(self, model: Any, scene: Scene) -> None:
        """Upload a compiled scene."""
        m = self._mujoco
        self._unload()
        self._gl.make_current()  # another renderer of this process may have drawn last
        context = m.MjrContext(model, m.mjtFontScale.mjFONTSCALE_50)
        m.mjr_setBuffer(m.mjtFramebuffer.mjFB_OFFSCREEN, context)
        drawn = m.MjvScene(model, maxgeom=1000)
        for flag in (m.mjtRndFlag.mjRND_SHADOW, m.mjtRndFlag.mjRND_REFLECTION, m.mjtRndFlag.mjRND_HAZE):
            drawn.flags[flag] = 0
        body_object = np.full(model.nbody, -1)
        for i in range(len(scene.objects)):
            body_object[model.body(f"object_{i}").id] = i
        self._loaded = _Loaded(model, scene, context, drawn, body_object)

    def image(self, data: Any, x_m: float, y_m: float, yaw_rad: float, pitch_rad: float | None = None,
              height_m: float | None = None) -> Image:  # fmt: skip
        """Return the image from a base at (x, y, yaw), (height, width, 3) RGB."""
        self._aim(data, x_m, y_m, yaw_rad, pitch_rad, height_m)
        return self._read(smooth=True)

    def truth(self, data: Any, x_m: float, y_m: float, yaw_rad: float, pitch_rad: float | None = None,
              height_m: float | None = None) -> list[Visible]:  # fmt: skip
        """Return what can be seen from there, from a segmentation render."""
        return self.visible_in(self.segment(data, x_m, y_m, yaw_rad, pitch_rad, height_m))

    def segment(self, data: Any, x_m: float, y_m: float, yaw_rad: float, pitch_rad: float | None = None,
                height_m: float | None = None) -> NDArray[np.int64]:  # fmt: skip
        """Return the geom that each pixel shows, (height, width); -1 for none."""
        m = self._mujoco
        self._aim(data, x_m, y_m, yaw_rad, pitch_rad, height_m)
        drawn = self._now.drawn
        drawn.flags[m.mjtRndFlag.mjRND_SEGMENT] = 1
        drawn.flags[m.mjtRndFlag.mjRND_IDCOLOR] = 1
        rgb = self._read(smooth=False).astype(np.int32)
        drawn.flags[m.mjtRndFlag.mjRND_SEGMENT] = 0
        drawn.flags[m.mjtRndFlag.mjRND_IDCOLOR] = 0
        segment = rgb[..., 0] + (rgb[..., 1] << 8) + (rgb[..., 2] << 16) - 1
        geom = np.full(drawn.ngeom + 1, -1)
        for g in drawn.geoms[: drawn.ngeom]:
            if g.objtype == m.mjtObj.mjOBJ_GEOM and g.segid >= 0:
                geom[g.segid] = g.objid
        return geom[np.where((segment >= 0) & (segment < len(geom)), segment, -1)]

    def visible_in(self, geoms: NDArray[np.int64]) -> list[Visible]:
        """Return the named objects in the newest `segment`."""
        owner = np.append(self._now.body_object[self._now.model.geom_bodyid], -1)  # the last is for no geom
        return self._visible(owner[geoms])

    def floor_rows_in(self, geoms: NDArray[np.int64], columns: int = COLUMNS) -> NDArray[np.float32]:
        """Return where the floor ends in a `segment`, by image column from the left, (columns,).

        It is the bottom edge of the lowest pixel that isn't floor, as a fraction of the image's height; 1 if
        no floor is seen.
        """
        height, width = geoms.shape
        other = geoms != self._now.model.geom("floor").id
        lowest = np.where(other.any(0), height - other[::-1].argmax(0), 0)
        edges = np.arange(columns + 1) * width / columns
        spans = zip(np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int), strict=True)
        return np.array([lowest[a:b].max() / height for a, b in spans], np.float32)

    def close(self) -> None:
        self._unload()
        self._gl.free()

    def __del__(self) -> None:
        # MuJoCo would free what is collected in another renderer's context, whose picture then stays.
        if hasattr(self, "_loaded"):
            self._unload()

    def _unload(self) -> None:
        if self._loaded is not None:
            self._gl.make_current()
            self._loaded.context.free()
            self._loaded = None

    def _aim(
        self, data: Any, x: float, y: float, yaw: float, pitch: float | None, height: float | None
    ) -> None:
        m, spec, now = self._mujoco, self.spec, self._now
        self._gl.make_current()
        pitch = spec.pitch_rad if pitch is None else pitch
        height = spec.height_m if height is None else height
        x, y = x + spec.forward_m * math.cos(yaw), y + spec.forward_m * math.sin(yaw)
        self._camera.type = m.mjtCamera.mjCAMERA_FREE
        self._camera.orthographic = 0
        self._camera.azimuth = math.degrees(yaw)
        self._camera.elevation = -math.degrees(pitch)
        self._camera.distance = 1.0
        c = math.cos(pitch)
        self._camera.lookat[:] = (x + c * math.cos(yaw), y + c * math.sin(yaw), height - math.sin(pitch))
        now.model.vis.global_.fovy = math.degrees(self._fov_rad)
        self._pose = (x, y, height, yaw, pitch)
        m.mjv_updateScene(now.model, data, self._option, None, self._camera, m.mjtCatBit.mjCAT_ALL, now.drawn)

    def _read(self, smooth: bool) -> Image:
        m = self._mujoco
        m.mjr_render(self._rect, self._now.drawn, self._now.context)
        image = np.empty((self._rect.height, self._rect.width, 3), np.uint8)
        m.mjr_readPixels(image, None, self._rect, self._now.context)
        upright = image[::-1].copy()
        return upright if self._bending is None else self._bending.bent(upright, smooth)

    def _visible(self, ids: NDArray[np.int64]) -> list[Visible]:
        height, width = ids.shape
        found: list[Visible] = []
        for i in np.unique(ids[ids >= 0]):
            ys, xs = np.nonzero(ids == i)
            box = Box(ys.min() / height, xs.min() / width, (ys.max() + 1) / height, (xs.max() + 1) / width)
            o = self._now.scene.objects[i]
            distance = math.hypot(o.x_m - self._pose[0], o.y_m - self._pose[1])
            full = self._projected(o)
            whole = min(1.0, box.area / full.area) if full is not None and full.area > 0 else 1.0
            found.append(Visible(int(i), box, distance, len(ys), whole))
        return found

    def _projected(self, o: SceneObject) -> Box | None:
        """Return the box of the geoms' corner points, clipped to the image; None if behind the camera."""
        points: list[tuple[float, float, float]] = []
        for g in o.geoms:
            sx, sy, sz = _half_extent(g)
            for dx in (-sx, sx):
                for dy in (-sy, sy):
                    for dz in (-sz, sz):
                        points.append((g.pos[0] + dx, g.pos[1] + dy, g.pos[2] + dz))
        p = np.array(points)
        c, s = math.cos(o.yaw_rad), math.sin(o.yaw_rad)
        world = np.stack([o.x_m + c * p[:, 0] - s * p[:, 1], o.y_m + s * p[:, 0] + c * p[:, 1], p[:, 2]], 1)
        v, u, depth = project(world, self._pose, self.spec)
        if depth.min() <= 0.02:
            return None
        y0, y1 = np.clip([v.min(), v.max()], 0, 1)
        x0, x1 = np.clip([u.min(), u.max()], 0, 1)
        return Box(float(y0), float(x0), float(y1), float(x1))


def _half_extent(g: Geom) -> tuple[float, float, float]:
    if g.type == "sphere":
        return g.size[0], g.size[0], g.size[0]
    if g.type == "cylinder" and not any(g.euler):
        r = g.size[0] * 0.85  # the corners of the square around a circle lie outside the circle
        return r, r, g.size[1]
    if g.type == "box" or (g.type == "ellipsoid" and not any(g.euler)):
        return g.size[0], g.size[1], g.size[2]
    r = min(g.size)
    return r, r, r


def project(world: NDArray[np.float64], pose: tuple[float, float, float, float, float], spec: CameraSpec):
    """Project world points (N, 3) to v, u in [0, 1] inside the image, and depth in metres (pinhole)."""
    x, y, z, yaw, pitch = pose
    d = world - np.array([x, y, z])
    forward_flat = d[:, 0] * math.cos(yaw) + d[:, 1] * math.sin(yaw)
    left = -d[:, 0] * math.sin(yaw) + d[:, 1] * math.cos(yaw)
    depth = forward_flat * math.cos(pitch) - d[:, 2] * math.sin(pitch)
    up = forward_flat * math.sin(pitch) + d[:, 2] * math.cos(pitch)
    half_v = math.tan(spec.vertical_fov_rad / 2)
    half_u = half_v * spec.width / spec.height
    safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
    return 0.5 - up / safe / half_v / 2, 0.5 - left / safe / half_u / 2, depth


def degrade(image: Image, rng: np.random.Generator, noise: float = 4.0, blur_px: float = 0.6) -> Image:
    """Add what a cheap sensor does: blur (sigma in pixels) and noise (deviation in grey levels)."""
    import cv2

    if blur_px > 0.05:
        image = cv2.GaussianBlur(image, (0, 0), blur_px).astype(np.uint8)
    if noise > 0:
        image = np.asarray(cv2.add(image, _noise(image.shape, rng, noise), dtype=cv2.CV_8U), np.uint8)
    return image


_NOISE_FIELD: dict[tuple[int, ...], NDArray[np.float32]] = {}


def _noise(shape: tuple[int, ...], rng: np.random.Generator, sigma: float) -> NDArray[np.int16]:
    """Return a random window of one field of noise: drawing 230,000 normals a frame would cost 3 ms."""
    field_ = _NOISE_FIELD.get(shape)
    if field_ is None:
        tall = (shape[0] + 64, shape[1] + 64, *shape[2:])
        field_ = np.random.default_rng(0).standard_normal(tall, dtype=np.float32)
        _NOISE_FIELD[shape] = field_
    dy, dx = (int(v) for v in rng.integers(0, 64, 2))
    return np.rint(field_[dy : dy + shape[0], dx : dx + shape[1]] * sigma).astype(np.int16)
