"""The comparison of ONNX Runtime with torch over the same inputs, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from edge.errors import BundleRefused
from edge.records import Image

MIN_EQUAL = 0.99  # share of the choices that must be the same; the rest are near-ties


class Differences:
    """Collects, input by input, what ONNX Runtime and torch computed of it."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._equal: list[bool] = []

    def add_values(self, found: np.ndarray, expected: np.ndarray, scale: float = 1.0) -> None:
        """Add the largest difference of two arrays of one shape, as a share of `scale`."""
        self._errors.append(float(np.abs(found - expected).max()) / scale)

    def add_choices(self, *equal: bool) -> None:
        """Add choices, such as tokens; each says if both made the same one."""
        self._equal += equal

    @property
    def max_error(self) -> float:
        """The largest difference; NaN if one is NaN."""
        return float(np.max(self._errors))

    @property
    def share_equal(self) -> float:
        """The share of choices that are the same, 0 to 1."""
        return sum(self._equal) / len(self._equal)


@dataclass(frozen=True)
class TorchParity:
    """The distance of a bundle's graphs from the torch modules that they were exported from."""

    figures: dict[str, float]  # by name, as the manifest keeps them
    most: Mapping[str, float]  # the largest figure that is accepted, by its name
    least: Mapping[str, float]  # the smallest figure that is accepted, by its name

    def check(self) -> None:
        """Check the figures. Raises BundleRefused if one is beyond its limit or NaN."""
        wrong = [
            f"{k} {self.figures[k]:.3g} (at most {v:g})"
            for k, v in self.most.items()
            if not self.figures[k] <= v
        ]
        wrong += [
            f"{k} {self.figures[k]:.3g} (at least {v:g})"
            for k, v in self.least.items()
            if not self.figures[k] >= v
        ]
        if wrong:
            raise BundleRefused(
                f"ONNX Runtime and torch disagree: {', '.join(wrong)}",
                "export with another version of torch or onnxruntime, or report the checkpoint",
            )


def random_patches(seed: int, height: int, width: int) -> Image:
    """Draw coarse random patches, (height, width, 3); unlike fine noise, no two look the same to a net."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
