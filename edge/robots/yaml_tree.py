"""Text in YAML to plain values, with the line of each; for files that people write by hand.

Less than all of YAML, so that nothing means more than it says: keys are words and come once, numbers are
decimal, only `true` and `false` are truth values (`on`, `no` and `0x10` are text), and there are no anchors,
aliases, merges or tags.
"""

import re
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from edge.errors import UsageError, reason_of

MAX_BYTES = 65_536
MAX_DEPTH = 8
MAX_SHOWN_CHARS = 40
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{0,18})?([eE][-+]?[0-9]{1,2})?|[-+]?\.[0-9]{1,18}", re.ASCII)
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}

_yaml = cast(Any, yaml)  # its stubs know no types of events and nodes
Place = tuple[str | int, ...]  # keys and positions, from the top


@dataclass
class YamlTree:
    """The values of a text, and where each stands."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[Place, int] = field(default_factory=dict[Place, int])  # counted from 1
    marks: dict[Place, tuple[int, int]] = field(
        default_factory=dict[Place, tuple[int, int]]
    )  # the value's first index and the one behind it

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest one above it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_tree(text: str, where: str) -> YamlTree:
    """Return the values in a text; `where` begins every message.

    Raises UsageError, with the line, for what is not YAML or is more of YAML than a file may use.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise UsageError(f"{where} is larger than {MAX_BYTES // 1024} KiB", "such a file has some 50 lines")
    _check_characters(text, where)
    try:
        check_events(text, where)
        root = _yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise UsageError(
            f"{where}{line}: {error.problem or error.context}", "indent with two blanks, `key: value`"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{where}: it is not YAML: {reason_of(error)}", "write it in UTF-8") from error
    if root is None:
        raise UsageError(f"{where} is empty", "`vla-edge robot new FILE` writes one by asking")
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{where} is not made of `key: value` lines", "such as `motors: null://`")
    tree = YamlTree()
    tree.values = _value(root, (), tree, where)
    return tree


def _check_characters(text: str, where: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if "\t" in line.partition("#")[0]:
            raise UsageError(f"{where}, line {number}: a tab", "YAML indents with blanks: two for each level")


def check_events(text: str, where: str, deepest: int = MAX_DEPTH) -> None:
    """Refuse what could grow or nest without bounds, before anything is built of it.

    Raises UsageError for it, yaml.YAMLError for what is not YAML.
    """
    depth = documents = 0
    for event in _yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UsageError(
                f"{where}, line {line}: anchors and aliases (& and *) are not read",
                "write the value out, or put it into quotes",
            )
        if getattr(event, "tag", None):
            raise UsageError(f"{where}, line {line}: tags (!) are not read", "put the value into quotes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > deepest:
                raise UsageError(f"{where}, line {line}: it nests deeper than {deepest} levels", "flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise UsageError(f"{where}, line {line}: a second document", "keep one, without `---`")


def _value(node: Any, place: Place, tree: YamlTree, where: str) -> Any:
    tree.lines.setdefault(place, node.start_mark.line + 1)
    tree.marks[place] = (node.start_mark.index, node.end_mark.index)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, (*place, index), tree, where) for index, each in enumerate(node.value)]
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not key_node.value:
            raise UsageError(f"{where}, line {line}: a key is not a word", "such as `motors: null://`")
        key = str(key_node.value)
        if key in values:
            first = tree.line((*place, key))
            shown = key[:MAX_SHOWN_CHARS]
            raise UsageError(
                f"{where}, line {line}: {shown!r} stands there twice, first in line {first}", "keep one"
            )
        tree.lines[(*place, key)] = line
        values[key] = _value(value_node, (*place, key), tree, where)
    return values


def _scalar(node: Any) -> str | int | float | bool | None:
    text = str(node.value)
    if node.style is not None:  # in quotes, or a block of text
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text) else text
