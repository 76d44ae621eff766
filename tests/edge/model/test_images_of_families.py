"""Images as each family's HF processor makes them, to 1/255.

No hub is reached: the processors are built from their classes with the published checkpoints' settings.
"""

import json

import numpy as np
import PIL
import pytest
from PIL import Image as PillowImage
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil
from transformers.models.idefics.image_processing_pil_idefics import IdeficsImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from edge.bundle.manifest import ImageSpec
from edge.errors import UsageError
from edge.model import resample
from edge.model.images import image_to_tensor
from edge.model.patches import vision_input
from training.pipeline.processing import image_spec
from vla.backbones.preprocessor import published_spec

HALF = (0.5, 0.5, 0.5)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CLIP = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}

# What each checkpoint's preprocessor_config.json says; PIL's filters are 1 lanczos, 2 bilinear, 3 bicubic.
# No hub is at hand, so the numbers are from: copies on GitHub (Qwen2.5-VL
# remodlai/qwen-2.5-vl-7b-instruct-lexiq, Florence-2 muhammadwaqas476074/Florence2-Changes, SmolVLM-256M
# quoted in others' converters); the defaults of transformers 5.23's classes (Idefics, Idefics3, LLaVA's
# CLIP; CLIPImageProcessor's `use_square_size`, "for backwards compatibility of KOSMOS-2"); from memory the
# pixels of Qwen3-VL and the edges of SmolVLM2.
PUBLISHED = {
    "google/paligemma-3b-pt-224": (
        SiglipImageProcessorPil,
        {"size": {"height": 224, "width": 224}, "resample": 3, "image_mean": HALF, "image_std": HALF},
        ImageSpec(height=224, width=224, resize="bicubic", mean=HALF, std=HALF),
    ),
    "google/paligemma2-3b-pt-448": (
        SiglipImageProcessorPil,
        {"size": {"height": 448, "width": 448}, "resample": 3, "image_mean": HALF, "image_std": HALF},
        ImageSpec(height=448, width=448, resize="bicubic", mean=HALF, std=HALF),
    ),
    "microsoft/kosmos-2-patch14-224": (
        CLIPImageProcessorPil,
        {"use_square_size": True, "size": {"shortest_edge": 224}, "resample": 3},
        ImageSpec(height=224, width=224, resize="bicubic", **CLIP),
    ),
    "llava-hf/llava-1.5-7b-hf": (
        CLIPImageProcessorPil,
        {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}, "resample": 3},
        ImageSpec(height=336, width=336, resize="bicubic", fit="crop", **CLIP),
    ),
    "HuggingFaceM4/idefics-9b": (
        IdeficsImageProcessorPil,
        {"image_size": 224},
        ImageSpec(height=224, width=224, resize="bicubic", **CLIP),
    ),
    "microsoft/Florence-2-base": (
        CLIPImageProcessorPil,
        {
            "size": {"height": 768, "width": 768},
            "do_center_crop": False,
            "resample": 3,
            "image_mean": IMAGENET["mean"],
            "image_std": IMAGENET["std"],
        },
        ImageSpec(height=768, width=768, resize="bicubic", **IMAGENET),
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct": (
        Qwen2VLImageProcessorPil,
        {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "merge_size": 2},
        ImageSpec(height=28, width=28, resize="bicubic", fit="multiple", pixels=(3136, 12845056), **CLIP),
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct of at most 256 tokens": (
        Qwen2VLImageProcessorPil,
        {"min_pixels": 3136, "max_pixels": 200704, "patch_size": 14, "merge_size": 2},
        ImageSpec(height=28, width=28, resize="bicubic", fit="multiple", pixels=(3136, 200704), **CLIP),
    ),
    "Qwen/Qwen3-VL-2B-Instruct": (
        Qwen2VLImageProcessorPil,
        {
            "size": {"shortest_edge": 65536, "longest_edge": 16777216},
            "patch_size": 16,
            "merge_size": 2,
            "image_mean": HALF,
            "image_std": HALF,
        },
        ImageSpec(
            height=32,
            width=32,
            resize="bicubic",
            mean=HALF,
            std=HALF,
            fit="multiple",
            pixels=(65536, 16777216),
        ),
    ),
    "HuggingFaceTB/SmolVLM-256M-Instruct": (
        Idefics3ImageProcessorPil,
        {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}, "resample": 1},
        ImageSpec(
            height=512, width=512, resize="lanczos", mean=HALF, std=HALF, fit="tiles", longest_edge=2048
        ),
    ),
    "HuggingFaceM4/Idefics3-8B-Llama3": (
        Idefics3ImageProcessorPil,
        {"size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364}, "resample": 1},
        ImageSpec(
            height=364, width=364, resize="lanczos", mean=HALF, std=HALF, fit="tiles", longest_edge=1456
        ),
    ),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct without splitting": (
        SmolVLMImageProcessorPil,
        {
            "size": {"longest_edge": 1536},
            "max_image_size": {"longest_edge": 384},
            "resample": 1,
            "do_image_splitting": False,
        },
        ImageSpec(
            height=384, width=384, resize="lanczos", mean=HALF, std=HALF, fit="single", longest_edge=1536
        ),
    ),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct of one tile": (
        SmolVLMImageProcessorPil,
        {"size": {"longest_edge": 384}, "max_image_size": {"longest_edge": 384}, "resample": 1},
        ImageSpec(
            height=384, width=384, resize="lanczos", mean=HALF, std=HALF, fit="tiles", longest_edge=384
        ),
    ),
}
SIZES = [(480, 640), (640, 480), (97, 611), (701, 83), (13, 17), (333, 517), (224, 224), (476, 644)]
MAX_ERROR = 1 / 255


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / 31 + i) + np.cos(columns / (17 + 5 * i)) for i in range(3)]
    return (np.stack(waves, axis=-1) * 63 + 128).astype(np.uint8)


@pytest.fixture(autouse=True)
def _order_of_the_pillow_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    if int(PIL.__version__.split(".")[0]) < 13:
        monkeypatch.setattr(resample, "height_first", lambda *sizes: False)


def _heavy(spec: ImageSpec) -> bool:
    return spec.fit == "tiles" or spec.height == 768  # megapixels each


@pytest.mark.parametrize(
    ("draw", "checkpoint"),
    [
        pytest.param(draw, name, marks=[pytest.mark.slow] * (draw is noise and _heavy(spec)))
        for draw in (noise, smooth)
        for name, (_, _, spec) in PUBLISHED.items()
    ],
)
def test_images_are_those_of_the_family_s_processor(checkpoint: str, draw) -> None:
    processor_class, settings, spec = PUBLISHED[checkpoint]
    processor = processor_class(**settings)
    for height, width in SIZES[:4] if _heavy(spec) else SIZES:
        image = draw(height, width)
        taken = vision_input(image, spec)
        expected = _processed(processor, image)
        assert taken.arrays.keys() == expected.keys()
        for name, array in expected.items():
            assert taken.arrays[name].shape == array.shape
            if name != "pixel_values":
                np.testing.assert_array_equal(taken.arrays[name], array)
        error = _pixel_error(taken.arrays["pixel_values"], expected["pixel_values"], spec)
        print(f"\n{checkpoint} {width}x{height} {draw.__name__}: {error * 255:.4f}/255")
        assert error <= MAX_ERROR, (height, width)


def _processed(processor, image: np.ndarray) -> dict[str, np.ndarray]:
    found = processor(PillowImage.fromarray(image), return_tensors="np")
    # Idefics' processor answers with its pixels alone.
    arrays = dict(found) if hasattr(found, "keys") else {"pixel_values": found}
    return {name: np.asarray(array) for name, array in arrays.items() if name not in ("rows", "cols")}


def _pixel_error(ours: np.ndarray, theirs: np.ndarray, spec: ImageSpec) -> float:
    """Return the largest of |ours - theirs| in the image before normalisation, [0, 1]."""
    error = np.abs(ours - theirs)
    std = np.array(spec.std)
    if spec.fit == "multiple":
        error = error.reshape(len(error), 3, -1)
        return float((error * std[:, None]).max())
    return float((error * std[:, None, None]).max())


@pytest.mark.parametrize(("kernel", "number"), [("lanczos", 1), ("bilinear", 2), ("bicubic", 3)])
@pytest.mark.parametrize("wanted", [(224, 224), (7, 300), (300, 7), (476, 644)])
def test_resizing_is_pillow_s(kernel: resample.Kernel, number: int, wanted: tuple[int, int]) -> None:
    for height, width in SIZES:
        image = noise(height, width)[:, ::-1]  # a view, as a mirrored camera gives
        expected = np.asarray(PillowImage.fromarray(image).resize(wanted[::-1], number))
        assert np.abs(resample.resize(image, *wanted, kernel).astype(int) - expected).max() <= 1


def test_a_fine_pattern_does_not_alias() -> None:
    stripes = np.zeros((224, 896, 3), np.uint8)
    stripes[:, ::4] = 255
    spec = ImageSpec(height=224, width=224, resize="bilinear", mean=(0, 0, 0), std=(1, 1, 1))
    tensor = image_to_tensor(stripes, spec)
    np.testing.assert_allclose(tensor[..., 4:-4], 0.25, atol=0.01)  # the mean, not one pixel of four


@pytest.mark.parametrize("fit", ["multiple", "tiles"])
def test_fits_of_many_pictures_make_no_single_tensor(fit: str) -> None:
    more = {"pixels": (3136, 200704)} if fit == "multiple" else {"longest_edge": 1456}
    spec = ImageSpec(height=28, width=28, resize="bicubic", mean=HALF, std=HALF, fit=fit, **more)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"edge\.model\.patches"):
        image_to_tensor(noise(30, 40), spec)


@pytest.mark.parametrize("checkpoint", PUBLISHED)
def test_a_checkpoint_s_own_file_says_its_spec(checkpoint: str) -> None:
    processor_class, settings, spec = PUBLISHED[checkpoint]
    saved = json.loads(processor_class(**settings).to_json_string())
    assert published_spec(saved) == spec
    means = {"image_mean": list(spec.mean), "image_std": list(spec.std)}
    assert published_spec(settings | means) == spec  # as the hub has it, defaults left out


def test_a_file_of_many_sizes_is_no_training_s_spec(tmp_path) -> None:
    processor_class, settings, _ = PUBLISHED["Qwen/Qwen3-VL-2B-Instruct"]
    processor_class(**settings).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="several sizes") as caught:
        image_spec(tmp_path)
    assert "inputs.image" in caught.value.hint


def test_an_image_too_long_for_qwen_is_refused() -> None:
    spec = PUBLISHED["Qwen/Qwen3-VL-2B-Instruct"][2]
    with pytest.raises(ValueError, match="200 to 1"):
        vision_input(np.zeros((2, 402, 3), np.uint8), spec)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fit": "crop", "width": 200},
        {"fit": "crop", "resize": "area"},
        {"fit": "multiple"},
        {"fit": "tiles"},
        {"longest_edge": 512},
        {"pixels": (1, 2)},
    ],
)
def test_a_spec_that_says_too_little_or_too_much_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="fit"):
        ImageSpec(**{"height": 224, "width": 224, "resize": "bicubic", "mean": HALF, "std": HALF} | wrong)
