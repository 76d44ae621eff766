"""A checkpoint's chat template as the text that it writes around one image and one question.

A bundle has no Jinja: transformers renders the template here for questions that differ, and the bundle keeps
the text that stands around all of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edge.bundle.manifest import ChatTemplate
from edge.bundle.published import read_json
from edge.errors import UsageError, reason_of
from edge.model.prompt_ids import END_OF_UTTERANCE, FLAMINGO_CHAT, family_chat, image_token

# The second question holds characters that templates escape or cut.
_PROBES = (
    "Where is the red cup?",
    "it's 1 < 2 & {picture}, \"빨간 컵\" [x]: 'none'",
)
_HINT = "export a checkpoint whose template puts one question about one image, or change the template"


def chat_template(folder: Path, family: str) -> ChatTemplate | None:
    """Read the checkpoint's own template; None if it has none.

    Raises UsageError for a template that a bundle can't write, or of a family whose prompts are not chats.
    """
    file, template = _find(folder)
    if template is None:
        return FLAMINGO_CHAT if family == "flamingo" and ends_utterances(folder) is not None else None
    if family_chat(family) is None:
        raise UsageError(
            f"{file} has a chat template, and a {family} takes its family's own prompts",
            "take the template out if the model was trained with those prompts",
        )
    if "strftime_now" in template:
        raise UsageError(
            f"the chat template in {file} writes the date of the day, which a bundle can't write", _HINT
        )
    render, first = _renderer(folder, file, template)
    parts = {_around(render(words), words, image_token(family), file) for words in _PROBES}
    if len(parts) > 1:
        raise UsageError(
            f"the chat template in {file} writes other text around one question than around another", _HINT
        )
    before, between, after = parts.pop()
    # A processor of transformers calls its tokenizer in the same way.
    special = not (first and before.startswith(first))
    return ChatTemplate(before=before, between=between, after=after, special=special)


def ends_utterances(folder: Path) -> int | None:
    """Find the token that ends a turn of IDEFICS's instructed checkpoints; None if there is none."""
    index: int | None = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(END_OF_UTTERANCE)
    return index


def _find(folder: Path) -> tuple[Path, str | None]:
    """Find the template that transformers takes, and its file: the processor's, or else the tokenizer's.

    Raises UsageError if there are several and none is the default, or if a file can't be read.
    """
    processor, old = folder / "processor_config.json", folder / "chat_template.json"
    named, jinja = sorted(folder.glob("chat_templates/*.jinja")), folder / "chat_template.jinja"
    tokenizer = folder / "tokenizer_config.json"
    if processor.is_file() and (found := read_json(processor).get("chat_template")) is not None:
        return processor, _default(processor, found)
    if old.is_file():
        return old, _default(old, read_json(old).get("chat_template"))
    if jinja.is_file():
        try:
            return jinja, jinja.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{jinja} can't be read: {reason_of(error)}", "get the checkpoint again"
            ) from error
    if named:
        raise UsageError(f"{named[0].parent} has {len(named)} chat templates and no default", _HINT)
    if tokenizer.is_file() and (found := read_json(tokenizer).get("chat_template")) is not None:
        return tokenizer, _default(tokenizer, found)
    return tokenizer, None


def _default(file: Path, found: Any) -> str:
    """Pick the default if templates have names. Raises UsageError if there is none."""
    if isinstance(found, list):
        found = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
    if isinstance(found, dict):
        found = found.get("default")
    if not isinstance(found, str):
        raise UsageError(f"{file} has no default chat template", _HINT)
    return found


def _renderer(folder: Path, file: Path, template: str) -> tuple[Callable[[str], str], str | None]:
    """Return a function that renders a question, and the tokenizer's first token if it has one."""
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(
            f"the tokenizer in {folder} can't be read: {reason_of(error)}",
            "get the checkpoint again, all of its files",
        ) from error

    def render(words: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": words}]
        try:
            return tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
            )
        except Exception as error:  # a template is a program, which may fail in any way
            raise UsageError(
                f"the chat template in {file} can't be rendered for one question about one image: "
                f"{reason_of(error)}",
                _HINT,
            ) from error

    return render, tokenizer.bos_token


def _around(rendered: str, words: str, image: str, file: Path) -> tuple[str, str, str]:
    """Return the text before the image, between it and the question, and after the question.

    Raises UsageError if image and question do not follow each other, once each.
    """
    if rendered.count(image) != 1 or rendered.count(words) != 1:
        raise UsageError(
            f"the chat template in {file} writes one image {rendered.count(image)} times as {image} "
            f"and one question {rendered.count(words)} times unchanged",
            _HINT,
        )
    before, _, rest = rendered.partition(image)
    between, found, after = rest.partition(words)
    if not found:
        raise UsageError(f"the chat template in {file} writes the question ahead of the image", _HINT)
    return before, between, after
