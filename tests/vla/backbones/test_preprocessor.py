"""What a checkpoint's files say of its images, as transformers 4 and 5 save them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoImageProcessor, CLIPImageProcessorPil

from edge.errors import UsageError
from edge.model.patches import vision_input
from tests.edge.model.family_processors import (
    IMAGE,
    florence,
    idefics,
    kosmos,
    llava,
    paligemma,
    qwen,
    smolvlm,
)
from vla.backbones.preprocessor import one_size, published_spec, read_image_spec

BUILD: dict[str, Any] = {
    "paligemma": paligemma,
    "kosmos-2": kosmos,
    "florence-2": florence,
    "llava": llava,
    "flamingo": idefics,
    "qwen2.5-vl": lambda: qwen(14),
    "qwen3-vl": lambda: qwen(16),
    "smolvlm": lambda: smolvlm(False),
    "idefics3": lambda: smolvlm(True),
}
CROP = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 224},
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}


def save_as_4(images: Any, folder: Path) -> None:
    """A file of its own for the image processor."""
    folder.mkdir()
    images.save_pretrained(folder)
    assert (folder / "preprocessor_config.json").is_file()


def save_as_5(images: Any, folder: Path) -> None:
    """All processors in one file. Qwen's can't be saved whole without torchvision, for their videos."""
    folder.mkdir()
    saved = {"image_processor": json.loads(images.to_json_string()), "processor_class": "Some"}
    saved["video_processor"] = {"size": {"height": 1, "width": 1}}
    (folder / "processor_config.json").write_text(json.dumps(saved))


@pytest.mark.parametrize("name", BUILD)
def test_both_versions_save_the_same_spec_and_its_pixels_are_the_processor_s(
    name: str, tmp_path: Path
) -> None:
    processor, _ = BUILD[name]()
    images = processor.image_processor
    save_as_4(images, tmp_path / "four")
    save_as_5(images, tmp_path / "five")
    spec = read_image_spec(tmp_path / "five")
    assert read_image_spec(tmp_path / "four") == spec
    found = images(IMAGE, return_tensors="np")
    theirs = np.asarray(found["pixel_values"] if hasattr(found, "keys") else found)
    ours = vision_input(IMAGE, spec).arrays["pixel_values"]
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() * max(spec.std) <= 1 / 255 + 1e-6


@pytest.mark.parametrize("name", [name for name in BUILD if not name.startswith("qwen")])
def test_a_whole_processor_s_folder_is_read(name: str, tmp_path: Path) -> None:
    processor, _ = BUILD[name]()
    processor.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "preprocessor_config.json").exists()
    save_as_4(processor.image_processor, tmp_path / "four")
    assert read_image_spec(tmp_path / "saved") == read_image_spec(tmp_path / "four")


def test_of_two_files_that_disagree_transformers_choice_is_taken(tmp_path: Path) -> None:
    save_as_5(CLIPImageProcessorPil(**CROP, resample=2), tmp_path / "both")
    other = CROP | {"size": {"shortest_edge": 96}, "crop_size": {"height": 96, "width": 96}}
    (tmp_path / "both" / "preprocessor_config.json").write_text(json.dumps(other))
    spec = read_image_spec(tmp_path / "both")
    theirs = AutoImageProcessor.from_pretrained(tmp_path / "both", backend="pil")
    assert spec.height == theirs.size["shortest_edge"] == 224 and spec.resize == "bilinear"


@pytest.mark.parametrize(
    "said",
    [
        {"size": 224, "crop_size": 224},  # as CLIP's first files
        {"do_normalize": False},
        {"crop_size": None, "do_pad": None},  # as fast processors once saved
        {"size": {"height": 224, "width": 224}},  # what crops nothing
    ],
)
def test_shorthands_of_old_files_mean_what_transformers_makes_of_them(said: dict[str, Any]) -> None:
    settings = CROP | said
    spec = published_spec(settings)
    theirs = CLIPImageProcessorPil(**{k: v for k, v in settings.items() if v is not None})(
        IMAGE, return_tensors="np"
    )["pixel_values"]
    ours = vision_input(IMAGE, spec).arrays["pixel_values"]
    assert np.abs(ours - np.asarray(theirs)).max() * max(spec.std) <= 1 / 255 + 1e-6


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"do_resize": False}, "do_resize is false"),
        ({"do_rescale": False}, "do_rescale is false"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor is 0.0078"),
        ({"do_pad": True}, "do_pad pads"),
        ({"merge_size": 4, "patch_size": 14}, "merge_size is 4"),
        ({"temporal_patch_size": 1, "merge_size": 2, "patch_size": 14}, "temporal_patch_size is 1"),
        ({"size": {"shortest_edge": 336}}, "crops"),  # the class crops 224 where nothing is said
        ({"size": {"height": 336, "width": 336}}, "crops"),
        ({"image_processor_type": "Kosmos2ImageProcessor"}, "is Kosmos2ImageProcessor; known are"),
    ],
)
def test_steps_that_the_runtime_does_not_take_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        published_spec(CROP | said)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"image_processor": []}', '{"image_processor": {"size": "x"}}']
)
def test_a_damaged_processor_config_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text(content)
    with pytest.raises(UsageError, match="_config"):
        read_image_spec(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("[1]")
    with pytest.raises(UsageError, match="_config"):
        read_image_spec(tmp_path)


def test_a_folder_that_says_nothing_of_its_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"preprocessor_config.json is missing"):
        read_image_spec(tmp_path)


def test_a_camera_that_no_picture_of_the_family_fits_is_bad_usage() -> None:
    spec = published_spec(json.loads(qwen(14)[0].image_processor.to_json_string()))
    with pytest.raises(UsageError, match="--camera: an image of 100000x1"):
        one_size(spec, (1, 100_000))
