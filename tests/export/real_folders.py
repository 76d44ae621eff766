"""Folders as published ones: real words and files, tiny nets with random weights."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, XLMRobertaTokenizer
from transformers import Qwen2_5_VLProcessor, Qwen3VLProcessor

from tests.export.published import PUBLISHED, Json, Published
from vla.loading import family_of

FETCHED = Path(__file__).parents[2] / "data" / "tokenizers"


def write_folder(name: str, folder: Path) -> Path:
    """One of PUBLISHED as its folder would be. Skips the test where its tokenizer is not here."""
    published = PUBLISHED[name]
    words = _words(published)
    folder.mkdir(parents=True)
    words.save(str(folder / "tokenizer.json"))
    for file, content in {"tokenizer_config.json": published.tokenizer, **published.files}.items():
        (folder / file).write_text(json.dumps(content))
    if published.template is not None:
        (folder / "chat_template.jinja").write_text(published.template)
    net = _net(published.config)
    net.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(published.config))
    if "generation_config.json" in published.files:
        (folder / "generation_config.json").write_text(json.dumps(published.files["generation_config.json"]))
    return folder


def _net(config: Json) -> Any:
    """A net whose answers hang on image and prompt, whatever its config says of first weights."""
    model_class: Any = family_of(config["model_type"]).classes[config["model_type"]]
    torch.manual_seed(0)
    net = model_class(model_class.config_class.from_dict(copy.deepcopy(config))).eval()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "alpha" in name:  # of IDEFICS: as first made, its tokens don't look at images
                weight.fill_(1.0)
            elif weight.ndim > 1:
                weight.normal_(0, 1.2 / weight[0].numel() ** 0.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.2)
    return net


def _words(published: Published) -> Tokenizer:
    words = WORDS.get(published.words, _fetched)(published.words)
    words.add_tokens([AddedToken(token, normalized=False) for token in published.plain])
    words.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in published.specials])
    for token, index in published.ids.items():
        assert words.token_to_id(token) == index, (token, words.token_to_id(token), index)
    return words


def _fetched(name: str, file: str = "tokenizer.json") -> Any:
    path = FETCHED / name / file
    if not path.is_file():
        pytest.skip(f"{path} is not here: run scripts/fetch-tokenizers, which needs npm and its registry")
    return Tokenizer.from_file(str(path)) if file == "tokenizer.json" else path.read_text(encoding="utf-8")


def _bytes_bpe(head: list[str], count: int, digits: bool, tail: list[str]) -> Tokenizer:
    """`count` pieces of GPT-2 between special tokens: what SmolLM2's and BART's own look like."""
    vocab: dict[str, int] = json.loads(_fetched("gpt2", "encoder.json"))
    merges = [tuple(line.split()) for line in _fetched("gpt2", "vocab.bpe").splitlines()[1:] if line]
    pieces = sorted(vocab, key=vocab.__getitem__)[:count]
    known = set(pieces)
    ids = {token: index for index, token in enumerate([*head, *pieces, *tail])}
    merges = [pair for pair in merges if "".join(pair) in known]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    split = [{"type": "Digits", "individual_digits": True}] if digits else []
    specials = [token for token in [*head, *tail] if token.startswith("<")]
    return Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [
                    {
                        "id": ids[token], "content": token, "single_word": False, "lstrip": token == "<mask>",
                        "rstrip": False, "normalized": False, "special": True,
                    }
                    for token in specials
                ],
                "normalizer": None,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*split, byte_level]}
                if split
                else byte_level,
                "post_processor": None
                if digits
                else {
                    "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                    "trim_offsets": True, "add_prefix_space": False,
                },
                "decoder": byte_level,
                "model": {
                    "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                    "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": ids,
                    "merges": merges,
                },
            }
        )
    )  # fmt: skip


def _smollm(_: str) -> Tokenizer:
    head = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<reserved_{i}>" for i in range(14))]
    return _bytes_bpe(head, 49152 - len(head), True, [])


def _bart(_: str) -> Tokenizer:
    made_up = [f"madeupword{i:04d}" for i in range(3)]
    return _bytes_bpe(["<s>", "<pad>", "</s>", "<unk>"], 50257, False, [*made_up, "<mask>"])


def _kosmos(_: str) -> Tokenizer:
    marks = "/doc image /image /chunk /line phrase /phrase object /object /delimiter_of_multi_objects/ grounding"
    names = ["<s>", "<pad>", "</s>", "<unk>", *(f"image_{i}" for i in range(64)), "▁"]
    names += [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:'?", *"▁a ▁cup ▁red ▁box ▁the 컵 빨 간 ▁빨간".split()]
    names += [f"filler_{i}" for i in range(64001 - len(names))]
    words = XLMRobertaTokenizer(vocab=[(name, -float(i)) for i, name in enumerate([*names, "<mask>"])])
    tokens = [f"<{mark}>" for mark in marks.split()] + [f"<patch_index_{i:04d}>" for i in range(1024)]
    words.add_tokens([AddedToken(token, lstrip=True, normalized=False) for token in tokens])
    return words.backend_tokenizer


WORDS: dict[str, Callable[[str], Tokenizer]] = {"smollm": _smollm, "bart": _bart, "kosmos": _kosmos}
_QWEN = {"qwen2_5_vl": Qwen2_5_VLProcessor, "qwen3_vl": Qwen3VLProcessor}


def processor_of(folder: Path) -> Any:
    """transformers' own processor of a folder."""
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    if model_type not in _QWEN:
        return AutoProcessor.from_pretrained(folder)
    processor: Any = object.__new__(_QWEN[model_type])  # without its video processor, which needs torchvision
    words = AutoTokenizer.from_pretrained(folder)
    processor.tokenizer, processor.image_processor = words, AutoImageProcessor.from_pretrained(folder)
    processor.chat_template = (folder / "chat_template.jinja").read_text()
    processor.image_token, processor.video_token = "<|image_pad|>", "<|video_pad|>"
    processor.image_token_id, processor.video_token_id = words.convert_tokens_to_ids(
        [processor.image_token, processor.video_token]
    )
    return processor


def asked(processor: Any, family: str, image: Any, prompt: str) -> Any:
    """What the family's model card does with an image (a PIL image) and a prompt."""
    if family == "flamingo":
        return processor(text=[["User:", image, f"{prompt}\nAssistant:"]], return_tensors="pt")
    if family == "paligemma":
        prompt = "<image>" + prompt
    elif processor.chat_template is not None:
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        message = [{"role": "user", "content": content}]
        prompt = processor.apply_chat_template(message, add_generation_prompt=True)
    # A list: so the processors of transformers' own pipelines are called.
    return processor(images=[image], text=[prompt], return_tensors="pt")
