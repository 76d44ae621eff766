"""Random rooms: what stands where, how it is lit, and the MJCF that MuJoCo compiles.

World frame: x east, y north, z up, origin in the middle of the room's floor. Metres, radians.
"""

import math
from dataclasses import dataclass

import numpy as np

from edge.base_spec import DEFAULT_BASE
from sim.objects import COLOURS, KINDS, Geom, Rgb, sample_clutter, sample_rgb
from sim.signs import sign_assets, signs_on_walls

WALL_THICKNESS_M = 0.1


@dataclass(frozen=True, slots=True)
class SceneObject:
    """A named thing in the room."""

    kind: str
    colour: str
    x_m: float
    y_m: float
    yaw_rad: float
    radius_m: float  # radius of the circle around (x, y) that holds its footprint
    geoms: tuple[Geom, ...]

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}".strip()


@dataclass(frozen=True, slots=True)
class Light:
    """A directional light."""

    direction: tuple[float, float, float]
    diffuse: Rgb


@dataclass(frozen=True, slots=True)
class Surface:
    """The look of a floor or wall: a MuJoCo built-in texture."""

    builtin: str  # flat | checker | gradient
    rgb1: Rgb
    rgb2: Rgb
    mark: str  # none | random
    repeat: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole room. `objects` have names and can be targets, `clutter` can't; both are solid."""

    width_m: float  # along x
    depth_m: float  # along y
    wall_height_m: float
    objects: tuple[SceneObject, ...]
    clutter: tuple[SceneObject, ...]
    floor: Surface
    wall: Surface
    lights: tuple[Light, ...]
    ambient: Rgb
    start: tuple[float, float, float]  # x, y, yaw of the robot
    seed: int
    signs: bool = False  # there are words on the walls, see sim.signs


def footprint_radius_m(geoms: list[Geom]) -> float:
    """Return the radius of a circle around the object's origin that holds its geoms, seen from above."""
    radius = 0.0
    for g in geoms:
        if g.type in ("box", "ellipsoid"):
            reach = math.hypot(g.size[0], g.size[1])
        elif g.type == "capsule" and any(g.euler):
            reach = g.size[0] + g.size[1]
        else:
            reach = g.size[0]
        radius = max(radius, math.hypot(g.pos[0], g.pos[1]) + reach)
    return radius


class _Placer:
    """Finds free positions by rejection."""

    def __init__(self, width_m: float, depth_m: float, rng: np.random.Generator) -> None:
        self.half = (width_m / 2, depth_m / 2)
        self.rng = rng
        self.taken: list[tuple[float, float, float]] = []

    def place(self, radius: float, gap: float, tries: int = 60) -> tuple[float, float] | None:
        hx, hy = self.half[0] - radius - 0.08, self.half[1] - radius - 0.08
        if hx <= 0 or hy <= 0:
            return None
        for _ in range(tries):
            x, y = float(self.rng.uniform(-hx, hx)), float(self.rng.uniform(-hy, hy))
            if all(math.hypot(x - a, y - b) > radius + r + gap for a, b, r in self.taken):
                self.taken.append((x, y, radius))
                return x, y
        return None


def _surface(rng: np.random.Generator, value: tuple[float, float], repeat: float) -> Surface:
    import colorsys

    hue, saturation = rng.uniform(), rng.uniform(0, 0.35)
    v = rng.uniform(*value)
    rgb1 = colorsys.hsv_to_rgb(hue, saturation, v)
    rgb2 = colorsys.hsv_to_rgb((hue + rng.uniform(-0.05, 0.05)) % 1, saturation, v * rng.uniform(0.75, 1.1))
    rgb2 = (min(1, rgb2[0]), min(1, rgb2[1]), min(1, rgb2[2]))
    builtin = str(rng.choice(["flat", "checker", "gradient"], p=[0.4, 0.4, 0.2]))
    return Surface(builtin, rgb1, rgb2, str(rng.choice(["none", "random"])), repeat * rng.uniform(0.5, 1.5))


def _lights(rng: np.random.Generator) -> tuple[tuple[Light, ...], Rgb]:
    lights: list[Light] = []
    for _ in range(int(rng.integers(1, 3))):
        angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.2)
        level = rng.uniform(0.25, 0.6)
        r, g, b = level * (1 + rng.uniform(-0.06, 0.06, 3))
        direction = (float(slope * np.cos(angle)), float(slope * np.sin(angle)), -1.0)
        lights.append(Light(direction, (float(r), float(g), float(b))))
    r, g, b = rng.uniform(0.3, 0.5) * (1 + rng.uniform(-0.05, 0.05, 3))
    return tuple(lights), (float(r), float(g), float(b))


def _sample_object(kind: str, colour: str, placer: _Placer, rng: np.random.Generator) -> SceneObject | None:
    geoms = KINDS[kind].build(float(rng.uniform(*KINDS[kind].height_m)), sample_rgb(colour, rng), rng)
    radius = footprint_radius_m(geoms)
    spot = placer.place(radius, gap=0.12)
    if spot is None:
        return None
    return SceneObject(kind, colour, *spot, float(rng.uniform(-np.pi, np.pi)), radius, tuple(geoms))


def sample_scene(
    seed: int,
    target: tuple[str, str] | None = None,
    absent: tuple[str, str] | None = None,
    size_m: tuple[float, float] = (3.0, 8.0),
    radius_m: float = DEFAULT_BASE.radius_m,
) -> Scene:
    """Return a random room.

    `target` (kind, colour) is surely in it, as `objects[0]`; `absent` is surely not. An empty colour in
    `target` means any; in `absent` it means all colours. A base of `radius_m` has room
    where it starts.
    """
    rng = np.random.default_rng(seed)
    width, depth = (float(v) for v in rng.uniform(*size_m, 2))
    while True:
        placer = _Placer(width, depth, rng)
        start = placer.place(radius_m, gap=0.0)
        objects = [o for o in _sample_objects(rng, placer, target, absent) if o]
        if start is not None and objects and (target is None or objects[0].kind == target[0]):
            break
    clutter: list[SceneObject] = []
    for _ in range(int(rng.integers(0, 1 + int(width * depth / 8)))):
        geoms = sample_clutter(rng)
        radius = footprint_radius_m(geoms)
        spot = placer.place(radius, gap=0.15)
        if spot is not None:
            yaw = float(rng.uniform(-np.pi, np.pi))
            clutter.append(SceneObject("clutter", "", *spot, yaw, radius, tuple(geoms)))
    lights, ambient = _lights(rng)
    return Scene(
        width, depth, float(rng.uniform(1.2, 2.6)), tuple(objects), tuple(clutter),
        _surface(rng, (0.3, 0.75), 0.8), _surface(rng, (0.45, 0.92), 1.0), lights, ambient,
        (*start, float(rng.uniform(-np.pi, np.pi))), seed,
    )  # fmt: skip


def _sample_objects(
    rng: np.random.Generator,
    placer: _Placer,
    target: tuple[str, str] | None,
    absent: tuple[str, str] | None,
) -> list[SceneObject | None]:
    wanted: list[tuple[str, str]] = []
    if target is not None:
        wanted.append((target[0], target[1] or str(rng.choice(list(COLOURS)))))
    count = int(rng.integers(3, 9))
    while len(wanted) < count:
        kind, colour = str(rng.choice(list(KINDS))), str(rng.choice(list(COLOURS)))
        if wanted and rng.uniform() < 0.25:  # distractors: the same kind or colour again
            other = wanted[int(rng.integers(len(wanted)))]
            kind, colour = (other[0], colour) if rng.uniform() < 0.6 else (kind, other[1])
        if absent is not None and kind == absent[0] and absent[1] in ("", colour):
            continue
        wanted.append((kind, colour))
    return [_sample_object(kind, colour, placer, rng) for kind, colour in wanted]


def _geom_xml(g: Geom, name: str) -> str:
    size = " ".join(f"{v:.4f}" for v in g.size)
    pos = " ".join(f"{v:.4f}" for v in g.pos)
    rgb = " ".join(f"{v:.3f}" for v in g.rgb)
    euler = f' euler="{g.euler[0]:.1f} {g.euler[1]:.1f} {g.euler[2]:.1f}"' if any(g.euler) else ""
    return f'<geom name="{name}" type="{g.type}" size="{size}" pos="{pos}" rgba="{rgb} 1"{euler}/>'


def _object_xml(o: SceneObject, name: str) -> str:
    geoms = "".join(_geom_xml(g, f"{name}/{i}") for i, g in enumerate(o.geoms))
    pose = f'pos="{o.x_m:.4f} {o.y_m:.4f} 0" euler="0 0 {math.degrees(o.yaw_rad):.2f}"'
    return f'<body name="{name}" {pose}>{geoms}</body>'


def _surface_xml(s: Surface, name: str, seed: int, type_: str) -> str:
    rgb = [" ".join(f"{v:.3f}" for v in c) for c in (s.rgb1, s.rgb2)]
    return (
        f'<texture name="{name}" type="{type_}" builtin="{s.builtin}" rgb1="{rgb[0]}" rgb2="{rgb[1]}" '
        f'mark="{s.mark}" markrgb="{rgb[1]}" random="0.05" width="64" height="64"/>'
        f'<material name="{name}" texture="{name}" texrepeat="{s.repeat:.2f} {s.repeat:.2f}" '
        'texuniform="true" specular="0.05" shininess="0.1"/>'
    )


def scene_mjcf(scene: Scene, robot_xml: str = "", timestep_s: float = 0.004) -> str:
    """Return the scene as MJCF. Objects are bodies `object_i`, clutter `clutter_i`, walls geoms `wall_i`.

    `robot_xml` is put into the worldbody. Signs need the files of `sim.signs.sign_pictures`.
    """
    hx, hy, h, t = scene.width_m / 2, scene.depth_m / 2, scene.wall_height_m / 2, WALL_THICKNESS_M / 2
    walls = [(hx + t, 0, t, hy + 2 * t), (-hx - t, 0, t, hy + 2 * t), (0, hy + t, hx, t), (0, -hy - t, hx, t)]
    wall_xml = "".join(
        f'<geom name="wall_{i}" type="box" material="wall" '
        f'pos="{x:.4f} {y:.4f} {h:.4f}" size="{sx:.4f} {sy:.4f} {h:.4f}"/>'
        for i, (x, y, sx, sy) in enumerate(walls)
    )
    lights = "".join(
        f'<light type="directional" castshadow="false" dir="{" ".join(f"{v:.3f}" for v in light.direction)}" '
        f'diffuse="{" ".join(f"{v:.3f}" for v in light.diffuse)}" specular="0.1 0.1 0.1"/>'
        for light in scene.lights
    )
    things = "".join(_object_xml(o, f"object_{i}") for i, o in enumerate(scene.objects))
    things += "".join(_object_xml(o, f"clutter_{i}") for i, o in enumerate(scene.clutter))
    things += signs_on_walls(scene.width_m, scene.depth_m) if scene.signs else ""
    ambient = " ".join(f"{v:.3f}" for v in scene.ambient)
    return f"""<mujoco>
<compiler angle="degree" eulerseq="XYZ"/>
<option timestep="{timestep_s}" integrator="implicitfast" cone="elliptic"/>
<visual>
  <headlight ambient="{ambient}" diffuse="0.1 0.1 0.1" specular="0 0 0"/>
  <quality shadowsize="0" offsamples="0"/>
  <map znear="0.002" zfar="3"/>
  <global offwidth="640" offheight="480"/>
</visual>
<statistic extent="8" center="0 0 0.5"/>
<asset>
  <texture type="skybox" builtin="gradient" rgb1="0.75 0.78 0.82" rgb2="0.55 0.57 0.6"
   width="16" height="96"/>
  {_surface_xml(scene.floor, "floor", scene.seed, "2d")}
  {_surface_xml(scene.wall, "wall", scene.seed, "cube")}
  {sign_assets() if scene.signs else ""}
</asset>
<worldbody>
  {lights}
  <geom name="floor" type="plane" size="{hx + 0.2:.3f} {hy + 0.2:.3f} 0.1" material="floor"/>
  {wall_xml}{things}{robot_xml}
</worldbody>
</mujoco>"""
