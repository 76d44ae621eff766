"""What the files of published checkpoints say, with nets made tiny: names of classes, ids of tokens, sizes and
numbers of images, ends of answers.

Read off published files, copies of them in public repositories: Qwen2.5-VL, LLaVA 1.5, SmolVLM-256M, PaliGemma
(not its preprocessor), Kosmos-2 (not its tokenizer). From memory: Qwen3-VL-2B, PaliGemma 2, IDEFICS, Idefics 3,
Florence-2 as transformers has it. docs/models.md has the table.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.edge.family_processors import LLAVA_CHAT, QWEN3_CHAT, QWEN25_CHAT, SMOLVLM_CHAT

Json = dict[str, Any]
CLIP: Json = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALF: Json = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_CLIP_STEPS: Json = {
    "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "resample": 3,
    "rescale_factor": 0.00392156862745098,
}  # fmt: skip
_TEXT: Json = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
_VISION: Json = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@dataclass(frozen=True)
class Published:
    """A checkpoint's files. `words` names its tokenizer for `tests.export.real_folders`; `specials` and `plain`
    are tokens that the checkpoint adds behind it, in their order."""

    words: str
    config: Json
    tokenizer: Json
    files: dict[str, Json]
    plain: tuple[str, ...] = ()
    specials: tuple[str, ...] = ()
    template: str | None = None
    camera: str = "640x480"
    ids: dict[str, int] = field(default_factory=dict)  # what some tokens must be called


def _gemma(text: Json) -> Published:
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
            "text_config": {**_TEXT, "num_image_tokens": 256, "vocab_size": 257216, **text},
            "vision_config": {
                **_VISION, "model_type": "siglip_vision_model", "num_image_tokens": 256, "patch_size": 14,
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
                **_CLIP_STEPS, **HALF, "do_convert_rgb": None, "image_processor_type": "SiglipImageProcessor",
                "image_seq_length": 256, "processor_class": "PaliGemmaProcessor",
                "size": {"height": 224, "width": 224},
            },
            "generation_config.json": {
                "_from_model_config": True, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
            },
        },
    )  # fmt: skip


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
        **_QWEN_IDS, **_TEXT,
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
            **_TEXT, "attention_bias": False, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 32,
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
            **_TEXT, "model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
            "vocab_size": 32064,
        },
        "vision_config": {
            **_VISION, "num_hidden_layers": 3, "image_size": 336, "model_type": "clip_vision_model",
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
            **_CLIP_STEPS, **CLIP, "crop_size": {"height": 336, "width": 336}, "do_center_crop": True,
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

_TILES = tuple(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))
_IDEFICS3_STEPS: Json = {
    **_CLIP_STEPS, **HALF, "do_image_splitting": True, "do_pad": True, "resample": 1,
    "image_processor_type": "Idefics3ImageProcessor", "processor_class": "Idefics3Processor",
}  # fmt: skip


def _idefics3(vocabulary: int, image: int, patch: int, side: int, scale: int, text: Json) -> Json:
    return {
        "architectures": ["Idefics3ForConditionalGeneration"], "model_type": "idefics3",
        "image_token_id": image, "scale_factor": scale, "tie_word_embeddings": False,
        "text_config": {
            **_TEXT, "architectures": ["VLlama3ForCausalLM"], "model_type": "llama",
            "vocab_size": vocabulary, **text,
        },
        "vision_config": {
            **_VISION, "image_size": side, "patch_size": patch, "model_type": "idefics3",
        },
    }  # fmt: skip


SMOLVLM = Published(
    words="smollm",
    specials=(
        "<global-img>", *_TILES, "<fake_token_around_image>", "<image>",
        *(f"<|reserved_special_token_{i}|>" for i in range(88)), "<end_of_utterance>",
    ),
    ids={"<|im_start|>": 1, "<global-img>": 49152, "<image>": 49190, "<end_of_utterance>": 49279},
    config=_idefics3(
        49280, 49190, 16, 512, 4,
        {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "max_position_embeddings": 8192,
         "rms_norm_eps": 1e-05, "rope_theta": 100000, "head_dim": 32},
    ),
    tokenizer={
        "tokenizer_class": "GPT2Tokenizer", "processor_class": "Idefics3Processor",
        "add_prefix_space": False, "bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>",
        "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>", "legacy": False,
        "additional_special_tokens": ["<fake_token_around_image>", "<image>", "<end_of_utterance>"],
    },
    files={
        "preprocessor_config.json": {
            **_IDEFICS3_STEPS, "size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512},
        },
        "processor_config.json": {"image_seq_len": 64, "processor_class": "Idefics3Processor"},
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 0, "eos_token_id": 49279, "pad_token_id": 2,
        },
    },
    template=SMOLVLM_CHAT,
)  # fmt: skip

IDEFICS3 = Published(
    words="llama3",
    specials=("<fake_token_around_image>", "<image>", "<end_of_utterance>"),
    ids={"<image>": 128257},
    config=_idefics3(
        128259, 128257, 14, 364, 2,
        {"bos_token_id": 128000, "eos_token_id": 128001, "pad_token_id": 128002,
         "max_position_embeddings": 10240, "rope_theta": 500000.0},
    ),
    tokenizer={
        "tokenizer_class": "PreTrainedTokenizerFast", "processor_class": "Idefics3Processor",
        "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>",
        "pad_token": "<|reserved_special_token_0|>",
        "additional_special_tokens": ["<fake_token_around_image>", "<image>", "<end_of_utterance>"],
    },
    files={
        "preprocessor_config.json": {
            **_IDEFICS3_STEPS, "size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364},
        },
        "processor_config.json": {"image_seq_len": 169, "processor_class": "Idefics3Processor"},
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 128000, "eos_token_id": [128001, 128258],
            "pad_token_id": 128002,
        },
    },
    template=SMOLVLM_CHAT.replace("<|im_start|>", "<|begin_of_text|>"),
)  # fmt: skip

# SmolVLM's first and largest: its tiles have no tokens of their own.
SMOLVLM_LARGE = Published(
    words="smollm",
    specials=("<fake_token_around_image>", "<image>", "<end_of_utterance>"),
    ids={"<image>": 49153},
    config=_idefics3(
        49155, 49153, 14, 384, 3,
        {"pad_token_id": 2, "max_position_embeddings": 16384, "rope_theta": 273768.0, "head_dim": 32},
    ),
    tokenizer=SMOLVLM.tokenizer,
    files={
        "preprocessor_config.json": {
            **_IDEFICS3_STEPS, "size": {"longest_edge": 1536}, "max_image_size": {"longest_edge": 384},
        },
        "processor_config.json": {"image_seq_len": 81, "processor_class": "Idefics3Processor"},
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 1, "eos_token_id": 49154, "pad_token_id": 2,
        },
    },
    template=SMOLVLM_CHAT,
)  # fmt: skip

IDEFICS = Published(
    words="llama2",
    specials=("<fake_token_around_image>", "<image>"),
    ids={"<image>": 32001},
    config={
        "architectures": ["IdeficsForVisionText2Text"], "model_type": "idefics", "additional_vocab_size": 2,
        "alpha_initializer": "zeros", "alpha_type": "float", "alphas_initializer_range": 0.0,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "cross_layer_activation_function": "swiglu",
        "cross_layer_interval": 2, "dropout": 0.0, "ffn_dim": 96, "freeze_lm_head": False,
        "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 2048,
        "num_attention_heads": 2, "num_hidden_layers": 4, "qk_layer_norms": True, "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False, "use_resampler": True, "vocab_size": 32000,
        "perceiver_config": {
            "qk_layer_norms_perceiver": True, "resampler_depth": 1, "resampler_head_dim": 16,
            "resampler_n_heads": 2, "resampler_n_latents": 64, "use_resampler": True,
        },
        "vision_config": {
            "embed_dim": 32, "hidden_act": "gelu", "image_size": 224, "intermediate_size": 64,
            "num_attention_heads": 2, "num_hidden_layers": 2, "patch_size": 14,
        },
    },
    tokenizer={
        "tokenizer_class": "LlamaTokenizer", "processor_class": "IdeficsProcessor", "bos_token": "<s>",
        "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>", "add_bos_token": True,
        "additional_special_tokens": ["<fake_token_around_image>", "<image>"],
    },
    files={
        "preprocessor_config.json": {
            **CLIP, "image_num_channels": 3, "image_processor_type": "IdeficsImageProcessor",
            "image_size": 224, "processor_class": "IdeficsProcessor",
        },
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        },
    },
)  # fmt: skip

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
            **_VISION, "hidden_act": "quick_gelu", "image_size": 224, "layer_norm_eps": 1e-05,
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
            **_CLIP_STEPS, **CLIP, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True,
            "image_processor_type": "CLIPImageProcessor", "processor_class": "Kosmos2Processor",
            "size": {"shortest_edge": 224}, "use_square_size": True,
        },
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 0, "eos_token_id": 2, "no_repeat_ngram_size": 3,
            "pad_token_id": 1,
        },
    },
)  # fmt: skip

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
            **_CLIP_STEPS, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
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

PUBLISHED: dict[str, Published] = {
    "paligemma": _gemma({"model_type": "gemma"}),
    "paligemma2": _gemma(
        {"model_type": "gemma2", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
         "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256, "sliding_window": 4096,
         "cache_implementation": "hybrid", "head_dim": 32, "eos_token_id": [1, 107]}
    ),
    "kosmos-2": KOSMOS,
    "qwen2.5-vl": QWEN25,
    "qwen3-vl": QWEN3,
    "llava": LLAVA,
    "idefics": IDEFICS,
    "smolvlm": SMOLVLM,
    "smolvlm-2.2b": SMOLVLM_LARGE,
    "idefics3": IDEFICS3,
    "florence-2": FLORENCE,
}  # fmt: skip
