"""IDEFICS, Idefics 3, and SmolVLM as its likes."""

from dataclasses import replace

from tests.edge.model.family_processors import SMOLVLM_CHAT
from tests.export.real.record import CLIP, HALF, STEPS, TEXT, VISION, Json, Published

_TILES = tuple(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))
_IDEFICS3_STEPS: Json = {
    **STEPS, **HALF, "do_image_splitting": True, "do_pad": True, "resample": 1,
    "image_processor_type": "Idefics3ImageProcessor", "processor_class": "Idefics3Processor",
}  # fmt: skip


def _idefics3(vocabulary: int, image: int, patch: int, side: int, scale: int, text: Json) -> Json:
    return {
        "architectures": ["Idefics3ForConditionalGeneration"], "model_type": "idefics3",
        "image_token_id": image, "scale_factor": scale, "tie_word_embeddings": False,
        "text_config": {
            **TEXT, "architectures": ["VLlama3ForCausalLM"], "model_type": "llama",
            "vocab_size": vocabulary, **text,
        },
        "vision_config": {
            **VISION, "image_size": side, "patch_size": patch, "model_type": "idefics3",
        },
    }  # fmt: skip


SMOLVLM = Published(
    words="smollm",
    rebuilt=True,
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
    rebuilt=True,
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
    rebuilt=True,
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

# One that was taught to chat has one token more, and <image> is not the last.
IDEFICS_INSTRUCT = replace(
    IDEFICS,
    specials=(*IDEFICS.specials, "<end_of_utterance>"),
    config=IDEFICS.config | {"additional_vocab_size": 3},
    tokenizer=IDEFICS.tokenizer
    | {"additional_special_tokens": ["<fake_token_around_image>", "<image>", "<end_of_utterance>"]},
)
