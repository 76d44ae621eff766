"""Folders as published ones but for the size of the net, and what transformers itself makes of them."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    Qwen2_5_VLProcessor,
    Qwen3VLProcessor,
    TokenizersBackend,
)

from tests.export.real.florence import FLORENCE
from tests.export.real.idefics import IDEFICS, IDEFICS3, IDEFICS_INSTRUCT, SMOLVLM, SMOLVLM_LARGE
from tests.export.real.kosmos import KOSMOS
from tests.export.real.llava import LLAVA
from tests.export.real.paligemma import PALIGEMMA, PALIGEMMA2
from tests.export.real.qwen import QWEN3, QWEN25
from tests.export.real.record import Json, Published
from tests.export.real.words import words_of
from vla.backbones.loading import family_of

PUBLISHED: dict[str, Published] = {
    "paligemma-3b-pt-224": PALIGEMMA,
    "paligemma2-3b-mix-224": PALIGEMMA2,
    "kosmos-2-patch14-224": KOSMOS,
    "qwen2.5-vl-7b": QWEN25,
    "qwen3-vl-2b": QWEN3,
    "llava-1.5-7b": LLAVA,
    "idefics-9b": IDEFICS,
    "idefics-9b-instruct": IDEFICS_INSTRUCT,
    "idefics3-8b": IDEFICS3,
    "smolvlm-256m": SMOLVLM,
    "smolvlm-2.2b": SMOLVLM_LARGE,
    "florence-2-base": FLORENCE,
}
_QWEN = {"qwen2_5_vl": Qwen2_5_VLProcessor, "qwen3_vl": Qwen3VLProcessor}


def write_files(name: str, folder: Path) -> Path:
    """All files of one of PUBLISHED but its weights. Skips the test where its tokenizer is not here."""
    published = PUBLISHED[name]
    words = words_of(published)
    folder.mkdir(parents=True, exist_ok=True)
    words.save(str(folder / "tokenizer.json"))
    files = {"config.json": published.config, "tokenizer_config.json": published.tokenizer, **published.files}
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content))
    if published.template is not None:
        (folder / "chat_template.jinja").write_text(published.template)
    return folder


def write_folder(name: str, folder: Path) -> Path:
    """The same with a tiny net's random weights."""
    write_files(name, folder)
    config = PUBLISHED[name].config
    model_class: Any = family_of(config["model_type"]).classes[config["model_type"]]
    torch.manual_seed(0)
    net = model_class(model_class.config_class.from_dict(copy.deepcopy(config)))
    _shake(net)
    net.save_pretrained(folder)
    return write_files(name, folder)  # what was published, and not what transformers makes of it


@torch.no_grad()
def _shake(net: torch.nn.Module) -> None:
    """Weights with which answers hang on picture and words, and not on the last token alone."""
    embeddings = {id(part.weight) for part in net.modules() if isinstance(part, torch.nn.Embedding)}
    for name, weight in net.named_parameters():
        if "alpha" in name:  # a gate of IDEFICS: at its first value images have no effect
            weight.fill_(1.0)
        elif id(weight) in embeddings:
            weight.normal_(0, 0.02)
        elif weight.ndim > 1:
            sharp = 4 if "q_proj" in name or "k_proj" in name else 1.2  # attention that tells tokens apart
            weight.normal_(0, sharp / weight[0].numel() ** 0.5)
        elif name.endswith("bias"):
            weight.normal_(0, 0.2)


def processor_of(name: str, folder: Path) -> Any:
    """transformers' own processor of a folder."""
    model_type = PUBLISHED[name].config["model_type"]
    if model_type in _QWEN:
        return _qwen(_QWEN[model_type], folder)
    processor = AutoProcessor.from_pretrained(folder)
    if PUBLISHED[name].rebuilt:
        processor.tokenizer = TokenizersBackend.from_pretrained(folder)
    return processor


def _qwen(processor_class: Any, folder: Path) -> Any:
    processor: Any = object.__new__(processor_class)  # without a video processor, which needs torchvision
    words: Any = AutoTokenizer.from_pretrained(folder)
    processor.tokenizer, processor.image_processor = words, AutoImageProcessor.from_pretrained(folder)
    processor.chat_template = words.chat_template
    processor.image_token, processor.video_token = "<|image_pad|>", "<|video_pad|>"
    processor.image_token_id = words.convert_tokens_to_ids("<|image_pad|>")
    processor.video_token_id = words.convert_tokens_to_ids("<|video_pad|>")
    return processor


def asked(name: str, processor: Any, image: Image, words: str) -> Json:
    """What the checkpoint's model card hands to its net for an image and a prompt."""
    model_type = PUBLISHED[name].config["model_type"]
    if model_type == "idefics":
        turn = "<end_of_utterance>" if name.endswith("instruct") else ""
        text = ["User:", image, f"{words}{turn}\nAssistant:"]
        return dict(processor(text=[text], add_end_of_utterance_token=False, return_tensors="pt"))
    if model_type == "paligemma":
        words = "<image>" + words
    elif PUBLISHED[name].template is not None:
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": words}]}
        words = processor.apply_chat_template([message], add_generation_prompt=True)
    return dict(processor(images=[image], text=[words], return_tensors="pt"))
