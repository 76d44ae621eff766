"""Bundles that have only seen simulated rooms don't see with a real camera."""

import pytest

from edge.bundle.bundle import find_bundle, read_manifest
from edge.bundle.manifest import Manifest
from edge.errors import BundleRefused, UsageError
from edge.records import Goal
from edge.robots.domain import check_domain, floor_cautions

REAL = ["csi://0", "v4l2:///dev/video0", "rtsp://10.0.0.2/x", "ros2:///image"]


@pytest.fixture
def default() -> Manifest:
    return read_manifest(find_bundle("default"))[0]


@pytest.mark.parametrize("name", ["default", "default-int8", "head", "token"])
def test_every_shipped_bundle_states_its_domain(name: str):
    manifest = read_manifest(find_bundle(name))[0]
    assert (manifest.domain, manifest.floor_domain) == ("simulated-rooms", "simulated-rooms")


@pytest.mark.parametrize("uri", REAL)
def test_a_real_camera_refuses_it_and_says_how_to_come_to_another(uri: str, default: Manifest):
    with pytest.raises(BundleRefused, match="only seen simulated rooms") as caught:
        check_domain(default, {"hand": "file://x", "front": uri}, False)
    hint = caught.value.hint
    for part in ("vla-edge export", "paligemma-3b-mix", "Qwen2.5-VL-3B", "this machine", "--allow-domain"):
        assert part in hint
    check_domain(default, {"front": uri}, True)


def test_the_refusal_shows_no_password(default: Manifest):
    with pytest.raises(BundleRefused) as caught:
        check_domain(default, {"front": "rtsp://robot:secret@10.0.0.2/x"}, False)
    assert "rtsp://…@10.0.0.2/x" in caught.value.message and "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["usb://0", "/dev/video0"])
def test_an_address_that_nothing_opens_is_not_taken_for_a_real_camera(uri: str, default: Manifest):
    check_domain(default, {"front": uri}, False)  # opening it says what is wrong


def test_a_board_without_figures_still_learns_the_command(default: Manifest, monkeypatch):
    def unknown() -> str:
        raise UsageError("there are no figures of a 'Jetson X'", "")

    monkeypatch.setattr("export.planner.real_rooms.advice", unknown)
    with pytest.raises(BundleRefused) as caught:
        check_domain(default, {"front": REAL[0]}, False)
    assert "vla-edge export" in caught.value.hint and "Jetson X" in caught.value.hint


def test_recordings_the_simulator_and_other_bundles_are_let_through(default: Manifest):
    check_domain(default, {"front": "file://x.mp4", "hand": "shm://y"}, False)
    check_domain(default.model_copy(update={"domain": "", "floor_domain": ""}), {"front": REAL[0]}, False)
    check_domain(
        default.model_copy(update={"domain": "real-rooms", "floor_domain": ""}), {"f": REAL[0]}, False
    )


def test_a_floor_net_of_simulated_rooms_is_refused_by_itself(default: Manifest):
    manifest = default.model_copy(update={"domain": "real-rooms"})
    with pytest.raises(BundleRefused, match="the floor net of bundle") as caught:
        check_domain(manifest, {"front": REAL[0]}, False)
    assert "without --floor" in caught.value.hint


def test_a_bundle_without_a_floor_graph_says_so_before_it_drives(default: Manifest):
    blind = default.model_copy(update={"graphs": {k: v for k, v in default.graphs.items() if k != "floor"}})
    (caution,) = floor_cautions(blind, Goal("find_object", "cup"), False)
    assert "no floor graph" in caution and "0.2 m/s" in caution
    for manifest, goal, recorded in (
        (default, Goal("find_object", "cup"), False),
        (blind, Goal("find_object", "cup"), True),
        (blind, Goal("describe_scene"), False),
    ):
        assert floor_cautions(manifest, goal, recorded) == ()
