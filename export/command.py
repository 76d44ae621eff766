"""`vla-edge export`: what training wrote, the default model or a policy, to a bundle."""

import json
from pathlib import Path

import cv2
import numpy as np

from edge.arguments import ArgumentParser
from edge.errors import UsageError
from edge.records import Image
from export.grounding import export_grounding
from export.policy import export_policy


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    p = ArgumentParser("export", "a folder that training wrote to a bundle, compared with torch")
    p.add_argument("checkpoint", type=Path, help="such as OUT/best of `vla-edge train`")
    p.add_argument("--out", type=Path, required=True, help="folder of the bundle; replaced if there")
    p.add_argument("--name", help="in the manifest; default: the name of --out")
    p.add_argument(
        "--images", type=Path, help="folder of images to compare with torch on, besides random ones"
    )
    p.add_argument("--floor", type=Path, help="ONNX file of python -m training.floor to put in")
    p.add_argument("--json", action="store_true")
    a = p.parse_args(argv)
    export = export_policy if (a.checkpoint / "vla.json").is_file() else export_grounding
    images, floor = _read_images(a.images), _read_floor(a.floor)
    bundle = export(a.checkpoint, a.out, a.name or a.out.name, images, floor=floor)
    size = sum(map(len, bundle.contents.values()))
    if a.json:
        print(json.dumps({"out": str(a.out), "bytes": size, "parity": bundle.manifest.parity}))
    else:
        print(f"{a.out}: {size / 1e6:.1f} MB, parity {bundle.manifest.parity}")
    return 0


def _read_floor(path: Path | None) -> bytes | None:
    """The file's bytes. Raises UsageError when there is no such file."""
    if path is not None and not path.is_file():
        raise UsageError(f"{path} is not a file", "python -m training.floor writes one")
    return path.read_bytes() if path is not None else None


def _read_images(folder: Path | None) -> list[Image]:
    """RGB pictures in the order of their names. Raises UsageError for anything else in the folder."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of images")
    images: list[Image] = []
    for path in sorted(folder.iterdir()):
        image = cv2.imread(str(path))
        if image is None:
            raise UsageError(f"{path} is not an image")
        images.append(np.ascontiguousarray(image[:, :, ::-1], np.uint8))
    return images
