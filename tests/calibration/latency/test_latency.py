"""How late a camera is: measured by turns and by a light, refused where it can't be told, and written."""

import json
import math
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.latency.blinks import BlinkRecord, blink_criteria, fit_blinks, shining
from calibration.latency.command import main
from calibration.latency.flow import YawFlow
from calibration.latency.judge import LAGS_S, draw, judge
from calibration.latency.lights import opened_light
from calibration.latency.turns import TurnFit, TurnRecord, fit_turns, turning_criteria
from edge.cameras.shm import FrameRing
from edge.errors import HardwareMissing, UsageError
from edge.records import CameraMount, Image, Odometry, Velocity
from edge.robots.choose import choose_robot
from edge.robots.robot_file import read_robot_file
from edge.robots.write import write_delay

ROUND_S = 2.4
SIM = 'name: sim\nopens: "sim?{query}"\nstop_time_s: 0.43\n'


def yaw_rad(time_s: float) -> float:
    """Return the heading of a base that turns there and back, faster and slower."""
    return 0.4 * math.sin(2 * math.pi * time_s / ROUND_S) if time_s > 0 else 0.0


def turned(delay_s: float, noise_rad: float = 0.001, rounds: int = 5, spread_s: float = 0.0) -> TurnRecord:
    """Return the record of a camera that is so late, and in each round by up to `spread_s` more."""
    rng, turns, times_s = np.random.default_rng(0), [], np.arange(-1, rounds * ROUND_S + 1.2, 0.02)
    odometry = [
        Odometry(round((10 + t) * 1e9), 0.0, 0.0, yaw_rad(t), Velocity(0.0, 0.0, 1.0)) for t in times_s
    ]
    for frame in range(round(rounds * ROUND_S * 30)):
        more_s = spread_s * (int(frame / 30 / ROUND_S) % 2)
        before, after = ((frame + each) / 30 + rng.uniform(-0.002, 0.002) for each in (0, 1))
        turn_rad = yaw_rad(after) - yaw_rad(before) + rng.normal(0, noise_rad)
        turns.append((10 + before + delay_s + more_s, 10 + after + delay_s + more_s, turn_rad))
    rounds_s = [(10 + n * ROUND_S, 10 + (n + 1) * ROUND_S) for n in range(rounds)]
    return TurnRecord(np.array(turns), len(turns), len(turns), odometry, rounds_s)


def bad(record: TurnRecord, fit: TurnFit) -> list[str]:
    """Return what a verdict about a record does not find met."""
    verdict = judge("front", "turning", fit.delay, turning_criteria(record, fit), [])
    return [each.what for each in verdict.criteria if not each.met]


@pytest.mark.parametrize("delay_ms", [0, 20, 80, 200, 450])
def test_the_delay_of_turns_is_found_between_two_frames(delay_ms: int):
    record = turned(delay_ms / 1e3)
    fit = fit_turns(record, LAGS_S)
    assert 1e3 * fit.delay.delay_s == pytest.approx(delay_ms, abs=1.5)
    assert len(fit.delay.parts_s) >= 4 and fit.scale == pytest.approx(1, abs=0.02)
    assert not bad(record, fit)
    picture = draw(fit.delay, record.turns[:, :2], record.turns[:, 1:], ("turn rate", "s", "rad/s"))
    assert picture.dtype == np.uint8 and picture.std() > 1


def test_what_can_not_be_told_is_not_saved():
    calm = turned(0.08)
    blind = replace(calm, frames=4 * len(calm.turns))
    assert bad(blind, fit_turns(blind, LAGS_S)) == ["turns seen"]
    short = turned(0.08, rounds=1)
    assert bad(short, fit_turns(short, LAGS_S)) == ["turned", "spread"]
    late = turned(0.7)
    assert "delay" in bad(late, fit_turns(late, LAGS_S))
    varies = turned(0.08, spread_s=0.04)
    assert "spread" in bad(varies, fit_turns(varies, LAGS_S))
    shuffled = np.random.default_rng(1).permutation(calm.turns[:, 2])
    other = replace(calm, turns=np.column_stack([calm.turns[:, :2], shuffled]))
    assert {"agreement", "one delay alone"} & set(bad(other, fit_turns(other, LAGS_S)))


def room(yaw: float, mount: CameraMount, plain: bool = False) -> Image:
    """Return what a level camera sees of a wall all round, with noise."""
    rng = np.random.default_rng(7)
    wall = cv2.GaussianBlur(rng.integers(0, 255, (120, 1400)).astype(np.float32), (9, 9), 0)
    tan = math.tan(mount.vertical_fov_rad / 2)
    across = np.arctan((0.5 - (np.arange(320) + 0.5) / 320) * 2 * tan * 320 / 240) + yaw
    columns = np.tile((700 - across * 300).astype(np.float32), (240, 1))
    rows = np.tile(np.linspace(0, 119, 240, dtype=np.float32)[:, None], (1, 320))
    seen = 0 * columns if plain else cv2.remap(wall, columns, rows, cv2.INTER_LINEAR)
    noise = np.random.default_rng(round(1e6 * abs(yaw))).normal(0, 3, seen.shape)
    return np.repeat(np.clip(seen + noise + 40, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_flow_sees_turns_and_nothing_in_noise():
    mount = CameraMount(math.radians(55), 0.35, 0.0, 0.1)
    flow = YawFlow(mount)
    assert flow.take(room(0.0, mount)) is None
    for before, yaw in ((0.0, 0.02), (0.02, 0.05), (0.05, 0.03)):
        turn_rad = flow.take(room(yaw, mount))
        assert turn_rad == pytest.approx(yaw - before, abs=0.002)
    plain = YawFlow(mount)
    assert all(plain.take(room(yaw, mount, plain=True)) is None for yaw in (0.0, 0.02, 0.05))


@pytest.mark.parametrize("delay_ms", [0, 20, 80, 200])
def test_the_delay_of_blinks_is_found_between_two_frames(delay_ms: int):
    rng = np.random.default_rng(delay_ms)
    switches_s = 5 + np.cumsum(rng.uniform(0.2, 0.45, 40))
    stamps_s = np.arange(4.5, switches_s[-1] + 1.2, 1 / 30) + rng.uniform(-0.002, 0.002)
    lit = shining(stamps_s - delay_ms / 1e3, switches_s, 0.01)
    cells = 90 + rng.normal(0, 1, (len(lit), 1200))
    cells[:, 100:104] += 40 * lit[:, None]
    record = BlinkRecord(stamps_s, cells, switches_s)
    fit = fit_blinks(record, LAGS_S)
    assert 1e3 * fit.delay.delay_s == pytest.approx(delay_ms, abs=2.5)
    verdict = judge("front", "blinking", fit.delay, blink_criteria(record, fit), [])
    assert verdict.good, verdict.lines()


def test_a_light_that_is_not_in_the_picture_is_not_saved():
    rng = np.random.default_rng(0)
    switches_s = 5 + np.cumsum(rng.uniform(0.2, 0.45, 40))
    stamps_s = np.arange(4.5, switches_s[-1] + 1, 1 / 30)
    record = BlinkRecord(stamps_s, 90 + rng.normal(0, 1, (len(stamps_s), 1200)), switches_s)
    fit = fit_blinks(record, LAGS_S)
    unmet = [each.what for each in blink_criteria(record, fit) if not each.met]
    assert unmet == ["step", "clear"]


@pytest.fixture
def led(tmp_path: Path) -> Path:
    """A folder as the kernel makes one for an LED, which blinks by itself."""
    folder = tmp_path / "leds" / "green"
    folder.mkdir(parents=True)
    for name, text in {"brightness": "3", "max_brightness": "255", "trigger": "none [timer] disk"}.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def test_an_led_is_switched_by_hand_and_is_as_before_afterwards(led: Path):
    with opened_light(str(led)) as light:
        assert (led / "trigger").read_text() == "none"
        light.switch(True)
        assert (led / "brightness").read_text() == "255"
        light.switch(False)
        assert (led / "brightness").read_text() == "0"
    assert (led / "brightness").read_text() == "3" and (led / "trigger").read_text() == "timer"
    with pytest.raises(HardwareMissing, match="nowhere"), opened_light("nowhere"):
        pass
    with pytest.raises(UsageError, match="not a terminal"), opened_light("screen"):
        pass


@pytest.mark.slow
@pytest.mark.realtime
def test_a_light_before_a_live_camera_tells_its_delay(
    led: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A camera at a ring in shared memory looks at the LED, and stamps what it saw 60 ms ago with now."""
    name, over = f"vla-edge-blink-{time.monotonic_ns()}", threading.Event()

    def look() -> None:
        rng, late = np.random.default_rng(0), []
        with FrameRing.create(name, 60, 80) as ring:
            while not over.is_set():
                image = rng.normal(60, 3, (60, 80, 3))
                image[20:30, 30:40] += 80 * ((led / "brightness").read_text().strip() == "255")
                late.append((time.monotonic_ns() + 60_000_000, np.clip(image, 0, 255).astype(np.uint8)))
                while late and late[0][0] <= time.monotonic_ns():
                    stamp_ns, seen = late.pop(0)
                    ring.write(seen, stamp_ns)
                time.sleep(0.005)

    file = tmp_path / "robot.yaml"
    file.write_text(f"cameras:\n  front:\n    address: shm://{name}\nmotors: null://\n")
    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.3)
    try:
        assert main([str(file), "--by", "blinking", "--light", str(led), "--json"]) == 0
    finally:
        over.set()
        thread.join()
    found = json.loads(capsys.readouterr().out)
    assert found["good"] and Path(found["picture"]).is_file()
    # An image is looked at up to 5 ms after the switch, and is there up to 5 ms late.
    assert found["figures"]["delay_ms"] == pytest.approx(60, abs=8)
    assert 1e3 * read_robot_file(file).camera_delays_s["front"] == pytest.approx(60, abs=8)


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.parametrize("delay_ms", [20, 80, 200])
def test_a_simulated_base_turns_and_tells_the_delay_of_its_camera(
    delay_ms: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "robot.yaml"
    file.write_text(SIM.format(query=f"camera_delay_ms={delay_ms}&gyro=yes"))
    assert main([str(file), "--yes", "--seed", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["good"] and found["figures"]["delay_ms"] == pytest.approx(delay_ms, abs=5)
    choice = choose_robot(str(file), False, None)
    assert 1e3 * choice.delays_s["front"] == pytest.approx(delay_ms, abs=5)


def test_a_delay_is_written_and_read_and_belongs_to_a_camera(tmp_path: Path):
    file = tmp_path / "robot.yaml"
    file.write_text("cameras:\n  front:\n    address: file://x\nmotors: null://\n")
    write_delay(file, "front", 0.08214)
    assert read_robot_file(file).camera_delays_s == {"front": 0.0821}
    write_delay(file, "front", -0.003)
    assert choose_robot(str(file), False, None).delays_s == {"front": 0.0}
    stated = file.read_text()
    for text, complaint in (
        (stated.replace("  front: 0.0000", "  wrist: 0.1"), "there is no camera 'wrist' for this delay"),
        (stated.replace("0.0000", "200"), "200 is not a number from 0 to 0.5 .seconds."),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=complaint):
            read_robot_file(file)


def test_motors_that_turn_nothing_and_a_person_who_does_not_agree_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "robot.yaml"
    file.write_text("cameras:\n  front:\n    address: file://x\nmotors: null://\n")
    with pytest.raises(UsageError, match="turn nothing") as refused:
        main([str(file), "--yes"])
    assert "--by blinking" in refused.value.hint
    steered = (
        "base: {drive: ackermann, radius_m: 0.2, linear_m_s: 0.3, angular_rad_s: 1, wheel_base_m: 0.2}\n"
    )
    file.write_text(file.read_text() + steered)
    with pytest.raises(UsageError, match="can't turn on the spot"):
        main([str(file), "--yes"])
