"""Florence-2 as transformers has it."""

from tests.export.real.record import STEPS, Published

_MARKS = "cap /cap ncap /ncap dcap /dcap grounding /grounding seg /seg sep region_cap /region_cap".split()
_MARKS += "region_to_desciption /region_to_desciption proposal /proposal poly /poly and".split()
FLORENCE = Published(
    words="bart",
    specials=(
        "<od>", "</od>", "<ocr>", "</ocr>", *(f"<loc_{i}>" for i in range(1000)),
        *(f"<{mark}>" for mark in _MARKS), "<image>",
    ),
    ids={"</od>": 50266, "<loc_0>": 50269, "<cap>": 51269, "<and>": 51288, "<image>": 51289},
    config={
        "architectures": ["Florence2ForConditionalGeneration"], "model_type": "florence2",
        "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "image_token_id": 51289,
        "is_encoder_decoder": True,
        "text_config": {
            "model_type": "bart", "activation_function": "gelu", "activation_dropout": 0.1,
            "attention_dropout": 0.1, "bos_token_id": 0, "d_model": 64, "decoder_attention_heads": 2,
            "decoder_ffn_dim": 96, "decoder_layers": 2, "decoder_start_token_id": 2, "dropout": 0.1,
            "encoder_attention_heads": 2, "encoder_ffn_dim": 96, "encoder_layers": 1, "eos_token_id": 2,
            "forced_eos_token_id": 2, "max_position_embeddings": 1024, "pad_token_id": 1,
            "scale_embedding": False, "vocab_size": 51328,
        },
        "vision_config": {
            "depths": [1, 1, 1, 1], "drop_path_rate": 0.1, "embed_dim": [32, 32, 48, 64],
            "num_heads": [2, 2, 2, 2], "num_groups": [2, 2, 2, 2], "patch_size": [7, 3, 3, 3],
            "patch_stride": [4, 2, 2, 2], "patch_padding": [3, 1, 1, 1],
            "patch_prenorm": [False, True, True, True], "window_size": 12, "projection_dim": 64,
            "max_temporal_embeddings": 100, "max_position_embeddings": 50, "model_type": "florence_vision",
        },
    },
    tokenizer={
        "tokenizer_class": "BartTokenizer", "processor_class": "Florence2Processor", "bos_token": "<s>",
        "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "mask_token": "<mask>", "extra_special_tokens": {"image_token": "<image>"},
        "model_max_length": 1024,
    },
    files={
        "preprocessor_config.json": {
            **STEPS, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
            "crop_size": {"height": 768, "width": 768}, "do_center_crop": False, "do_convert_rgb": None,
            "image_processor_type": "CLIPImageProcessor", "image_seq_length": 577,
            "processor_class": "Florence2Processor", "size": {"height": 768, "width": 768},
        },
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2,
            "early_stopping": True, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
            "no_repeat_ngram_size": 3, "num_beams": 3, "pad_token_id": 1,
        },
    },
)  # fmt: skip
