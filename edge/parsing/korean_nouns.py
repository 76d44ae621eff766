"""The nouns of a Korean clause: sides, objects and destinations, which their particles mark."""

import re

from edge.parsing import korean_words as words


def side_of(word: str) -> tuple[str, str] | None:
    """Return the direction that the word names and its particle."""
    for pattern, way in words.SIDES:
        match = pattern.match(word)
        tail = words.SIDE_TAIL.match(word, match.end()) if match else None
        if tail is not None:
            return way, tail["josa"] or ""
    return None


def object_of(said: list[str], start: int, at: int) -> str:
    """Return the noun phrase marked as the object of the verb, or the bare one right before it."""
    for i in range(at - 1, start - 1, -1):
        match = words.OBJECT.match(said[i])
        if match and said[i] not in words.ADVERBS and side_of(said[i]) is None and match[1] not in words.SELF:
            return _phrase(said, start, i, match[1])
    return ""


def bare_object_of(said: list[str], start: int, at: int) -> str:
    """ "컵 잡아": an object without its particle stands right before the verb."""
    i = at - 1
    while i >= start and (said[i] in words.ADVERBS or side_of(said[i]) is not None):
        i -= 1
    if (
        i < start
        or words.CONNECTED.search(said[i])
        or not any("\uac00" <= char <= "\ud7a3" for char in said[i])
    ):
        return ""
    return _phrase(said, start, i, said[i])


def destination_of(said: list[str], start: int, at: int) -> str:
    """Where to go: "문까지", "컵 쪽으로"."""
    for i in range(at - 1, start - 1, -1):
        if said[i] in ("쪽으로", "방향으로") and i > start and said[i - 1] not in words.ADVERBS:
            return _phrase(said, start, i - 1, said[i - 1])
        match = words.PLACE.match(said[i])
        if (
            match is None
            or said[i] in words.NO_PLACE | words.ADVERBS | words.NEARER
            or side_of(said[i]) is not None
        ):
            continue
        if not re.search(r"(?:[0-9]|미터|센티|속도|도)$", match[1]):
            return _phrase(said, start, i, match[1])
    return ""


def _phrase(said: list[str], start: int, at: int, head: str) -> str:
    """Return the head with what describes it: "빨간 공"."""
    taken = [head]
    for word in reversed(said[max(start, at - 3) : at]):
        if word in words.ADVERBS or side_of(word) is not None or words.CONNECTED.search(word):
            break
        taken.insert(0, word)
    return " ".join(taken)[:64].rstrip()
