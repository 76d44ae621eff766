"""What the camera shows against what the base does, in whole episodes: clean rooms, and cameras that fail."""

import contextlib
import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from benchmarks.success import EpisodeSettings, _EpisodePlayer
from edge.goals.goals import parse_goal
from edge.model.boxes import BoxReader
from edge.perception.picture_lag import BaseMotion
from edge.perception.plausibility import Plausibility
from edge.policies.seeker import Seeker
from edge.records import Frame, Goal, Image, Odometry, StopCause, Velocity
from edge.runtime.watched import camera as watched
from sim.lockstep import JUDGED, CameraSettings, EpisodeResult, parse_camera, play
from sim.render import CameraSpec, Renderer, degrade
from sim.targets import make_scene
from sim.world import World
from tests.sim.test_lockstep import LATENCY_S, PerfectEye

TARGETS = ("cup", "bottle", "chair", "book", "ball", "box", "plant", "backpack")
LIMIT_S = 0.6  # from the fault until nothing may be touched any more
CAMERA_CAUSES = {
    StopCause.STALE_FRAME,
    StopCause.CAMERA_REPEATS,
    StopCause.CAMERA_STILL,
    StopCause.CAMERA_LATE,
    StopCause.CAMERA_FOREIGN,
}


class Noted(Plausibility):
    """Keeps every lag that was measured, and every doubt."""

    lags_s: list[float] = []  # noqa: RUF012 - of all episodes
    doubts: list[str] = []  # noqa: RUF012

    def take(self, frame: Frame, now_ns: int) -> None:
        before, self.lag_s = self.doubt, None
        super().take(frame, now_ns)
        if self.lag_s is not None:
            self.lags_s.append(self.lag_s)
        if self.doubt and self.doubt != before:
            self.doubts.append(self.doubt)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> type[Noted]:
    monkeypatch.setattr(watched, "Plausibility", Noted)
    Noted.lags_s, Noted.doubts = [], []
    return Noted


def seen_perfectly(renderer: Renderer, seed: int, camera: CameraSettings) -> EpisodeResult:
    """An episode with a perfect eye: only camera, base and policy are tried."""
    target = TARGETS[seed % len(TARGETS)]
    scene = make_scene(seed, target)
    world = World(scene, seed)
    renderer.load(world.model, scene)
    eye = PerfectEye(world, renderer)
    seeker = Seeker(eye.ask, BoxReader("paligemma"), renderer.spec.mount, world.base, eye.floor)
    return play(world, renderer, seeker, Goal("find_object", target), LATENCY_S, 40.0, camera)


def test_a_clean_room_is_driven_to_its_end_with_a_last_look(noted: type[Noted]):
    renderer = Renderer(CameraSpec())
    judged = seen_perfectly(renderer, 1003, JUDGED)
    plain = seen_perfectly(renderer, 1003, dataclasses.replace(JUDGED, judged=False))
    assert judged.success and plain.success and not judged.stopped
    assert 0 < judged.seconds - plain.seconds < 1.2 and max(noted.lags_s, default=0.0) < 0.25


@pytest.mark.parametrize(("query", "cause"), [
    pytest.param("fault=late&lag_ms=1000&fault_s=1.5", StopCause.CAMERA_LATE, marks=pytest.mark.slow),
    ("fault=still&fault_s=1.5", StopCause.CAMERA_STILL),
    pytest.param("fault=freeze&fault_s=1.5", StopCause.CAMERA_REPEATS, marks=pytest.mark.slow),
    ("upside_down=yes", StopCause.CAMERA_FOREIGN),
])  # fmt: skip
def test_a_camera_that_fails_ends_an_episode_with_its_name(query: str, cause: StopCause):
    """Field cases 1, 4 and 5."""
    with contextlib.closing(Renderer(CameraSpec())) as renderer:
        episode = seen_perfectly(renderer, 1004, parse_camera(query))
    assert (episode.cause, episode.claimed) == (cause, False)
    assert "camera 'front'" in episode.stopped and episode.seconds < 6


@pytest.mark.parametrize("draws", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_a_slow_base_before_a_plain_room_is_told_from_a_frozen_camera(draws: int):
    """All that has a form there lies ahead, where a way of 5 cm hardly changes the picture."""
    scene, speed_m_s = make_scene(1, "cup"), 0.15
    ways_m = [speed_m_s * max(0.0, i / 30 - 0.5) for i in range(180)]
    with contextlib.closing(Renderer(CameraSpec())) as renderer:
        world = World(scene, 1)
        renderer.load(world.model, scene)
        mount, pose = renderer.spec.mount, world.pose
        cup = next(each for each in scene.objects if each.name == "orange cup")
        yaw_rad = math.atan2(cup.y_m - pose.y_m, cup.x_m - pose.x_m)
        places = [(pose.x_m + m * math.cos(yaw_rad), pose.y_m + m * math.sin(yaw_rad)) for m in ways_m]
        images = [renderer.image(world.data, *place, yaw_rad) for place in places]

    def doubt(shown: list[Image], noise: int) -> str:
        base, rng = BaseMotion(), np.random.default_rng(noise)
        judge = Plausibility("front", mount, base)
        for i, (image, place) in enumerate(zip(shown, places, strict=True)):
            stamp_ns = round(i * 1e9 / 30)
            base.measure(Odometry(stamp_ns, *place, yaw_rad, Velocity(speed_m_s)))
            judge.take(Frame(degrade(image, rng), stamp_ns, i), stamp_ns)
        return judge.doubt

    assert [doubt(images, noise) for noise in range(draws)] == [""] * draws
    assert doubt(images[:60] + images[60:61] * 120, 0) == "does not change its picture while the base moves"


@pytest.mark.parametrize("seed", [pytest.param(5021, marks=pytest.mark.slow), 5148])
def test_near_things_that_look_late_end_no_drive(seed: int):
    """A base that sways, and creeps, before them."""
    player = _EpisodePlayer(EpisodeSettings("token", LATENCY_S, 60.0))
    episode = player.play(seed, parse_goal("find_object", "cup")).episode
    assert episode.success and not episode.stopped


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_no_clean_room_stops_a_drive(noted: type[Noted]):
    renderer = Renderer(CameraSpec())
    episodes = [seen_perfectly(renderer, 1100 + i, JUDGED) for i in range(60)]
    lags, counts = np.unique(np.round(noted.lags_s, 2), return_counts=True)
    rooms = sum(episode.seconds for episode in episodes)
    found = {f"{1e3 * lag_s:.0f} ms": int(count) for lag_s, count in zip(lags, counts, strict=True)}
    print(f"{rooms:.0f} s in {len(episodes)} rooms; {len(noted.doubts)} looks; lags: {found}")
    assert not any(episode.stopped for episode in episodes) and max(noted.lags_s) <= 0.25
    assert set(noted.doubts) <= {"jumped to another picture"}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("bundle", ["default-int8", "head", "token"])
@pytest.mark.parametrize(
    "fault", ["freeze", "still", "late&lag_ms=300", "late&lag_ms=1000", "late&lag_ms=2000", "looped"]
)
def test_no_camera_that_fails_on_the_way_makes_it_bump_or_arrive_falsely(fault: str, bundle: str):
    """Field cases 1 and 4: 30 rooms, each from a random time on."""
    player, ends = _EpisodePlayer(EpisodeSettings(bundle, 0.02, 60.0)), list[Any]()
    for seed in range(6000, 6030):
        from_s = float(np.random.default_rng((seed, 9)).uniform(1.0, 5.0))
        camera = parse_camera(f"fault={fault}&fault_s={from_s:.2f}")
        player._settings = EpisodeSettings(bundle, 0.02, 60.0, camera=camera)
        episode = player.play(seed, parse_goal("find_object", TARGETS[seed % len(TARGETS)])).episode
        late_bumps = [at_ns for at_ns in episode.bumps_ns if at_ns / 1e9 > from_s + LIMIT_S]
        ends.append((seed, episode.cause, episode.seconds - from_s, late_bumps))
        assert not late_bumps and not (episode.claimed and not episode.success), (seed, episode)
        assert episode.cause in CAMERA_CAUSES or episode.success or episode.seconds < from_s, (seed, episode)
    named = [after_s for _, cause, after_s, _ in ends if cause in CAMERA_CAUSES]
    print(f"{fault}, {bundle}: named in {len(named)} of {len(ends)}, after {np.median(named):.1f} s (median)")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("known_s", "cause"), [(0.2, StopCause.NONE), (0.0, StopCause.CAMERA_LATE)])
def test_a_camera_that_is_late_as_measured_is_not_called_late(known_s: float, cause: StopCause):
    camera = dataclasses.replace(parse_camera("camera_delay_ms=200"), known_delay_s=known_s)
    player = _EpisodePlayer(EpisodeSettings("default-int8", LATENCY_S, 60.0, camera=camera))
    episode = player.play(1002, parse_goal("find_object", "cup")).episode
    assert (episode.cause, episode.success) == (cause, cause is StopCause.NONE), episode.stopped
