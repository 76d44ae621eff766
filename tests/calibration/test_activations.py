"""Calibration sets: what is chosen, what is refused, and that what was written is what is read."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.activations import from_robot, main, make_questions
from calibration.diverse import SAME, distance, most_different
from calibration.sample_set import Question, read_set, write_set
from edge.bundle.bundle import load_bundle
from edge.errors import UsageError

ASKED = [Question(goal="find_object", target="cup", prompt="detect cup")]


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (40, 30), interpolation=cv2.INTER_NEAREST), np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"{i:02d}.png"), picture(i))
    return folder


@pytest.fixture
def small_set(tmp_path: Path) -> Path:
    parts = [("calibrate", picture(0), ASKED), ("held-out", picture(1), ASKED * 2)]
    write_set(tmp_path / "set", "paligemma", "test", parts)  # type: ignore[arg-type]
    return tmp_path / "set"


def calibrate(source: Path, out: Path, bundle: Path, *more: str) -> int:
    common = ["--from", str(source), "--out", str(out), "--bundle", str(bundle)]
    return main([*common, "--frames", "3", "--held-out", "4", *more])


@settings(max_examples=20, deadline=None)
@given(
    pixels=st.binary(min_size=5 * 4 * 3, max_size=5 * 4 * 3),
    words=st.lists(st.text("abc 컵ä<>", min_size=1, max_size=20), min_size=1, max_size=3),
)
def test_what_is_written_is_what_is_read(
    pixels: bytes, words: list[str], tmp_path_factory: pytest.TempPathFactory
):
    image = np.frombuffer(pixels, np.uint8).reshape(5, 4, 3)
    questions = [Question(goal="find_object", target=word, prompt=f"detect {word}") for word in words]
    folder = tmp_path_factory.mktemp("sets") / "set"
    digest = write_set(
        folder, "paligemma", "test", [("calibrate", image, questions), ("held-out", image, ASKED)]
    )
    found = read_set(folder, "paligemma")
    assert found.digest == digest
    assert [sample.question for sample in found.calibrate] == questions
    assert all((sample.image == image).all() for sample in found.calibrate)


def test_a_folder_of_pictures_becomes_a_set_without_doubles(
    pictures: Path, tiny_bundle: Path, tmp_path: Path
):
    cv2.imwrite(str(pictures / "zz.png"), picture(0))  # the same again
    assert calibrate(pictures, tmp_path / "set", tiny_bundle) == 0
    found = read_set(tmp_path / "set", "paligemma")
    images = {sample.image.tobytes() for sample in found.calibrate}
    held_out = {sample.image.tobytes() for sample in found.held_out}
    assert (len(images), len(held_out), len(images & held_out)) == (3, 4, 0)
    assert {sample.question.prompt.split()[0] for sample in found.held_out} <= {"detect", "caption", "main"}


def test_doubles_do_not_count_as_pictures(pictures: Path, tiny_bundle: Path, tmp_path: Path):
    for path in sorted(pictures.iterdir())[1:]:
        path.write_bytes((pictures / "00.png").read_bytes())
    with pytest.raises(UsageError, match="12 pictures have 1 different ones, 7 are wanted"):
        calibrate(pictures, tmp_path / "set", tiny_bundle)
    assert not (tmp_path / "set").exists()


def test_bad_sources_are_refused(pictures: Path, tiny_bundle: Path, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="holds no pictures"):
        calibrate(empty, tmp_path / "set", tiny_bundle)
    with pytest.raises(UsageError, match="not a folder"):
        calibrate(tmp_path / "nowhere", tmp_path / "set", tiny_bundle)
    (pictures / "03.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"03\.png is not a picture"):
        calibrate(pictures, tmp_path / "set", tiny_bundle)
    with pytest.raises(UsageError, match="not an empty folder"):
        calibrate(pictures, pictures, tiny_bundle)
    with pytest.raises(UsageError, match="unknown source of pictures"):
        from_robot("toaster", 0)


def test_bad_sets_are_refused(small_set: Path):
    assert len(read_set(small_set, "paligemma").held_out) == 2
    with pytest.raises(UsageError, match="family 'paligemma', the model is of 'llava'"):
        read_set(small_set, "llava")
    about = json.loads((small_set / "set.json").read_text())
    file = small_set / "calibrate" / about["pictures"][0]["file"]
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(UsageError, match="altered"):
        read_set(small_set, "paligemma")
    file.unlink()
    with pytest.raises(UsageError, match="cannot read"):
        read_set(small_set, "paligemma")
    (small_set / "set.json").write_text(json.dumps(about | {"pictures": about["pictures"][1:]}))
    with pytest.raises(UsageError, match="no pictures to calibrate"):
        read_set(small_set, "paligemma")
    about["pictures"][0]["file"] = "../../secret.png"
    (small_set / "set.json").write_text(json.dumps(about))
    with pytest.raises(UsageError, match=r"pictures\.0\.file"):
        read_set(small_set, "paligemma")
    (small_set / "set.json").unlink()
    with pytest.raises(UsageError, match="not a calibration set"):
        read_set(small_set, "paligemma")


@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_chosen_pictures_differ_from_each_other(count: int, wanted: int, seed: int):
    points = np.random.default_rng(seed).random((count, 6), np.float32)
    points[1] = points[0]
    chosen = most_different(points, wanted)
    assert len(chosen) == len(set(chosen)) <= min(wanted, count - 1)
    for at, index in enumerate(chosen[1:], 1):
        assert distance(points[index], points[chosen[:at]]).min() >= SAME


def test_questions_are_about_what_is_there_more_often_than_not(tiny_bundle: Path):
    manifest = load_bundle(tiny_bundle).manifest
    questions = make_questions(manifest, ("red cup",), 300, [], np.random.default_rng(0))
    present = [q.target in ("red cup", "cup") for q in questions if q.goal == "find_object"]
    assert 0.55 < np.mean(present) < 0.75
    assert {q.goal for q in questions} == {"find_object", "describe_scene", "identify_main_object"}
    only = make_questions(manifest, (), 50, ["blue box"], np.random.default_rng(0))
    assert {q.target for q in only} == {"", "blue box"}


def test_questions_use_a_bundle_s_own_template_braces_and_all(tiny_bundle: Path):
    template = 'find {target} as {"box": []}'
    manifest = load_bundle(tiny_bundle).manifest.model_copy(update={"prompts": {"find_object": template}})
    questions = make_questions(manifest, (), 20, ["blue box"], np.random.default_rng(0))
    assert {q.prompt for q in questions if q.target} == {'find blue box as {"box": []}'}
