"""A checkpoint's chat template as what it writes around one picture and one question.

A bundle has no Jinja: the template is rendered here, by transformers, for questions that differ, and what all
of them have around them is what the bundle writes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edge.bundle.manifest import ChatTemplate
from edge.bundle.published import read_json
from edge.errors import UsageError
from edge.model.prompt_ids import END_OF_UTTERANCE, FLAMINGO_CHAT, family_chat, image_token

# The second holds what templates escape or cut.
_PROBES = (
    "Where is the red cup?",
    "it's 1 < 2 & {picture}, \"빨간 컵\" [x]: 'none'",
)
_HINT = "export a checkpoint whose template asks one question about one picture, or change the template"


def chat_template(folder: Path, family: str) -> ChatTemplate | None:
    """What the checkpoint's own template writes; None where it has none.

    Raises UsageError for a template that asks in a way that a bundle can't, or of a family whose prompts are
    no chats.
    """
    where, template = _find(folder)
    if template is None:
        return FLAMINGO_CHAT if family == "flamingo" and ends_utterances(folder) is not None else None
    if family_chat(family) is None:
        raise UsageError(
            f"{where} has a chat template, and a {family} is asked by its family's own prompts",
            "take the template out where the model was taught those prompts",
        )
    if "strftime_now" in template:
        raise UsageError(f"the chat template in {where} writes the day's date, which a bundle can't", _HINT)
    render, first = _renderer(folder, where, template)
    parts = {_around(render(words), words, image_token(family), where) for words in _PROBES}
    if len(parts) > 1:
        raise UsageError(f"the chat template in {where} writes more than the words differently", _HINT)
    before, between, after = parts.pop()
    # As a processor of transformers calls its tokenizer.
    special = not (first and before.startswith(first))
    return ChatTemplate(before=before, between=between, after=after, special=special)


def ends_utterances(folder: Path) -> int | None:
    """The id of what ends a turn of IDEFICS's instructed checkpoints; None where the tokenizer has none."""
    index: int | None = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(END_OF_UTTERANCE)
    return index


def _find(folder: Path) -> tuple[Path, str | None]:
    """The template that transformers takes, and its file: the processor's, else the tokenizer's. Raises
    UsageError where there are several and none is the default, or a file can't be read."""
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
            raise UsageError(f"{jinja} can't be read: {error}", "get the checkpoint again") from error
    if named:
        raise UsageError(f"{named[0].parent} has {len(named)} chat templates and no default", _HINT)
    if tokenizer.is_file() and (found := read_json(tokenizer).get("chat_template")) is not None:
        return tokenizer, _default(tokenizer, found)
    return tokenizer, None


def _default(file: Path, found: Any) -> str:
    """One of a name where there are several. Raises UsageError if it is none."""
    if isinstance(found, list):
        found = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
    if isinstance(found, dict):
        found = found.get("default")
    if not isinstance(found, str):
        raise UsageError(f"{file} has no default chat template", _HINT)
    return found


def _renderer(folder: Path, where: Path, template: str) -> tuple[Callable[[str], str], str | None]:
    """A function that renders a question, and the tokenizer's first token if it has one."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(
            f"the tokenizer in {folder} can't be read: {' '.join(str(error).split())[:300]}",
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
                f"the chat template in {where} can't be rendered for one question about one picture: {error}",
                _HINT,
            ) from error

    return render, tokenizer.bos_token


def _around(rendered: str, words: str, image: str, where: Path) -> tuple[str, str, str]:
    """What stands before the picture, between it and the words, and after them. Raises UsageError if they
    do not follow each other, once each."""
    if rendered.count(image) != 1 or rendered.count(words) != 1:
        raise UsageError(
            f"the chat template in {where} shows one picture {rendered.count(image)} times as {image} "
            f"and one question {rendered.count(words)} times as it stands",
            _HINT,
        )
    before, _, rest = rendered.partition(image)
    between, found, after = rest.partition(words)
    if not found:
        raise UsageError(f"the chat template in {where} writes the question ahead of the picture", _HINT)
    return before, between, after
