"""Reads how a checkpoint's images are made from processor_config.json or preprocessor_config.json."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.bundle.manifest import ImageSpec, first_problem
from edge.errors import UsageError, reason_of
from edge.model.patches import smart_size

_FILTERS = {0: "area", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # by PIL's number; no family uses nearest
_PREPROCESSOR, _PROCESSOR = "preprocessor_config.json", "processor_config.json"
_KINDS = ("CLIP", "Idefics", "Idefics3", "Qwen2VL", "Siglip", "SmolVLM")  # image processors of the families
_CLIP: dict[str, Any] = {
    "do_center_crop": True,
    "crop_size": 224,
}  # what such a class does when its file leaves it out


def read_image_spec(folder: Path) -> ImageSpec:
    """Read how the images of a backbone's folder are made. Raises UsageError if no file there tells."""
    if (folder / "tiny.json").is_file():
        tiny: dict[str, Any] = json.loads((folder / "tiny.json").read_text())
        half = (0.5, 0.5, 0.5)
        return ImageSpec(
            height=tiny["image_height"], width=tiny["image_width"], resize="area", mean=half, std=half
        )
    file = folder / (_PREPROCESSOR if _nested(folder) is None else _PROCESSOR)
    hint = (
        "get the checkpoint's own file again; for training, inputs.image in the YAML file may say it instead"
    )
    if not file.is_file():
        raise UsageError(f"{file} is missing: nothing says how the model's images are made", hint)
    try:
        return published_spec(_nested(folder) or json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else reason_of(error)
        raise UsageError(f"{file} does not say how the model's images are made: {problem}", hint) from error


def _nested(folder: Path) -> dict[str, Any] | None:
    """Read the part about images of processor_config.json; None: there is none.

    transformers 5 writes it, and reads it before preprocessor_config.json. Raises UsageError if the file is
    damaged.
    """
    file = folder / _PROCESSOR
    if not file.is_file():
        return None
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} can't be read: {reason_of(error)}", "get the checkpoint again") from error
    return found.get("image_processor") if isinstance(found, dict) else None


def published_spec(saved: dict[str, Any]) -> ImageSpec:
    """Convert what an image processor of one of the families saved.

    Raises KeyError, TypeError and ValueError for other processors, and for steps that the runtime does not
    take.
    """
    found = {key: value for key, value in dict(saved).items() if value is not None}
    kind = str(found.get("image_processor_type", ""))
    if kind.startswith("CLIP"):
        found = _CLIP | found
    _check_steps(found)
    size = found.get("size", {})
    if isinstance(size, int):
        size = {"shortest_edge": size} if kind.startswith("CLIP") else {"height": size, "width": size}
    fields: dict[str, Any] = {"fit": "stretch", "height": size.get("height"), "width": size.get("width")}
    if "image_size" in found:  # IDEFICS
        fields |= {"height": found["image_size"], "width": found["image_size"]}
    elif "merge_size" in found:  # Qwen-VL
        edge = found["patch_size"] * found["merge_size"]
        least = found["min_pixels"] if "min_pixels" in found else size["shortest_edge"]
        most = found["max_pixels"] if "max_pixels" in found else size["longest_edge"]
        fields = {"fit": "multiple", "height": edge, "width": edge, "pixels": (least, most)}
    elif "max_image_size" in found:  # Idefics3, SmolVLM
        edge = found["max_image_size"]["longest_edge"]
        fit = "tiles" if found.get("do_image_splitting", True) else "single"
        fields = {"fit": fit, "height": edge, "width": edge, "longest_edge": size["longest_edge"]}
    elif "shortest_edge" in size:  # CLIP; Kosmos-2 squeezes
        edge = size["shortest_edge"]
        fields = {"fit": "stretch" if found.get("use_square_size") else "crop", "height": edge, "width": edge}
        if fields["fit"] == "crop" and not found.get("do_center_crop", True):
            raise ValueError("a shorter edge and no crop leaves the width open")
    if found.get("do_center_crop") and "merge_size" not in found:
        crop = found.get("crop_size", {})
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        if (crop.get("height"), crop.get("width")) != (fields["height"], fields["width"]):
            raise ValueError(f"it crops {_in_words(crop)} of {_in_words(size)}")
    if not found.get("do_normalize", True):
        found |= {"image_mean": (0, 0, 0), "image_std": (1, 1, 1)}
    filter_number = found.get("resample", 1 if "longest_edge" in fields else 3)  # the classes' own
    return ImageSpec(
        **fields,
        resize=_FILTERS[filter_number],  # type: ignore[arg-type]
        mean=tuple(found["image_mean"]),
        std=tuple(found["image_std"]),
    )


def _in_words(size: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {pixels} px" for name, pixels in size.items()) or "nothing"


def _check_steps(found: dict[str, Any]) -> None:
    """Check the steps. Raises ValueError for one that `edge.model.patches` does not do."""
    kind = str(found.get("image_processor_type", ""))
    if kind and kind.partition("ImageProcessor")[0] not in _KINDS:  # the first Kosmos-2 had code of its own
        raise ValueError(f"image_processor_type is {kind}; known are {', '.join(_KINDS)}")
    for step in ("do_resize", "do_rescale"):
        if not found.get(step, True):
            raise ValueError(f"{step} is false")
    if abs(found.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise ValueError(f"rescale_factor is {found['rescale_factor']} and not 1/255")
    if found.get("do_pad") and "max_image_size" not in found:  # Idefics3 pads images to others beside them
        raise ValueError("do_pad pads images to squares")
    for count in ("merge_size", "temporal_patch_size"):
        if found.get(count, 2) != 2:
            raise ValueError(f"{count} is {found[count]} and not 2")


def one_size(spec: ImageSpec, camera: tuple[int, int]) -> ImageSpec:
    """Fix one size for a graph's images.

    A family that keeps an image's shape gets the size of the camera's images, (height, width) in pixels; one
    that cuts images gets one tile. Raises UsageError if the camera's shape is too long for the family.
    """
    if spec.fit == "multiple" and spec.pixels is not None:
        try:
            height, width = smart_size(*camera, spec.height, *spec.pixels)
        except ValueError as error:
            raise UsageError(
                f"--camera: {reason_of(error)}", "give the camera's size, such as 640x480"
            ) from error
        sized = {"fit": "stretch", "height": height, "width": width, "pixels": None}
        return spec.model_copy(update=sized)
    return spec.model_copy(update={"fit": "single"}) if spec.fit == "tiles" else spec
