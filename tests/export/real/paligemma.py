"""PaliGemma 1 and 2."""

from tests.export.real.record import HALF, STEPS, TEXT, VISION, Json, Published


def paligemma(text: Json) -> Published:
    return Published(
        words="gemma2" if text["model_type"] == "gemma2" else "gemma",
        plain=tuple([f"<loc{i:04d}>" for i in range(1024)] + [f"<seg{i:03d}>" for i in range(128)]),
        specials=("<image>",),
        ids={"<loc0000>": 256000, "<seg000>": 257024, "<image>": 257152},
        config={
            "architectures": ["PaliGemmaForConditionalGeneration"],
            "model_type": "paligemma",
            "bos_token_id": 2,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "ignore_index": -100,
            "image_token_index": 257152,
            "projection_dim": 64,
            "hidden_size": 64,
            "vocab_size": 257216,
            "text_config": {**TEXT, "num_image_tokens": 256, "vocab_size": 257216, **text},
            "vision_config": {
                **VISION, "model_type": "siglip_vision_model", "num_image_tokens": 256, "patch_size": 14,
                "projection_dim": 64, "projector_hidden_act": "gelu_fast", "vision_use_head": False,
            },
        },
        tokenizer={
            "tokenizer_class": "GemmaTokenizer", "processor_class": "PaliGemmaProcessor",
            "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>",
            "add_bos_token": True, "add_eos_token": False, "additional_special_tokens": ["<image>"],
        },
        files={
            "preprocessor_config.json": {
                **STEPS, **HALF, "do_convert_rgb": None, "image_processor_type": "SiglipImageProcessor",
                "image_seq_length": 256, "processor_class": "PaliGemmaProcessor",
                "size": {"height": 224, "width": 224},
            },
            "generation_config.json": {
                "_from_model_config": True, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
            },
        },
    )  # fmt: skip


PALIGEMMA = paligemma({"model_type": "gemma"})
PALIGEMMA2 = paligemma(
    {
        "model_type": "gemma2", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256, "sliding_window": 4096,
        "cache_implementation": "hybrid", "head_dim": 32, "eos_token_id": [1, 107],
    }
)  # fmt: skip
