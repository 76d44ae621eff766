"""Fields of Hugging Face's config.json that dimensions come from.

A config.json leaves out what equals its class's defaults; those that matter are DEFAULTS, as transformers 5
has them, by "model_type".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.errors import UsageError

_LLAMA = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
_CLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
}
_IDEFICS3 = {**_CLIP, "hidden_size": 1152, "num_attention_heads": 16}

DEFAULTS: dict[str, dict[str, Any]] = {
    # text
    "llama": _LLAMA,
    "mistral": {**_LLAMA, "intermediate_size": 14336, "num_key_value_heads": 8},
    "gemma": {
        "vocab_size": 256000,
        "hidden_size": 3072,
        "intermediate_size": 24576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
    },
    "gemma2": {
        "vocab_size": 256000,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
    },
    "qwen2_5_vl_text": {
        "vocab_size": 152064,
        "hidden_size": 8192,
        "intermediate_size": 29568,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
    },
    "qwen3_vl_text": {**_LLAMA, "vocab_size": 151936, "intermediate_size": 22016, "head_dim": 128},
    "kosmos_2_text_model": {
        "vocab_size": 65037,
        "embed_dim": 2048,
        "layers": 24,
        "ffn_dim": 8192,
        "attention_heads": 32,
    },
    "bart": {
        "vocab_size": 51289,
        "d_model": 1024,
        "encoder_layers": 12,
        "encoder_ffn_dim": 4096,
        "encoder_attention_heads": 16,
        "decoder_layers": 12,
        "decoder_ffn_dim": 4096,
        "decoder_attention_heads": 16,
        "max_position_embeddings": 1024,
    },
    "idefics": {
        **_LLAMA,
        "additional_vocab_size": 0,
        "cross_layer_interval": 1,
        "tie_word_embeddings": False,
        "use_resampler": False,
    },
    # the whole model, beside its parts
    "kosmos-2": {"latent_query_num": 64},
    "idefics3": {"scale_factor": 2},
    "smolvlm": {"scale_factor": 2},
    # vision
    "siglip_vision_model": {**_CLIP, "patch_size": 16, "vision_use_head": True},
    "clip_vision_model": _CLIP,
    "kosmos_2_vision_model": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    },
    "qwen2_5_vl_vision": {
        "depth": 32,
        "hidden_size": 3584,
        "intermediate_size": 3420,
        "num_heads": 16,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
    "qwen3_vl_vision": {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 3584,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    },
    "idefics3_vision": _IDEFICS3,
    "smolvlm_vision": _IDEFICS3,
    "idefics_vision": {
        "embed_dim": 768,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    },
    "idefics_perciever": {  # transformers spells it so
        "resampler_n_latents": 64,
        "resampler_depth": 6,
        "resampler_n_heads": 16,
        "resampler_head_dim": 96,
    },
    "florence_vision": {
        "depths": [1, 1, 9, 1],
        "patch_size": [7, 3, 3, 3],
        "patch_stride": [4, 2, 2, 2],
        "embed_dim": [128, 256, 512, 1024],
        "projection_dim": 1024,
        "window_size": 12,
        "max_position_embeddings": 50,
    },
}


class Fields:
    """A part of config.json with its class's defaults.

    Every getter raises UsageError for a value of another type.
    """

    def __init__(self, given: object, model_type: str) -> None:
        if not isinstance(given, Mapping):
            raise UsageError(f"config.json: the section for {model_type} is not an object")
        if model_type not in DEFAULTS:
            known = ", ".join(sorted(DEFAULTS))
            raise UsageError(
                f"config.json: the dimensions of a part {model_type!r} are not known", f"known: {known}"
            )
        self._values: dict[str, Any] = {**DEFAULTS[model_type], **given}

    def has(self, key: str) -> bool:
        """Whether a field is given or has a default."""
        return self._values.get(key) is not None

    def number(self, key: str) -> int:
        """Read a whole number above 0."""
        return _number(key, self._values[key])

    def count(self, key: str) -> int:
        """Read a whole number of 0 or more."""
        return 0 if self._values[key] == 0 else self.number(key)

    def flag(self, key: str) -> bool:
        """Read true or false."""
        if not isinstance(self._values[key], bool):
            raise _wrong(key, self._values[key], "true or false")
        return self._values[key]

    def numbers(self, key: str) -> list[int]:
        """Read a list of whole numbers above 0."""
        if not isinstance(self._values[key], list):
            raise _wrong(key, self._values[key], "a list")
        return [_number(key, value) for value in self._values[key]]

    def length(self, key: str) -> int:
        """Read the length of a list."""
        if not isinstance(self._values[key], list):
            raise _wrong(key, self._values[key], "a list")
        return len(self._values[key])


def _number(key: str, value: object) -> int:
    # 2 ** 24: no dimension of a net is larger, and products of them stay exact and quick.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 2**24:
        raise _wrong(key, value, "a whole number above 0")
    return value


def _wrong(key: str, value: object, wanted: str) -> UsageError:
    return UsageError(f"config.json: {key} is {str(value)[:40]!r}, not {wanted}")
