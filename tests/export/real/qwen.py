"""Qwen2.5-VL and Qwen3-VL."""

from tests.edge.model.family_processors import QWEN3_CHAT, QWEN25_CHAT
from tests.export.real.record import CLIP, HALF, TEXT, Json, Published

_QWEN_TOKENIZER: Json = {
    "tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "add_prefix_space": False,
    "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
    "model_max_length": 131072, "split_special_tokens": False,
}  # fmt: skip
_QWEN_IDS: Json = {
    "image_token_id": 151655, "video_token_id": 151656, "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}  # fmt: skip
_QWEN_NAMES = {"<|im_end|>": 151645, "<|vision_start|>": 151652, "<|image_pad|>": 151655}

QWEN25 = Published(
    words="qwen2.5",
    ids=_QWEN_NAMES,
    config={
        **_QWEN_IDS, **TEXT,
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl", "bos_token_id": 151643, "eos_token_id": 151645,
        "vision_token_id": 151654, "hidden_act": "silu", "max_position_embeddings": 128000,
        "max_window_layers": 28, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
        "use_sliding_window": False, "tie_word_embeddings": False, "vocab_size": 152064,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "vision_config": {
            "depth": 2, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
            "in_chans": 3, "out_hidden_size": 64, "patch_size": 14, "spatial_merge_size": 2,
            "spatial_patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1],
            "tokens_per_second": 2, "temporal_patch_size": 2,
        },
    },
    tokenizer=_QWEN_TOKENIZER,
    files={
        "preprocessor_config.json": {
            **CLIP, "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
            "merge_size": 2, "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
        },
        "generation_config.json": {
            "bos_token_id": 151643, "pad_token_id": 151643, "do_sample": True,
            "eos_token_id": [151645, 151643], "repetition_penalty": 1.05, "temperature": 0.000001,
        },
    },
    template=QWEN25_CHAT,
    camera="160x120",
)  # fmt: skip

QWEN3 = Published(
    words="qwen3",
    ids=_QWEN_NAMES,
    config={
        **_QWEN_IDS,
        "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
        "tie_word_embeddings": True,
        "text_config": {
            **TEXT, "attention_bias": False, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 32,
            "hidden_act": "silu", "max_position_embeddings": 262144, "model_type": "qwen3_vl_text",
            "rms_norm_eps": 1e-06, "rope_theta": 5000000, "tie_word_embeddings": True, "vocab_size": 151936,
            "rope_scaling": {
                "mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default",
            },
        },
        "vision_config": {
            "deepstack_visual_indexes": [0, 1], "depth": 3, "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32, "in_channels": 3, "intermediate_size": 64, "model_type": "qwen3_vl",
            "num_heads": 2, "num_position_embeddings": 2304, "out_hidden_size": 64, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
    },
    tokenizer=_QWEN_TOKENIZER,
    files={
        "preprocessor_config.json": {
            **HALF, "size": {"longest_edge": 16777216, "shortest_edge": 65536}, "patch_size": 16,
            "temporal_patch_size": 2, "merge_size": 2, "image_processor_type": "Qwen2VLImageProcessorFast",
            "processor_class": "Qwen3VLProcessor",
        },
        "generation_config.json": {
            "bos_token_id": 151643, "pad_token_id": 151643, "do_sample": True,
            "eos_token_id": [151645, 151643], "top_k": 20, "top_p": 0.8, "temperature": 0.7,
            "repetition_penalty": 1.0,
        },
    },
    template=QWEN3_CHAT,
    camera="320x240",
)  # fmt: skip
