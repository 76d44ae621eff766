"""Physics of one room and the base in it, in steps of TIMESTEP_NS of the simulation's own clock."""

import math
from collections import deque

import numpy as np

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.perception.geometry import Pose
from edge.records import ZERO, Image, Odometry, Velocity
from sim.bases import WheelResponse, wheels_of
from sim.render import Renderer, Visible, degrade
from sim.scene import Scene, SceneObject, scene_mjcf
from sim.signs import sign_pictures

TIMESTEP_NS = 4_000_000
MASS_KG = 8.0
MOTOR_LAG_S = 0.06  # time constant of the wheels behind their setpoint
GRIP_S = 0.03  # time constant of the body behind the wheels while they grip
ARRIVED_M, ARRIVED_RAD = 0.7, math.radians(20)  # at most, from a target's surface and off its centre
AS_STATED = WheelResponse()
WHEELS = ("grip", "weak", "slip", "dead")  # as they should; and stop when the base is held; see docs/bases.md
TRACTION_M_S2 = 0.35 * 9.81  # beyond this the wheels slip
WEAK_M_S2 = 0.25 * 9.81  # all that weak motors give
APART_NS = 100_000_000  # contacts that are less apart are one
_HEIGHT_M = 0.36

# Group 4 is not drawn: the camera sits inside of this shape.
_ROBOT_XML = """<body name="robot" pos="0 0 0">
<joint name="robot_x" type="slide" axis="1 0 0"/><joint name="robot_y" type="slide" axis="0 1 0"/>
<joint name="robot_yaw" type="hinge" axis="0 0 1"/>
<inertial pos="0 0 0.1" mass="{mass}" diaginertia="{inertia} {inertia} {inertia}"/>
<geom name="robot" type="cylinder" size="{radius} {half_height}" pos="0 0 {middle}" group="4"/>
</body>"""


class World:
    """A room with the robot in it. `command` sets the wheels' setpoint, `step` advances TIMESTEP_NS.

    The wheels follow what the base's kind of drive allows, at the speeds that its controller knows. Poses are
    in the world frame.
    """

    def __init__(
        self,
        scene: Scene,
        seed: int = 0,
        base: BaseSpec = DEFAULT_BASE,
        response: WheelResponse = AS_STATED,
    ) -> None:
        import mujoco

        self._mujoco = mujoco
        self.scene = scene
        self.base = base
        self.stated = base  # what the robot states of it, where that was measured
        self._response = response
        self._inertia_kg_m2 = 0.5 * MASS_KG * base.radius_m**2
        robot_xml = _ROBOT_XML.format(
            mass=MASS_KG,
            inertia=self._inertia_kg_m2,
            radius=base.radius_m,
            half_height=_HEIGHT_M / 2,
            middle=_HEIGHT_M / 2 + 0.03,
        )
        self.model = mujoco.MjModel.from_xml_string(
            scene_mjcf(scene, robot_xml, timestep_s=TIMESTEP_NS / 1e9),
            sign_pictures() if scene.signs else {},
        )
        self.data = mujoco.MjData(self.model)
        self.data.qpos[:3] = scene.start
        mujoco.mj_forward(self.model, self.data)
        self.rng = np.random.default_rng((scene.seed, seed))
        self._robot_geom = self.model.geom("robot").id
        self._floor_geom = self.model.geom("floor").id
        self._wheels = np.zeros(3)  # body velocity that the wheels turn at
        self._setpoint = ZERO
        self._coming: deque[tuple[int, Velocity]] = deque()  # setpoints with the time of their effect
        self._odometry = np.zeros(3)
        # Wheel diameters are never quite what the firmware believes.
        self._scale = 1 + self.rng.normal(0, [0.01, 0.01, 0.006])
        self.wheels = WHEELS[0]
        self.gyro = False  # its odometry turns as a gyro measures: as the body does, not as the wheels
        self.has_bumper = True  # it has a bumper all round, as bases of this size have that clean rooms
        self.time_ns = 0
        self.bumped = False  # touches something right now
        self._touched_ns: int | None = None  # when it touched something last
        self.bumps_ns: list[int] = []  # when each contact began
        self.path_m = 0.0

    def command(self, setpoint: Velocity) -> None:
        """Set the velocity that the wheels shall reach."""
        self._coming.append((self.time_ns + round(self._response.delay_ms * 1e6), setpoint))

    def step(self) -> None:
        """Advance one time step."""
        dt = TIMESTEP_NS / 1e9
        while self._coming and self._coming[0][0] <= self.time_ns:
            self._setpoint = self._response.given(self._coming.popleft()[1])
        s = wheels_of(self.base, ZERO if self.wheels == "dead" else self._setpoint)
        wanted = np.array([s.linear_x_m_s, s.linear_y_m_s, s.angular_z_rad_s])
        self._wheels += (wanted - self._wheels) * (dt / MOTOR_LAG_S)
        yaw = self.data.qpos[2]
        c, sn = math.cos(yaw), math.sin(yaw)
        vx, vy, w = self.data.qvel[:3]
        body = np.array([c * vx + sn * vy, -sn * vx + c * vy, w])
        pull = (self._wheels - body) / GRIP_S
        linear = math.hypot(pull[0], pull[1])
        if self.wheels == "weak" and linear > WEAK_M_S2:  # the motors give way before the wheels slip
            pull[:2] *= WEAK_M_S2 / linear
            self._wheels[:2] = body[:2] + pull[:2] * GRIP_S
            linear = WEAK_M_S2
        if linear > TRACTION_M_S2:
            pull[:2] *= TRACTION_M_S2 / linear
        turn_limit = TRACTION_M_S2 / self.base.radius_m
        pull[2] = min(max(pull[2], -turn_limit), turn_limit)
        if self.wheels in ("slip", "dead"):
            pull[:], self.data.qvel[:3] = 0.0, 0.0
        force = MASS_KG * pull[:2]
        self.data.qfrc_applied[0] = c * force[0] - sn * force[1]
        self.data.qfrc_applied[1] = sn * force[0] + c * force[1]
        self.data.qfrc_applied[2] = self._inertia_kg_m2 * pull[2]
        before = self.data.qpos[:2].copy()
        self._mujoco.mj_step(self.model, self.data)
        self.time_ns += TIMESTEP_NS
        self.path_m += float(np.hypot(*(self.data.qpos[:2] - before)))
        self._integrate_odometry(dt)
        self._check_bumper()

    @property
    def pose(self) -> Pose:
        x, y, yaw = (float(v) for v in self.data.qpos[:3])
        return Pose(x, y, math.remainder(yaw, 2 * math.pi))

    @property
    def bumps(self) -> int:
        """How often a contact began."""
        return len(self.bumps_ns)

    @property
    def bumper(self) -> bool | None:
        """True while the bumper is pressed; None if the base has none."""
        return self.bumped if self.has_bumper else None

    @property
    def speed_m_s(self) -> float:
        return float(np.hypot(*self.data.qvel[:2]))

    def odometry(self, stamp_ns: int) -> Odometry:
        """Return what the wheels' encoders measure, and the gyro, in the frame of the start pose."""
        x, y, yaw = (float(v) for v in self._odometry)
        velocity = Velocity(*(float(v) for v in self._measured()))
        return Odometry(stamp_ns, x, y, math.remainder(yaw, 2 * math.pi), velocity)

    def image(self, renderer: Renderer, noise: float = 4.0, blur_px: float = 0.6) -> Image:
        """Return what the robot's camera sees now. `renderer` must have this world loaded."""
        p = self.pose
        return degrade(renderer.image(self.data, p.x_m, p.y_m, p.yaw_rad), self.rng, noise, blur_px)

    def truth(self, renderer: Renderer) -> list[Visible]:
        """Return the objects that are visible now, for scoring and tests."""
        p = self.pose
        return renderer.truth(self.data, p.x_m, p.y_m, p.yaw_rad)

    def _measured(self) -> np.ndarray:
        v = self._wheels * self._scale
        return np.array([v[0], v[1], self.data.qvel[2]]) if self.gyro else v

    def _integrate_odometry(self, dt: float) -> None:
        v, yaw = self._measured(), self._odometry[2]
        self._odometry += dt * np.array(
            [math.cos(yaw) * v[0] - math.sin(yaw) * v[1], math.sin(yaw) * v[0] + math.cos(yaw) * v[1], v[2]]
        )

    def _check_bumper(self) -> None:
        touching = False
        for i in range(self.data.ncon):
            contact = self.data.contact[i]
            pair = (contact.geom1, contact.geom2)
            if self._robot_geom in pair and self._floor_geom not in pair:
                touching = True
        # A base that leans on something touches it in most steps, and not in all.
        apart = self._touched_ns is None or self.time_ns - self._touched_ns > APART_NS
        if touching and apart:
            self.bumps_ns.append(self.time_ns)
        if touching:
            self._touched_ns = self.time_ns
        self.bumped = touching


def surface_distance_m(pose: Pose, o: SceneObject) -> float:
    """Return the distance from the robot's centre to the object's footprint, along the floor."""
    dx, dy = pose.x_m - o.x_m, pose.y_m - o.y_m
    c, s = math.cos(o.yaw_rad), math.sin(o.yaw_rad)
    x, y = c * dx + s * dy, -s * dx + c * dy  # the robot in the object's frame
    nearest = math.inf
    for g in o.geoms:
        gx, gy = x - g.pos[0], y - g.pos[1]
        if g.type == "box":
            d = math.hypot(max(abs(gx) - g.size[0], 0.0), max(abs(gy) - g.size[1], 0.0))
        elif g.type == "ellipsoid":
            d = max(0.0, math.hypot(gx, gy) - max(g.size[0], g.size[1]))
        else:
            d = max(0.0, math.hypot(gx, gy) - g.size[0])
        nearest = min(nearest, d)
    return nearest


def heading_error_rad(pose: Pose, o: SceneObject) -> float:
    """Return the angle between the robot's heading and the object's centre, [0, pi]."""
    bearing = math.atan2(o.y_m - pose.y_m, o.x_m - pose.x_m)
    return abs(math.remainder(bearing - pose.yaw_rad, 2 * math.pi))


def has_arrived(pose: Pose, o: SceneObject, within_m: float = ARRIVED_M) -> bool:
    """Return True for success: within 0.7 m of the object's surface, heading within 20 degrees of it."""
    return surface_distance_m(pose, o) <= within_m and heading_error_rad(pose, o) <= ARRIVED_RAD
