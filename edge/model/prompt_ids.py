"""Prompts to the ids that a family's HF processor would make of them: markers, image tokens and all.

The tokenizer is the checkpoint's `tokenizer.json` with the processor's own tokens in it, as
`processor.tokenizer.save_pretrained` writes it. What stands around picture and words is the checkpoint's own
chat template where its bundle has one, else the family's: that of its processor in transformers, and of
families that chat the template of their published checkpoints.
"""

from dataclasses import dataclass

from tokenizers import Tokenizer

from edge.bundle.manifest import ChatTemplate
from edge.errors import BundleRefused, UsageError


@dataclass(frozen=True, slots=True)
class Picture:
    """How the prompt shows the image."""

    tokens: int  # of the image, or of each tile
    rows: int = 0  # of tiles, see `edge.model.patches.VisionInput`
    columns: int = 0


def _layout(before: str, between: str, after: str, special: bool = False) -> ChatTemplate:
    return ChatTemplate(before=before, between=between, after=after, special=special)


_QWEN_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_QWEN_ASKS = ("<|im_start|>user\n<|vision_start|>", "<|vision_end|>", "<|im_end|>\n<|im_start|>assistant\n")
_QWEN = _layout(_QWEN_SYSTEM + _QWEN_ASKS[0], *_QWEN_ASKS[1:], special=True)
_FAKE = "<fake_token_around_image>"
_FLAMINGO_ASKS = (f"<s>User:{_FAKE}", _FAKE)

_LAYOUTS = {
    "paligemma": _layout("", "<bos>", "\n"),
    "kosmos-2": _layout("<s><image> ", " </image> ", ""),
    "florence-2": _layout("", "<s>", "</s>"),
    "qwen-vl": _QWEN,
    "qwen2.5-vl": _QWEN,
    "qwen3-vl": _layout(*_QWEN_ASKS, special=True),
    "llava": _layout("USER: ", "\n", " ASSISTANT:", special=True),
    "flamingo": _layout(*_FLAMINGO_ASKS, "\nAssistant:"),
    "smolvlm": _layout("<|im_start|>User:", "", "<end_of_utterance>\nAssistant:", special=True),
}
_CHATS = ("qwen-vl", "qwen2.5-vl", "qwen3-vl", "llava", "smolvlm")  # whose processors render a template

# Of Florence2Processor, which tells the model these words and not the task's name.
_FLORENCE_TASKS = {
    "<OPEN_VOCABULARY_DETECTION>": "Locate {input} in the image.",
    "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
    "<OD>": "Locate the objects with category name in the image.",
}


def family_chat(family: str) -> ChatTemplate | None:
    """The chat template of a family's published checkpoints; None of families whose processors have none."""
    return _LAYOUTS[family] if family in _CHATS else None


END_OF_UTTERANCE = "<end_of_utterance>"  # of a flamingo that was taught to chat
FLAMINGO_CHAT = _layout(*_FLAMINGO_ASKS, f"{END_OF_UTTERANCE}\nAssistant:")


def image_token(family: str) -> str:
    """One of the tokens that show the image in the family's prompts."""
    return "<|image_pad|>" if family.startswith("qwen") else "<image>"


def prompt_ids(
    tokenizer: Tokenizer, family: str, prompt: str, picture: Picture, chat: ChatTemplate | None = None
) -> list[int]:
    """Ids (N,) of a prompt of `edge.goals.prompts` with its picture, as the checkpoint's chat template writes
    them; None: the family's.

    Raises UsageError for a family without a layout, BundleRefused for a tokenizer without the image token.
    """
    if family not in _LAYOUTS:
        raise UsageError(f"no prompt layout for family '{family}'", f"choose one of {', '.join(_LAYOUTS)}")
    layout, image = chat or _LAYOUTS[family], image_token(family)
    if tokenizer.token_to_id(image) is None:
        raise BundleRefused(f"the tokenizer has no {image}, which {family} shows images by")
    shown = _shown(family, image, picture)
    text = layout.before + shown + layout.between + _worded(family, prompt) + layout.after
    ids: list[int] = tokenizer.encode(text, add_special_tokens=layout.special).ids
    return _kosmos_places(tokenizer, ids, picture.tokens) if family == "kosmos-2" else ids


def ids_after_picture(
    tokenizer: Tokenizer, family: str, prompt: str, image_tokens: int, chat: ChatTemplate | None = None
) -> list[int]:
    """What of a prompt's ids follows its image, shown by `image_tokens` ids in a row.

    Raises as `prompt_ids`.
    """
    ids, first, shown = _around_picture(tokenizer, family, prompt, image_tokens, chat)
    return ids[first + shown :]


def ids_before_picture(tokenizer: Tokenizer, family: str, chat: ChatTemplate | None = None) -> list[int]:
    """What of a prompt's ids stands ahead of its image, whatever is asked; of flamingo the image's own too.

    Raises as `prompt_ids`.
    """
    ids, first, shown = _around_picture(tokenizer, family, "", 1, chat)
    return ids[: first + (shown if family == "flamingo" else 0)]


def _around_picture(
    tokenizer: Tokenizer, family: str, prompt: str, image_tokens: int, chat: ChatTemplate | None
) -> tuple[list[int], int, int]:
    """A prompt's ids, where the image's begin, and how many those are."""
    shown = tokens_of_one(family, image_tokens).tokens
    ids = prompt_ids(tokenizer, family, prompt, Picture(shown), chat)
    image: int | None = tokenizer.token_to_id(image_token(family))
    assert image is not None  # prompt_ids has looked
    return ids, 2 if family == "kosmos-2" else ids.index(image), shown


def tokens_of_one(family: str, image_tokens: int) -> Picture:
    """An uncut image that the vision graph makes so many tokens of, as the prompt shows it."""
    return Picture(1 if family == "flamingo" else image_tokens)  # whose tokens look at it from beside it


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
