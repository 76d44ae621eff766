"""Prompts to the ids that a family's HF processor would make of them, markers and image tokens included.

The tokenizer is the checkpoint's `tokenizer.json` with the processor's own tokens in it, as
`processor.tokenizer.save_pretrained` writes it. The text around image and words is the bundle's chat template
if it has one, else the family's: from its processor in transformers, or from the family's published
checkpoints if its processor renders a chat template.
"""

from dataclasses import dataclass

from tokenizers import Tokenizer

from edge.bundle.manifest import ChatTemplate
from edge.errors import BundleRefused, UsageError


@dataclass(frozen=True, slots=True)
class PromptImage:
    """An image as the prompt shows it."""

    tokens: int  # for the image, or for each tile
    rows: int = 0  # rows of tiles, see `edge.model.patches.VisionInput`
    columns: int = 0  # columns of tiles


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
_CHATS = ("qwen-vl", "qwen2.5-vl", "qwen3-vl", "llava", "smolvlm")  # their processors render a template

# Florence2Processor gives the model these words in place of the task's name.
_FLORENCE_TASKS = {
    "<OPEN_VOCABULARY_DETECTION>": "Locate {input} in the image.",
    "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
    "<OD>": "Locate the objects with category name in the image.",
}


def family_chat(family: str) -> ChatTemplate | None:
    """Return the chat template of a family's published checkpoints; None if its processor has none."""
    return _LAYOUTS[family] if family in _CHATS else None


END_OF_UTTERANCE = "<end_of_utterance>"  # ends each turn of a flamingo that was trained to chat
FLAMINGO_CHAT = _layout(*_FLAMINGO_ASKS, f"{END_OF_UTTERANCE}\nAssistant:")


def image_token(family: str) -> str:
    """Return the token that shows the image in the family's prompts, once or in a row."""
    return "<|image_pad|>" if family.startswith("qwen") else "<image>"


def prompt_ids(
    tokenizer: Tokenizer, family: str, prompt: str, shown: PromptImage, chat: ChatTemplate | None = None
) -> list[int]:
    """Return the ids of a prompt of `edge.goals.prompts` with its image; `chat` None: the family's template.

    Raises UsageError if the family has no layout, BundleRefused if the tokenizer has no image token.
    """
    if family not in _LAYOUTS:
        raise UsageError(f"no prompt layout for family '{family}'", f"choose one of {', '.join(_LAYOUTS)}")
    layout, image = chat or _LAYOUTS[family], image_token(family)
    if tokenizer.token_to_id(image) is None:
        raise BundleRefused(f"the tokenizer has no {image}, which {family} shows images by")
    marks = _image_marks(family, image, shown)
    text = layout.before + marks + layout.between + _processed(family, prompt) + layout.after
    ids: list[int] = tokenizer.encode(text, add_special_tokens=layout.special).ids
    return _kosmos_image_ids(tokenizer, ids, shown.tokens) if family == "kosmos-2" else ids


def ids_after_image(
    tokenizer: Tokenizer, family: str, prompt: str, image_tokens: int, chat: ChatTemplate | None = None
) -> list[int]:
    """Return the ids of a prompt that follow its image, which `image_tokens` ids in a row show.

    Raises what `prompt_ids` raises.
    """
    ids, first, shown = _around_image(tokenizer, family, prompt, image_tokens, chat)
    return ids[first + shown :]


def ids_before_image(tokenizer: Tokenizer, family: str, chat: ChatTemplate | None = None) -> list[int]:
    """Return the ids ahead of the image, the same for every prompt; flamingo's include the image's own.

    Raises what `prompt_ids` raises.
    """
    ids, first, shown = _around_image(tokenizer, family, "", 1, chat)
    return ids[: first + (shown if family == "flamingo" else 0)]


def _around_image(
    tokenizer: Tokenizer, family: str, prompt: str, image_tokens: int, chat: ChatTemplate | None
) -> tuple[list[int], int, int]:
    """Return a prompt's ids, the index of the image's first, and how many ids show the image."""
    shown = tokens_of_image(family, image_tokens).tokens
    ids = prompt_ids(tokenizer, family, prompt, PromptImage(shown), chat)
    image: int | None = tokenizer.token_to_id(image_token(family))
    assert image is not None  # prompt_ids has checked
    return ids, 2 if family == "kosmos-2" else ids.index(image), shown


def tokens_of_image(family: str, image_tokens: int) -> PromptImage:
    """Return how the prompt shows an uncut image that the vision graph turns into `image_tokens` tokens."""
    # Flamingo's image tokens are not part of its sequence: cross-attention reads them.
    return PromptImage(1 if family == "flamingo" else image_tokens)


def _image_marks(family: str, image: str, shown: PromptImage) -> str:
    """Return the image tokens with the text between them."""
    if family == "kosmos-2":
        return " ".join([image] * shown.tokens)
    whole = image * shown.tokens
    if family != "smolvlm":
        return whole
    lines = [
        "".join(f"{_FAKE}<row_{row}_col_{column}>{whole}" for column in range(1, shown.columns + 1)) + "\n"
        for row in range(1, shown.rows + 1)
    ]
    return "".join(lines) + ("\n" if lines else "") + f"{_FAKE}<global-img>{whole}{_FAKE}"


def _processed(family: str, prompt: str) -> str:
    """Return the prompt as the family's processor rewrites it."""
    if family == "kosmos-2":
        return prompt.strip()
    if family == "flamingo":
        return prompt.strip(" ")
    if family == "florence-2":
        for task, words in _FLORENCE_TASKS.items():
            if task in prompt:
                return words.replace("{input}", prompt.replace(task, "").strip())
    return prompt


def _kosmos_image_ids(tokenizer: Tokenizer, ids: list[int], tokens: int) -> list[int]:
    """Return the ids with the image's own, which Kosmos-2 numbers from <unk> on, behind <s> and <image>."""
    first: int | None = tokenizer.token_to_id("<unk>")
    if first is None:
        raise BundleRefused("the tokenizer has no <unk>, after which kosmos-2 numbers its image tokens")
    return [*ids[:2], *range(first + 1, first + 1 + tokens), *ids[2 + tokens :]]
