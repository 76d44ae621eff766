"""The nouns of a Korean clause: sides, objects and destinations, which their particles mark."""

import re

from edge.parsing.korean import words


def side_of(word: str) -> tuple[str, str] | None:
    """Return the direction that the word names, and its particle; None if it names none."""
    for pattern, way in words.SIDES:
        match = pattern.match(word)
        tail = words.SIDE_TAIL.match(word, match.end()) if match else None
        if tail is not None:
            return way, tail["josa"] or ""
    return None


def object_of(tokens: list[str], start: int, at: int) -> str:
    """Return the noun phrase that a particle marks as the object of the verb; empty if there is none."""
    for i in range(at - 1, start - 1, -1):
        match = words.OBJECT.match(tokens[i])
        if (
            match
            and tokens[i] not in words.ADVERBS
            and side_of(tokens[i]) is None
            and match[1] not in words.SELF
        ):
            return _phrase(tokens, start, i, match[1])
    return ""


def bare_object_of(tokens: list[str], start: int, at: int) -> str:
    """Return an object without its particle, right before the verb: "컵 잡아"; empty if there is none."""
    i = at - 1
    while i >= start and (tokens[i] in words.ADVERBS or side_of(tokens[i]) is not None):
        i -= 1
    if (
        i < start
        or words.CONNECTED.search(tokens[i])
        or not any("\uac00" <= char <= "\ud7a3" for char in tokens[i])
    ):
        return ""
    return _phrase(tokens, start, i, tokens[i])


def destination_of(tokens: list[str], start: int, at: int) -> str:
    """Return the noun phrase of where to go: "문까지", "컵 쪽으로"; empty if there is none."""
    for i in range(at - 1, start - 1, -1):
        if tokens[i] in ("쪽으로", "방향으로") and i > start and tokens[i - 1] not in words.ADVERBS:
            return _phrase(tokens, start, i - 1, tokens[i - 1])
        match = words.PLACE.match(tokens[i])
        if (
            match is None
            or tokens[i] in words.NO_PLACE | words.ADVERBS | words.NEARER
            or side_of(tokens[i]) is not None
        ):
            continue
        if not re.search(r"(?:[0-9]|미터|센티|속도|도)$", match[1]):
            return _phrase(tokens, start, i, match[1])
    return ""


def _phrase(tokens: list[str], start: int, at: int, head: str) -> str:
    """Return the head noun with the words that describe it: "빨간 공"."""
    taken = [head]
    for word in reversed(tokens[max(start, at - 3) : at]):
        if word in words.ADVERBS or side_of(word) is not None or words.CONNECTED.search(word):
            break
        taken.insert(0, word)
    return " ".join(taken)[:64].rstrip()
