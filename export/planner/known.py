"""Well-known models by name, with their published dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from export.planner.families import read_config, vit
from export.planner.fields import Fields
from export.planner.layers import Layers, Request, StageWork, Workload, matrix

_SO400M = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "vision_use_head": False,
}

# config.json of google/paligemma-3b-mix-224.
PALIGEMMA_3B: dict[str, Any] = {
    "model_type": "paligemma",
    "vision_config": _SO400M,
    "text_config": {
        "model_type": "gemma",
        "vocab_size": 257216,
        "hidden_size": 2048,
        "intermediate_size": 16384,
        "num_hidden_layers": 18,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
    },
}

# config.json of Qwen/Qwen2.5-VL-3B-Instruct.
QWEN25_VL_3B: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "vision_config": {"hidden_size": 1280, "out_hidden_size": 2048},
}
# config.json of microsoft/kosmos-2-patch14-224, which has nothing but its class's defaults.
KOSMOS_2: dict[str, Any] = {"model_type": "kosmos-2"}

# config.json of HuggingFaceTB/SmolVLM2-500M-Video-Instruct, with the 16 layers that SmolVLA keeps of 32.
_SMOLVLM2_HALF: dict[str, Any] = {
    "model_type": "smolvlm",
    "scale_factor": 4,
    "vision_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "image_size": 512,
        "patch_size": 16,
    },
    "text_config": {
        "model_type": "llama",
        "vocab_size": 49280,
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 16,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "head_dim": 64,
    },
}


@dataclass(frozen=True)
class KnownModel:
    """A model that the planner knows by name."""

    title: str
    request: Request  # the usual sizes of one action or answer
    build: Callable[[Request], Workload]
    published: float  # parameters, as its authors count them
    source: str


def _pi05(request: Request) -> Workload:
    base = read_config(PALIGEMMA_3B, replace(request, tokens=0))
    rows = base.cache // (2 * 18 * 256)
    # openpi, models/gemma.py "gemma_300m" and models/pi0_config.py: 50 actions of 32 numbers.
    width, horizon, numbers = 1024, 50, 32
    expert = Layers(18, width, 8, 1, 256, 4096, True).run(horizon, past=rows)
    expert += matrix(numbers, width, horizon) + matrix(width, numbers, horizon)
    # Norms are modulated by the time of denoising, whose few values are known: all that is constant.
    constant = (2 * 18 + 1) * width * 3 * width + 2 * width**2
    stages = (*base.stages, StageWork("expert", expert, request.steps))
    return replace(base, family="pi0.5", stages=stages, unused=constant)


def _smolvla(request: Request) -> Workload:
    base = read_config(_SMOLVLM2_HALF, replace(request, tokens=0))
    keys = 5 * 64
    rows = base.cache // (2 * 16 * keys)
    # lerobot, policies/smolvla: 0.75 of the backbone's width; every second layer sees its keys only.
    width, horizon, numbers = 720, 50, 32
    half = Layers(8, width, 15, 5, 64, 2048, True)
    step = half.run(horizon, past=rows) + half.cross(horizon, keys, rows, fresh=False)
    step += matrix(numbers, width, horizon) + matrix(width, numbers, horizon)
    step += matrix(2 * width, width, horizon) + matrix(width, width, horizon)  # actions and time
    once = matrix(keys, keys, rows) * (2 * half.count) + matrix(numbers, 960, 1)  # keys, values; the state
    stages = (*base.stages, StageWork("expert keys", once), StageWork("expert", step, request.steps))
    return replace(base, family="smolvla", stages=stages)


def _gr00t(request: Request) -> Workload:
    # NVIDIA/Isaac-GR00T, gr00t/configs/model/gr00t_n1d6.py; the backbone is Eagle-Block2A-2B-v2: SigLIP 2
    # So400m and the first 16 layers of Qwen3-1.7B. An image's shorter edge is 256 px, cropped to 252.
    vision = Fields({**_SO400M, "image_size": 252}, "siglip_vision_model")
    work, tables, patches, width = vit(vision, request.views, cls=False)
    tokens = patches // 4  # 2 x 2 patches a token
    wide = 2048
    work += matrix(4 * width, wide, tokens * request.views) + matrix(wide, wide, tokens * request.views)
    language = Layers(16, wide, 16, 8, 128, 6144, True)
    rows = (tokens + 2) * request.views + request.prompt
    # The 32 layers of the diffusion transformer look at the backbone and at themselves in turns.
    inner, horizon, numbers, robots = 1536, 50, 128, 32
    half = Layers(16, inner, 32, 32, 48, 4 * inner, False)
    step = half.run(horizon + 1) + half.cross(horizon + 1, wide, rows, fresh=False)
    encode = (
        matrix(numbers, inner, horizon) + matrix(2 * inner, inner, horizon) + matrix(inner, inner, horizon)
    )
    decode = matrix(inner, 1024, horizon) + matrix(1024, 1024, horizon) + matrix(1024, numbers, horizon)
    state = matrix(numbers, 1024, 1) + matrix(1024, inner, 1)
    once = matrix(wide, inner, rows) * (2 * half.count) + state
    # One of 32 robots is driven. What the time of denoising alone decides is constant.
    others = (robots - 1) * (encode.parameters + state.parameters + 1024 * 1024 + 1024 * numbers)
    constant = 33 * inner * 2 * inner + 256 * inner + inner**2
    return Workload(
        "gr00t-n1.6",
        (
            StageWork("vision", work),
            StageWork("prefill", language.run(rows, causal=True)),
            StageWork("expert keys", once),
            StageWork("expert", step + encode + decode, request.steps),
        ),
        tables=tables + 151680 * wide + 1024 * inner,
        unused=others + constant,
        cache=0,
    )


def _openvla(request: Request) -> Workload:
    # openvla/openvla-7b config.json and prismatic's "dinosiglip-vit-so-224px" with Llama 2 7B.
    dino = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    }
    left, positions, patches, width = vit(Fields(dino, "clip_vision_model"), request.views, cls=True)
    right, more, _, other = vit(Fields(_SO400M, "siglip_vision_model"), request.views, cls=False)
    both, wide, seen = width + other, 4096, patches * request.views
    joined = matrix(both, 4 * both, seen) + matrix(4 * both, wide, seen) + matrix(wide, wide, seen)
    llama = {
        "model_type": "llava",
        "vision_config": {"num_hidden_layers": 1, "image_size": 224, "patch_size": 14},
        "text_config": {"model_type": "llama", "vocab_size": 32064},
    }
    base = read_config(llama, request)  # its language model alone is used
    pooling = other + 4 * other**2 + 2 * other * 4304  # SigLIP's, which nothing reads
    return Workload(
        "openvla",
        (StageWork("vision", left + right + joined), *base.stages[1:]),
        tables=positions + more + 32064 * wide,
        unused=pooling,
        cache=base.cache,
    )


def _reader(config: dict[str, Any]) -> Callable[[Request], Workload]:
    return lambda request: read_config(config, request)


KNOWN = {
    "pi0.5": KnownModel(
        "π0.5", Request(views=2, prompt=64, tokens=0, steps=10), _pi05, 3.4e9,
        "openpi: PaliGemma 3B and an action expert of 300 M with adaptive norms; openpi pads prompts to 200",
    ),
    "gr00t-n1.6": KnownModel(
        "GR00T N1.6", Request(views=1, prompt=24, tokens=0, steps=4), _gr00t, 3e9,
        "NVIDIA Isaac-GR00T: Gr00tN1d6Config; latencies are published for one view and 4 steps",
    ),
    "smolvla": KnownModel(
        "SmolVLA", Request(views=2, prompt=32, tokens=0, steps=10), _smolvla, 450e6,
        "lerobot: smolvla_base; 450 M with a language model's head that no action needs",
    ),
    "openvla": KnownModel(
        "OpenVLA", Request(views=1, prompt=28, tokens=7), _openvla, 7.54e9,
        "openvla-7b: 7 action tokens, one after another",
    ),
    "paligemma-3b": KnownModel(
        "PaliGemma 3B", Request(views=1, prompt=8, tokens=7), _reader(PALIGEMMA_3B), 2.92e9,
        "paligemma-3b-mix-224: four location tokens, a name and the end",
    ),
    "qwen2.5-vl-3b": KnownModel(
        "Qwen2.5-VL 3B", Request(views=1, prompt=32, tokens=30), _reader(QWEN25_VL_3B), 3.75e9,
        "Qwen2.5-VL-3B-Instruct: a box in pixels with its label, as JSON",
    ),
    "kosmos-2": KnownModel(
        "Kosmos-2", Request(views=1, prompt=16, tokens=8), _reader(KOSMOS_2), 1.66e9,
        "kosmos-2-patch14-224",
    ),
}  # fmt: skip
