"""Kosmos-2."""

from tests.export.real.record import CLIP, STEPS, VISION, Published

KOSMOS = Published(
    words="kosmos",
    ids={"<image>": 64003, "</image>": 64004, "<grounding>": 64012, "<patch_index_0000>": 64013},
    config={
        "architectures": ["Kosmos2ForConditionalGeneration"], "model_type": "kosmos-2",
        "latent_query_num": 64,
        "text_config": {
            "activation_function": "gelu", "attention_dropout": 0.1, "attention_heads": 2, "bos_token_id": 0,
            "dropout": 0.1, "embed_dim": 64, "eos_token_id": 2, "ffn_dim": 96, "layer_norm_eps": 1e-05,
            "layers": 2, "max_position_embeddings": 2048, "model_type": "kosmos_2_text_model",
            "pad_token_id": 1, "scale_embedding": True, "vocab_size": 65037,
        },
        "vision_config": {
            **VISION, "hidden_act": "quick_gelu", "image_size": 224, "layer_norm_eps": 1e-05,
            "model_type": "kosmos_2_vision_model", "patch_size": 14,
        },
    },
    tokenizer={
        "tokenizer_class": "XLMRobertaTokenizer", "processor_class": "Kosmos2Processor",
        "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>",
        "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
    },
    files={
        "preprocessor_config.json": {
            **STEPS, **CLIP, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True,
            "image_processor_type": "CLIPImageProcessor", "processor_class": "Kosmos2Processor",
            "size": {"shortest_edge": 224}, "use_square_size": True,
        },
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 0, "eos_token_id": 2, "no_repeat_ngram_size": 3,
            "pad_token_id": 1,
        },
    },
)  # fmt: skip
