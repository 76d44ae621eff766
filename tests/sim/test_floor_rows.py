"""The rendered end of the floor against rays through the physics."""

import math

import mujoco
import numpy as np
import pytest

from edge.perception.floor_scan import COLUMNS
from edge.perception.geometry import View
from edge.records import CameraMount
from sim.render import CameraSpec, Renderer
from sim.scene import sample_scene, scene_mjcf

SPEC = CameraSpec()
VIEW = View(CameraMount(SPEC.vertical_fov_rad, SPEC.height_m, SPEC.pitch_rad, SPEC.forward_m), 4 / 3)


def _sees_floor(
    model: mujoco.MjModel, data: mujoco.MjData, u: float, v: float, x: float, y: float, yaw: float
) -> bool:
    forward, left, up = VIEW.ray(u, v)
    c, s = math.cos(yaw), math.sin(yaw)
    ray = np.array([c * forward - s * left, s * forward + c * left, up])
    eye = np.array([x + c * SPEC.forward_m, y + s * SPEC.forward_m, SPEC.height_m])
    hit = np.array([-1], np.int32)
    mujoco.mj_ray(model, data, eye, ray, None, 1, -1, hit)
    return int(hit[0]) == model.geom("floor").id


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_floor_rows_agree_with_rays(seed: int):
    scene = sample_scene(seed)
    model = mujoco.MjModel.from_xml_string(scene_mjcf(scene))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = Renderer(SPEC)
    try:
        renderer.load(model, scene)
        rows = renderer.floor_rows_in(renderer.segment(data, *scene.start))
        assert renderer.truth(data, *scene.start) == renderer.visible_in(renderer.segment(data, *scene.start))
    finally:
        renderer.close()
    assert rows.shape == (COLUMNS,)
    assert rows.dtype == np.float32
    height, width = SPEC.height, SPEC.width
    agree = 0
    for i, row in enumerate(rows):
        a, b = math.floor(i * width / COLUMNS), math.ceil((i + 1) * width / COLUMNS)
        end = round(float(row) * height)  # the first pixel row that is floor
        us = [(p + 0.5) / width for p in range(a, b)]
        below = all(
            _sees_floor(model, data, u, (r + 0.5) / height, *scene.start)
            for u in us
            for r in range(min(end + 1, height), height, 7)
        )
        at = any(not _sees_floor(model, data, u, (end - 1.5) / height, *scene.start) for u in us)
        agree += below and at
    assert agree >= COLUMNS - 2, "but for edges of a pixel"
