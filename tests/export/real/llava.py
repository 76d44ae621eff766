"""LLaVA 1.5."""

from tests.edge.model.family_processors import LLAVA_CHAT
from tests.export.real.record import CLIP, STEPS, TEXT, VISION, Published

LLAVA = Published(
    words="llama2",
    specials=("<image>", "<pad>"),
    ids={"<image>": 32000, "<pad>": 32001},
    config={
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava",
        "ignore_index": -100, "image_token_index": 32000, "pad_token_id": 32001,
        "projector_hidden_act": "gelu", "tie_word_embeddings": False, "vocab_size": 32064,
        "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
        "text_config": {
            **TEXT, "model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
            "vocab_size": 32064,
        },
        "vision_config": {
            **VISION, "num_hidden_layers": 3, "image_size": 336, "model_type": "clip_vision_model",
            "patch_size": 14, "projection_dim": 768, "vocab_size": 32000,
        },
    },
    tokenizer={
        "tokenizer_class": "LlamaTokenizer", "processor_class": "LlavaProcessor", "add_bos_token": True,
        "add_eos_token": False, "add_prefix_space": None, "legacy": False, "bos_token": "<s>",
        "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "image_token": "<image>",
        "extra_special_tokens": {"image_token": "<image>"}, "padding_side": "left",
    },
    files={
        "preprocessor_config.json": {
            **STEPS, **CLIP, "crop_size": {"height": 336, "width": 336}, "do_center_crop": True,
            "image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor",
            "size": {"shortest_edge": 336},
        },
        "processor_config.json": {
            "image_token": "<image>", "num_additional_image_tokens": 1, "patch_size": 14,
            "processor_class": "LlavaProcessor", "vision_feature_select_strategy": "default",
        },
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 32001,
        },
    },
    template=LLAVA_CHAT,
)  # fmt: skip
