"""Prompts to the ids that a family's HF processor would make of them: markers, image tokens and all.

The tokenizer is the checkpoint's `tokenizer.json` with the processor's own tokens in it, as
`processor.tokenizer.save_pretrained` writes it. Source of each layout: the processor in transformers, and the
chat template of the checkpoint where it has one.
"""

from dataclasses import dataclass

from tokenizers import Tokenizer

from edge.errors import BundleRefused, UsageError


@dataclass(frozen=True, slots=True)
class Picture:
    """How the prompt shows the image."""

    tokens: int  # of the image, or of each tile
    rows: int = 0  # of tiles, see `edge.vision_input.VisionInput`
    columns: int = 0


@dataclass(frozen=True, slots=True)
class _Layout:
    text: str  # with {picture} and {prompt}
    image: str = "<image>"  # one image token
    special: bool = False  # whether the tokenizer adds what its post-processor wants
    starts: tuple[str, ...] = ()  # ahead of the text, the first of these that the tokenizer has


_QWEN_ASKS = (
    "<|im_start|>user\n<|vision_start|>{picture}<|vision_end|>{prompt}<|im_end|>\n<|im_start|>assistant\n"
)
_QWEN_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_FAKE = "<fake_token_around_image>"

_LAYOUTS = {
    "paligemma": _Layout("{picture}<bos>{prompt}\n"),
    "kosmos-2": _Layout("<s><image> {picture} </image> {prompt}"),
    "florence-2": _Layout("{picture}<s>{prompt}</s>"),
    "qwen-vl": _Layout(_QWEN_SYSTEM + _QWEN_ASKS, "<|image_pad|>", special=True),
    "qwen2.5-vl": _Layout(_QWEN_SYSTEM + _QWEN_ASKS, "<|image_pad|>", special=True),
    "qwen3-vl": _Layout(_QWEN_ASKS, "<|image_pad|>", special=True),
    "llava": _Layout("USER: {picture}\n{prompt} ASSISTANT:", special=True),
    "flamingo": _Layout(f"<s>User:{_FAKE}{{picture}}{_FAKE}{{prompt}}\nAssistant:"),
    "smolvlm": _Layout(
        "User:{picture}{prompt}<end_of_utterance>\nAssistant:",
        special=True,
        starts=("<|im_start|>", "<|begin_of_text|>"),  # of SmolLM2, and of Llama 3 in Idefics 3
    ),
}

# Of Florence2Processor, which tells the model these words and not the task's name.
_FLORENCE_TASKS = {
    "<OPEN_VOCABULARY_DETECTION>": "Locate {input} in the image.",
    "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
    "<OD>": "Locate the objects with category name in the image.",
}


def prompt_ids(tokenizer: Tokenizer, family: str, prompt: str, picture: Picture) -> list[int]:
    """Ids (N,) of a prompt of `edge.prompts` with its picture.

    Raises UsageError for a family without a layout, BundleRefused for a tokenizer without the image token or
    what the prompt begins with.
    """
    layout = _LAYOUTS.get(family)
    if layout is None:
        raise UsageError(f"no prompt layout for family '{family}'", f"choose one of {', '.join(_LAYOUTS)}")
    if tokenizer.token_to_id(layout.image) is None:
        raise BundleRefused(f"the tokenizer has no {layout.image}, which {family} shows images by")
    before, _, after = layout.text.partition("{picture}")
    shown = _shown(family, layout.image, picture)
    # The prompt last, as it stands: a target may hold braces.
    text = _start(tokenizer, layout) + before + shown + after.replace("{prompt}", _worded(family, prompt))
    ids: list[int] = tokenizer.encode(text, add_special_tokens=layout.special).ids
    return _kosmos_places(tokenizer, ids, picture.tokens) if family == "kosmos-2" else ids


def ids_after_picture(tokenizer: Tokenizer, family: str, prompt: str, image_tokens: int) -> list[int]:
    """What of a prompt's ids follows its image, shown by `image_tokens` ids in a row.

    Raises as `prompt_ids`.
    """
    ids, first, shown = _around_picture(tokenizer, family, prompt, image_tokens)
    return ids[first + shown :]


def ids_before_picture(tokenizer: Tokenizer, family: str) -> list[int]:
    """What of a prompt's ids stands ahead of its image, whatever is asked; of flamingo the image's own too.

    Raises as `prompt_ids`.
    """
    ids, first, shown = _around_picture(tokenizer, family, "", 1)
    return ids[: first + (shown if family == "flamingo" else 0)]


def _around_picture(
    tokenizer: Tokenizer, family: str, prompt: str, image_tokens: int
) -> tuple[list[int], int, int]:
    """A prompt's ids, where the image's begin, and how many those are."""
    shown = 1 if family == "flamingo" else image_tokens  # its tokens look at the image from beside it
    ids = prompt_ids(tokenizer, family, prompt, Picture(shown))
    image: int | None = tokenizer.token_to_id(_LAYOUTS[family].image)
    assert image is not None  # prompt_ids has looked
    return ids, 2 if family == "kosmos-2" else ids.index(image), shown


def _start(tokenizer: Tokenizer, layout: _Layout) -> str:
    found = [token for token in layout.starts if tokenizer.token_to_id(token) is not None]
    if layout.starts and not found:
        raise BundleRefused(f"the tokenizer has none of {', '.join(layout.starts)}, which its prompts begin with")
    return found[0] if found else ""


def _shown(family: str, image: str, picture: Picture) -> str:
    """The image tokens, with what stands between them."""
    if family == "kosmos-2":
        return " ".join([image] * picture.tokens)
    whole = image * picture.tokens
    if family != "smolvlm":
        return whole
    lines = [
        "".join(f"{_FAKE}<row_{row}_col_{column}>{whole}" for column in range(1, picture.columns + 1)) + "\n"
        for row in range(1, picture.rows + 1)
    ]
    return "".join(lines) + ("\n" if lines else "") + f"{_FAKE}<global-img>{whole}{_FAKE}"


def _worded(family: str, prompt: str) -> str:
    """The words that the processor makes of a prompt."""
    if family == "kosmos-2":
        return prompt.strip()
    if family == "flamingo":
        return prompt.strip(" ")
    if family == "florence-2":
        for task, words in _FLORENCE_TASKS.items():
            if task in prompt:
                return words.replace("{input}", prompt.replace(task, "").strip())
    return prompt


def _kosmos_places(tokenizer: Tokenizer, ids: list[int], tokens: int) -> list[int]:
    """Kosmos-2 writes the image's places as the ids after <unk>, behind <s> and <image>."""
    first: int | None = tokenizer.token_to_id("<unk>")
    if first is None:
        raise BundleRefused("the tokenizer has no <unk>, after which kosmos-2 numbers its image tokens")
    return [*ids[:2], *range(first + 1, first + 1 + tokens), *ids[2 + tokens :]]
