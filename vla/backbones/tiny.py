"""Each family so small that a test trains it in a second: random weights, 64 tokens, width 32."""

from typing import Any

from vla.backbones.backbone import Backbone, Layout
from vla.backbones.loading import backbone_from_config

VOCABULARY = 64
WIDTH = 32
FIRST_ACTION, BINS = 40, 16
# Ids: 0 pad, 1 end, 2 bos, 3 and 4 around images, 5 image, words from 10 on, actions from FIRST_ACTION on.
IMAGE_SIDE = {"florence-2": 32}  # pixels; 16 for all others

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}
_VISION: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
    "initializer_range": 0.1,
}
_ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
_QWEN_VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_heads": 2,
    "patch_size": 4,
    "out_hidden_size": WIDTH,
    "initializer_range": 0.1,
}
_QWEN_IDS = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}

CONFIGS: dict[str, dict[str, Any]] = {
    "paligemma": {
        "model_type": "paligemma",
        "text_config": {**_TEXT, "model_type": "gemma", "head_dim": 16},
        "vision_config": {**_VISION, "model_type": "siglip_vision_model", "projection_dim": WIDTH},
        "projection_dim": WIDTH,
        "image_token_index": 5,
    },
    "paligemma2": {
        "model_type": "paligemma",
        "text_config": {**_TEXT, "model_type": "gemma2", "head_dim": 16, "sliding_window": 64},
        "vision_config": {**_VISION, "model_type": "siglip_vision_model", "projection_dim": WIDTH},
        "projection_dim": WIDTH,
        "image_token_index": 5,
    },
    "kosmos-2": {
        "model_type": "kosmos-2",
        "text_config": {
            "vocab_size": VOCABULARY,
            "embed_dim": WIDTH,
            "layers": 2,
            "ffn_dim": 64,
            "attention_heads": 2,
            "max_position_embeddings": 256,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "init_std": 0.1,
            "pad_token_id": 0,
        },
        "vision_config": _VISION,
        "latent_query_num": 4,
    },
    "qwen2_5_vl": {
        "model_type": "qwen2_5_vl",
        "text_config": {**_TEXT, "rope_parameters": _ROPE},
        "vision_config": {**_QWEN_VISION, "window_size": 16, "fullatt_block_indexes": [1]},
        **_QWEN_IDS,
    },
    "qwen3_vl": {
        "model_type": "qwen3_vl",
        "text_config": {**_TEXT, "head_dim": 16, "rope_parameters": {**_ROPE, "mrope_interleaved": True}},
        "vision_config": {**_QWEN_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
        **_QWEN_IDS,
    },
    "llava": {
        "model_type": "llava",
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_VISION, "model_type": "clip_vision_model", "num_hidden_layers": 2},
        "image_token_index": 5,
    },
    "idefics": {
        "model_type": "idefics",
        **{k: v for k, v in _TEXT.items() if k != "num_key_value_heads"},
        "vocab_size": VOCABULARY - 2,
        "additional_vocab_size": 2,
        "alpha_initializer": "ones",  # zeros would hide the images from an untrained net
        "vision_config": {**{k: v for k, v in _VISION.items() if k != "hidden_size"}, "embed_dim": WIDTH},
    },
    "smolvlm": {
        "model_type": "smolvlm",
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_VISION, "patch_size": 4},
        "image_token_id": 5,
    },
    "idefics3": {
        "model_type": "idefics3",
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_VISION, "patch_size": 4},
        "image_token_id": 5,
        "scale_factor": 2,
    },
    "florence2": {
        "model_type": "florence2",
        "text_config": {
            "model_type": "bart",
            "vocab_size": VOCABULARY,
            "d_model": WIDTH,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 256,
            "dropout": 0.0,
            "init_std": 0.1,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "decoder_start_token_id": 1,
        },
        "vision_config": {
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 4],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "embed_dim": [16, 32],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "window_size": 2,
            "drop_path_rate": 0.0,
            "projection_dim": WIDTH,
        },
        "image_token_id": 5,
    },
}
_LAYOUTS = {
    "paligemma": Layout(after=(2,)),
    "paligemma2": Layout(after=(2,)),
    "kosmos-2": Layout(before=(2,), image_start=(3,), image_end=(4,)),
    "qwen2_5_vl": Layout(image_start=(3,), image_end=(4,)),
    "qwen3_vl": Layout(image_start=(3,), image_end=(4,)),
    "llava": Layout(before=(2,)),
    "idefics": Layout(
        before=(2,), image_start=(VOCABULARY - 2,), image_end=(VOCABULARY - 2,), image=VOCABULARY - 1
    ),
    "smolvlm": Layout(before=(2,), image_start=(3, 7), image_end=(3,)),
    "idefics3": Layout(before=(2,), image_start=(3, 7), image_end=(3,)),
    "florence2": Layout(after=(2,)),
}
# A wider net has more heads, so that the width of a head stays as it is.
_WIDTHS = frozenset(
    "hidden_size intermediate_size embed_dim ffn_dim d_model projection_dim out_hidden_size encoder_ffn_dim "
    "decoder_ffn_dim num_attention_heads attention_heads num_heads encoder_attention_heads "
    "decoder_attention_heads num_groups".split()
)


def tiny_backbone(name: str, wider: int = 1) -> Backbone:
    """Build one of CONFIGS, `wider` times as wide, with random weights; seed torch for the same ones."""
    return backbone_from_config(_wider(CONFIGS[name], wider), _LAYOUTS[name])


def _wider(value: Any, times: int, key: str = "") -> Any:
    if isinstance(value, dict):
        fields: dict[str, Any] = value
        return {name: _wider(item, times, name) for name, item in fields.items()}
    if key not in _WIDTHS:
        return value
    return [times * item for item in value] if isinstance(value, list) else times * value


def image_side(backbone: Backbone) -> int:
    """Height and width of a tiny backbone's images in pixels."""
    return IMAGE_SIDE.get(backbone.family, 16)
