"""A checkpoint's chat template: followed to the id, or refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from edge.bundle.manifest import ChatTemplate
from edge.errors import UsageError
from edge.goals.prompts import TEMPLATES
from edge.model.prompt_ids import family_chat, ids_after_image, ids_before_image, prompt_ids
from export.sources.chat import chat_template
from tests.edge.model.family_processors import (
    IMAGE,
    LLAVA_CHAT,
    QWEN3_CHAT,
    QWEN25_CHAT,
    SMOLVLM_CHAT,
    idefics,
    llava,
    paligemma,
    qwen,
    smolvlm,
)

WORDS = ["Where is the red cup?", '빨간 컵 {picture} <b>&amp;</b> "it\'s"']
SYSTEM = "A chat between a curious human and an artificial intelligence assistant. "
BUILD: dict[str, tuple[Any, str]] = {
    "llava": (llava, LLAVA_CHAT),
    "qwen2.5-vl": (lambda: qwen(14), QWEN25_CHAT),
    "qwen3-vl": (lambda: qwen(16), QWEN3_CHAT),
    "smolvlm": (lambda: smolvlm(False), SMOLVLM_CHAT),
}
# What fine-tunes change: a system prompt, role words, a first token of their own.
OTHERS = {
    "llava": [
        SYSTEM + LLAVA_CHAT,
        "{{ bos_token }}" + LLAVA_CHAT,
        LLAVA_CHAT.replace("ASSISTANT:", "ROBOT:").replace("'<image>\n'", "'<image>'"),
    ],
    "qwen2.5-vl": [QWEN25_CHAT.replace("You are a helpful assistant.", "You drive a robot."), QWEN3_CHAT],
    "qwen3-vl": [QWEN25_CHAT, "{{- 'a' }}  \n" + QWEN3_CHAT],
    "smolvlm": [SMOLVLM_CHAT.replace("'Assistant:'", "'Robot:'"), "{{ bos_token }}" + SMOLVLM_CHAT],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any, Any]]:
    """A family's tokenizer as a folder without a template, its processor, and how it shows one picture."""
    made = {}
    for family, (build, _) in BUILD.items():
        processor, picture = build()
        folder = tmp_path_factory.mktemp("saved") / family
        processor.tokenizer.save_pretrained(folder)
        made[family] = folder, processor, picture
    return made


def put(folder: Path, to: Path, template: str, how: str = "jinja") -> Path:
    """The folder with a template where one version or another of transformers keeps it."""
    shutil.copytree(folder, to)
    if how == "jinja":
        (to / "chat_template.jinja").write_text(template)
    elif how == "json":
        (to / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    else:
        file, name = to / f"{how.split()[0]}_config.json", {"name": "default", "template": template}
        found = json.loads(file.read_text()) if file.is_file() else {}
        found["chat_template"] = [{"name": "rag", "template": ""}, name] if "named" in how else template
        file.write_text(json.dumps(found))
    return to


def theirs(processor: Any, template: str, words: str) -> list[int]:
    """The ids that the family's processor makes of a question with this template."""
    content = [{"type": "image"}, {"type": "text", "text": words}]
    asked = processor.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=template, add_generation_prompt=True
    )
    first = processor.tokenizer.bos_token
    plain = {"add_special_tokens": False} if first and asked.startswith(first) else {}
    return [int(i) for i in np.asarray(processor(images=IMAGE, text=asked, **plain)["input_ids"]).ravel()]


@pytest.mark.parametrize("family", BUILD)
def test_published_templates_are_the_families_own(
    family: str, saved: dict[str, tuple[Path, Any, Any]], tmp_path: Path
) -> None:
    folder, _, _ = saved[family]
    assert chat_template(folder, family) is None
    assert chat_template(put(folder, tmp_path / "own", BUILD[family][1]), family) == family_chat(family)


@pytest.mark.parametrize(
    ("family", "index"), [(f, i) for f, many in OTHERS.items() for i in range(len(many))]
)
def test_another_template_is_followed_to_the_id(
    family: str, index: int, saved: dict[str, tuple[Path, Any, Any]], tmp_path: Path
) -> None:
    folder, processor, picture = saved[family]
    template = OTHERS[family][index]
    chat = chat_template(put(folder, tmp_path / "other", template), family)
    assert chat is not None and chat != family_chat(family)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for words in WORDS:
        ids = prompt_ids(tokenizer, family, words, picture, chat)
        assert ids == theirs(processor, template, words)
        after = ids_after_image(tokenizer, family, words, picture.tokens, chat)
        before = ids_before_image(tokenizer, family, chat)
        assert ids[: len(before)] == before and ids[-len(after) :] == after
        assert len(before) + picture.tokens + len(after) == len(ids)


@pytest.mark.parametrize("how", ["jinja", "json", "tokenizer", "tokenizer named", "processor"])
def test_a_template_is_found_wherever_it_is_kept(
    how: str, saved: dict[str, tuple[Path, Any, Any]], tmp_path: Path
) -> None:
    chat = chat_template(put(saved["llava"][0], tmp_path / "m", SYSTEM + LLAVA_CHAT, how), "llava")
    assert chat == ChatTemplate(before=SYSTEM + "USER: ", between="\n", after=" ASSISTANT:", special=True)


def test_of_several_templates_it_is_the_one_that_a_processor_takes(
    saved: dict[str, tuple[Path, Any, Any]], tmp_path: Path
) -> None:
    folder, kept = saved["llava"][0], []
    for how in ("tokenizer", "jinja", "json", "processor"):  # each before those ahead of it
        folder = put(folder, tmp_path / how, f"{how} " + LLAVA_CHAT, how)
        chat = chat_template(folder, "llava")
        kept.append(chat.before.split()[0] if chat else None)
    assert kept == ["tokenizer", "jinja", "json", "processor"]


REFUSED = {
    "the question first": ("{{ messages[0].content[1].text }}<image>", "ahead of the image"),
    "no picture": ("{{ messages[0].content[1].text }}", "writes one image 0 times"),
    "two pictures": ("<image><image>{{ messages[0].content[1].text }}", "writes one image 2 times"),
    "no question": ("<image> hello", "one question 0 times"),
    "in capitals": ("<image>{{ messages[0].content[1].text | upper }}", "one question 0 times"),
    "by length": (
        "<image>{{ messages[0].content[1].text }}{{ messages[0].content[1].text | length }}",
        "other text around one question",
    ),
    "the date": ("{{ strftime_now('%Y') }}<image>{{ messages[0].content[1].text }}", "the date of the day"),
    "no template": ("{% for", "can't be rendered"),
    "an error of its own": ("{{ raise_exception('words only') }}", "words only"),
    "unsafe": ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "can't be rendered"),
    "no number": ("{{ 1 / 0 }}", "can't be rendered"),
    "words only": ("{{ messages[0].content + '' }}", "can't be rendered"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_template_that_a_bundle_can_not_follow_is_refused(
    case: str, saved: dict[str, tuple[Path, Any, Any]], tmp_path: Path
) -> None:
    template, message = REFUSED[case]
    with pytest.raises(UsageError, match=message):
        chat_template(put(saved["llava"][0], tmp_path / "m", template), "llava")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.json", "{}"),
        ("chat_template.json", "{"),
        ("tokenizer_config.json", '{"chat_template": [{"name": "rag", "template": ""}]}'),
        ("chat_templates/rag.jinja", ""),
    ],
)
def test_a_template_that_is_none_is_named(file: str, content: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    with pytest.raises(UsageError, match=r"template|chat_templates"):
        chat_template(tmp_path, "llava")


@pytest.mark.parametrize(("family", "build"), [("paligemma", paligemma), ("flamingo", idefics)])
def test_a_chat_template_of_a_family_that_does_not_chat_is_refused(
    family: str, build: Any, tmp_path: Path
) -> None:
    processor, _ = build()
    processor.tokenizer.save_pretrained(tmp_path / "plain")
    assert chat_template(tmp_path / "plain", family) is None
    with pytest.raises(UsageError, match="own prompts"):
        chat_template(put(tmp_path / "plain", tmp_path / "chat", "<image>hello"), family)


def test_an_idefics_that_was_taught_to_chat_ends_its_turns(tmp_path: Path) -> None:
    processor, picture = idefics()
    assert chat_template(saved_at(processor, tmp_path / "base"), "flamingo") is None
    processor.tokenizer.add_tokens(["<end_of_utterance>"], special_tokens=True)
    folder = saved_at(processor, tmp_path / "instructed")
    chat = chat_template(folder, "flamingo")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for words in WORDS:
        # As the published example asks.
        asked = ["User:", IMAGE, words, "<end_of_utterance>", "\nAssistant:"]
        found = processor(text=asked, add_end_of_utterance_token=False)
        assert prompt_ids(tokenizer, "flamingo", words, picture, chat) == found["input_ids"][0].tolist()


def saved_at(processor: Any, folder: Path) -> Path:
    processor.tokenizer.save_pretrained(folder)
    return folder


def test_every_family_with_prompts_chats_or_does_not() -> None:
    chats = {family for family in TEMPLATES if family not in ("moondream", "uform") and family_chat(family)}
    assert chats == {"qwen-vl", *BUILD}
