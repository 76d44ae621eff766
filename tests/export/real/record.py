"""What the files of a published checkpoint hold, with a net made tiny.

These are names of classes, ids of tokens, sizes and numbers of images, ends of answers. docs/models.md tells
which were read and which are from memory.
"""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
CLIP: Json = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALF: Json = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
STEPS: Json = {
    "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "resample": 3,
    "rescale_factor": 0.00392156862745098,
}  # fmt: skip
TEXT: Json = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
VISION: Json = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@dataclass(frozen=True)
class Published:
    """A checkpoint's files, by name.

    `words` names its tokenizer to `tests.export.real.words`; the checkpoint's own tokens come behind it.
    """

    words: str
    config: Json
    tokenizer: Json  # tokenizer_config.json
    files: dict[str, Json]
    plain: tuple[str, ...] = ()
    specials: tuple[str, ...] = ()
    ids: dict[str, int] = field(default_factory=dict)  # what some of its tokens must come to
    template: str | None = None
    camera: str = "640x480"
    # Whether transformers 5 makes another tokenizer of vocabulary and merges than the file's, which
    # transformers 4 followed and nets learnt with: IDEFICS' spaces behind special tokens, SmolVLM's digits.
    rebuilt: bool = False
