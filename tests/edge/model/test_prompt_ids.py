"""Prompts to the ids that each family's HF processor makes of them."""

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from edge.errors import BundleRefused, UsageError
from edge.goals.prompts import family_prompt
from edge.model.prompt_ids import PromptImage, ids_after_image, prompt_ids
from edge.records import Goal
from tests.edge.model.family_processors import (
    IMAGE,
    florence,
    idefics,
    kosmos,
    llava,
    paligemma,
    qwen,
    smolvlm,
)

TARGETS = ["cup", "red cup", "the box on the left", "빨간 컵", "파란 상자", "caf\u00e9 {picture} 1/2", "🧸"]


def _chat(processor, text: str) -> list[int]:
    content = [{"type": "image"}, {"type": "text", "text": text}]
    asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return _plain(processor, asked)


def _plain(processor, text: str) -> list[int]:
    return [int(i) for i in np.asarray(processor(images=IMAGE, text=text)["input_ids"]).reshape(-1)]


def _marked(processor, text: str) -> list[int]:
    return _plain(processor, "<image>" + text)


def _dialogue(processor, text: str) -> list[int]:
    # As IdeficsProcessor.__call__ shows it.
    return [int(i) for i in processor(text=["User:", IMAGE, f"{text}\nAssistant:"])["input_ids"][0]]


CASES: dict[str, tuple[str, Callable, Callable]] = {
    "paligemma": ("paligemma", paligemma, _marked),
    "kosmos-2": ("kosmos-2", kosmos, _plain),
    "florence-2": ("florence-2", florence, _plain),
    "llava": ("llava", llava, _chat),
    "flamingo": ("flamingo", idefics, _dialogue),
    "qwen2.5-vl": ("qwen2.5-vl", lambda: qwen(14), _chat),
    "qwen3-vl": ("qwen3-vl", lambda: qwen(16), _chat),
    "smolvlm of tiles": ("smolvlm", lambda: smolvlm(True), _chat),
    "smolvlm of one image": ("smolvlm", lambda: smolvlm(False), _chat),
}


@pytest.mark.parametrize("case", CASES)
def test_prompts_are_the_ids_of_the_family_s_processor(case: str) -> None:
    family, build, ask = CASES[case]
    processor, picture = build()
    # What the processor would save as tokenizer.json, its own tokens included.
    tokenizer = Tokenizer.from_str(processor.tokenizer.backend_tokenizer.to_str())
    prompts = [family_prompt(family, Goal("find_object", target)) for target in TARGETS]
    prompts += [family_prompt(family, Goal(kind)) for kind in ("describe_scene", "identify_main_object")]
    for text in prompts:
        ids = prompt_ids(tokenizer, family, text, picture)
        assert ids == ask(processor, text), text
        tiles = max(picture.rows * picture.columns + 1, 1)
        assert len(ids) > picture.tokens * tiles
        if not picture.rows:  # one picture, its tokens in a row
            after = ids_after_image(tokenizer, family, text, picture.tokens)
            first = len(ids) - len(after) - picture.tokens
            assert after and ids[len(ids) - len(after) :] == after
            assert ids[:first] == ask(processor, "")[:first], "what stands ahead is the same for all prompts"
            shown = ids[first : first + picture.tokens]
            assert len({one - i for i, one in enumerate(shown)} if family == "kosmos-2" else set(shown)) == 1


def test_an_unknown_family_and_a_strange_tokenizer_are_refused() -> None:
    tokenizer = Tokenizer(BPE())
    with pytest.raises(UsageError, match="no prompt layout"):
        prompt_ids(tokenizer, "blip", "cup", PromptImage(1))
    with pytest.raises(BundleRefused, match="<image>"):
        prompt_ids(tokenizer, "llava", "cup", PromptImage(1))
