"""A checkpoint that was read, as every kind gives it to its bundle."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Manifest
from edge.records import Image
from export.graphs.family import GraphSource
from export.sources.compare import TorchParity


@dataclass(frozen=True)
class Checkpoint(ABC):
    """A checkpoint in memory, with its bundle's manifest, which still lacks graphs and parity."""

    random_images: ClassVar[int] = 8  # images that ONNX Runtime and torch are compared on, besides the user's

    manifest: Manifest
    tokenizer: bytes  # the content of tokenizer.json

    @abstractmethod
    def graphs(self) -> dict[str, GraphSource]:
        """Return its graphs by stage, still as torch modules.

        Raises UsageError if the model has no room for so many tokens.
        """

    @abstractmethod
    def compare(self, bundle: Bundle, images: Sequence[Image]) -> TorchParity:
        """Compare the bundle with torch on some images (RGB uint8)."""
