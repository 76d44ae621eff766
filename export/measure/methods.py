"""The methods that ranges of activations are computed by; named here, as the options need no onnx."""

from typing import Literal

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")
