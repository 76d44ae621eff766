"""The verb of a Korean clause: what it asks for, whether it is negated, and what it is about."""

import re
from dataclasses import dataclass, field, replace

from edge.parsing.cues import NO_WAY, Cue
from edge.parsing.korean import words
from edge.parsing.korean.nouns import bare_object_of, destination_of, object_of, side_of
from edge.parsing.korean.verbs import VERBS
from edge.records import ActionType

# These are the first of two words that make a verb together.
_JOINED = frozenset(("이리", "가까이", "손을", "그대로", "거기", "거기에", "가만히", "그리퍼를", "집게를"))
_MAX_TAIL = 4  # words that a verb and its negation may take


@dataclass(slots=True)
class Clause:
    """The directions and sides named since the last verb."""

    start: int = 0  # index of its first word
    reason: int = 0  # index of the first word after a reason, whose subject and amounts are not the order's
    ways: set[str] = field(default_factory=set[str])  # where to go: "왼쪽으로"
    sides: set[str] = field(default_factory=set[str])  # where something is: "왼쪽에"


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb with its negation."""

    type: ActionType
    way: str
    traits: frozenset[str]
    length: int  # syllables that the stem takes
    negated_words: int  # words that the verb and its negation take; 0 if it is not negated
    words: int  # words that the verb takes without its negation


def tail_of(tokens: list[str], at: int) -> str:
    """Return the word at `at` and those behind it, joined: where the verb's ending can stand."""
    return "".join(tokens[at : at + _MAX_TAIL])


def verb_of(tokens: list[str], at: int) -> Verb | None:
    """Return the verb that the word is, with its negation; None if it is not a verb."""
    word = tokens[at]
    joined = word + tokens[at + 1] if at + 1 < len(tokens) and word in _JOINED else ""
    short = word[1:] if word[0] in words.SHORT_NEGATION and len(word) > 1 else ""
    for text in (joined, word, short):
        for pattern, kind, way, traits in VERBS if text else ():
            match = pattern.match(text)
            if match is None:
                continue
            negated = _negated(tokens, at, text, match.end(), joined)
            if not negated and "noun" in traits and _instead(tokens, at, match.end()):
                negated = 2
            before = at > 0 and tokens[at - 1] in words.SHORT_NEGATION
            if not negated and (before or text is short):
                negated = 1
            return Verb(kind, way, traits, match.end(), negated, 1 + (text is joined))
    return None


def _instead(tokens: list[str], at: int, end: int) -> bool:
    """Return whether the noun is what not to do: "우회전 말고 좌회전"."""
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    return end == len(tokens[at]) and words.NOT_THAT.match(after) is not None


def _negated(tokens: list[str], at: int, text: str, end: int, joined: str) -> int:
    """Return how many words a verb and its negation take; 0 if it has no negation."""
    if text is joined:
        return 3 if re.match(r"있지(?:는|도)?(?:마|말|않)", "".join(tokens[at + 1 : at + 3])) else 0
    tail = tail_of(tokens, at)
    if re.match(r"있지(?:는|도)?(?:마|말|않)", tail[len(tokens[at]) :]):  # "가만히 있지 마"
        return min(3, len(tokens) - at)
    for start in {end, *(i for i in range(1, end) if tail[i] in "지면서")}:
        match = words.NEGATED.match(tail, start)
        if match is not None:
            length, count = 0, 0
            while length < match.end():
                length += len(tokens[at + count])
                count += 1
            return count
    return 0


def describes(tokens: list[str], at: int, verb: Verb, start: int) -> bool:
    """Return whether the word describes something instead of ordering it; its clause begins at `start`."""
    word = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if verb.negated_words:
        return has_subject(tokens, at, start) and bool(words.DECLARATIVE.search(tail_of(tokens, at)))
    if words.PAST.search(word) and not word.endswith("다가"):
        return True
    if re.search(r"지(?:는|도|를|요)?$", word) and not (word.endswith("정지") and "noun" in verb.traits):
        return True  # "가지" is an order only with "마" after it
    if after.startswith(("있는", "있던")):
        return True
    if "noun" in verb.traits and _is_noun(tokens, at, verb):
        return True
    still = not word.endswith("고") and verb.type in (ActionType.MOVE, ActionType.TURN)
    if after.startswith("있") and still:
        return True  # "돌아가 있습니다" says how it is
    rest = word[verb.length :]
    if "noun" in verb.traits and words.OBJECT_TAIL.fullmatch(rest):
        return not re.match(r"하|해|시작|합|부탁|계속", after)
    if words.ADNOMINAL.search(word) and (rest or verb.type is not ActionType.STOP or word[-1] in "춘린출릴"):
        if after.startswith("때까지"):
            return False
        if after in words.AFTERWARDS:
            return has_subject(tokens, at, start)  # "사람이 지나간 다음에"
        if verb.type is ActionType.STOP and _best(tokens, at):
            return False
        return not re.match(r"것$|것이다|게$|게요$|겁니다|거야|거예요|채", after)
    return _tells(word, after) and has_subject(tokens, at, start)


def _is_noun(tokens: list[str], at: int, verb: Verb) -> bool:
    """Return whether a verb that is a noun, too, stands as one: "좌회전은", "좌회전 신호", "좌회전입니다"."""
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    rest = tokens[at][verb.length :]
    if words.NOUN_TAIL.fullmatch(rest) or (not rest and words.NOT_AFTER_NOUN.match(after)):
        return True
    if verb.type is not ActionType.STOP and words.COPULA.match(rest):
        return not any(words.NO_SUBJECT.match(other) for other in tokens[:at])  # "답은 좌회전입니다"
    return False


def _tells(word: str, after: str) -> bool:
    """Return whether a verb tells what its subject does, must do or is made to do."""
    if word.endswith(("야", "게")) and re.match(r"하|해|합|한|되|돼|됩|된", after):
        return words.DECLARATIVE.search(after) is not None
    going_on = word.endswith(("고", "아", "어", "여", "서", "춰", "해")) and after.startswith("있")
    return going_on or words.DECLARATIVE.search(word) is not None


def _best(tokens: list[str], at: int) -> bool:
    """Return whether the sentence calls the verb right: "멈추는 것이 좋겠습니다"."""
    after = "".join(tokens[at + 1 :])
    return (
        re.match(
            r"때(?:인|입|이|다)|(?:것|게|편|쪽)[이은]?(?:가장|더|제일)?(?:좋|낫|나을|안전|옳|맞|바람직|최선|입니다|이다)",
            after,
        )
        is not None
    )


def has_subject(tokens: list[str], at: int, start: int) -> bool:
    """Return whether the verb has another subject than the robot, from `start` on."""
    for word in tokens[max(start, at - 5) : at]:
        match = None if words.NO_SUBJECT.search(word) else words.SUBJECT.match(word)
        if match and match[1] not in words.SELF and word not in words.ADVERBS and side_of(word) is None:
            return True
    return False


def order_of(tokens: list[str], at: int, verb: Verb, clause: Clause) -> Cue:
    """Return the cue of a verb; one about the task instead of the room is only a mention."""
    cue = _order_of(tokens, at, verb, clause)
    about = (object_of(tokens, clause.start, at), destination_of(tokens, clause.start, at), cue.target)
    if cue.type is ActionType.STOP or not any(noun.split(" ")[-1] in words.ABSTRACT for noun in about):
        return cue
    return replace(cue, mention="is about the task, not about the room")


def _order_of(tokens: list[str], at: int, verb: Verb, clause: Clause) -> Cue:
    ways = frozenset(clause.ways | ({verb.way} if verb.way else set()))
    sideways = ways & {"left", "right"} or frozenset(clause.sides & {"left", "right"})
    negated = verb.negated_words > 0
    if verb.type is ActionType.STOP:
        return Cue(verb.type, negated)
    target = object_of(tokens, clause.start, at)
    if verb.type is ActionType.AVOID:
        if ways & {"left", "right"}:  # "오른쪽으로 피해" names where to go; the thing is on the other side
            ways = frozenset({"right"} if "left" in ways else {"left"})
            return Cue(verb.type, negated, ways, target)
        return Cue(verb.type, negated, sideways, target)
    if verb.type is ActionType.TURN and tokens[at].startswith("돌아가") and target:
        return Cue(ActionType.AVOID, negated, target=target)
    if verb.type is ActionType.MOVE:
        return _move(tokens, at, verb, clause, ways, target)
    if verb.type is ActionType.TURN:
        handled = "carries" in verb.traits and target
        doubt = "" if ways else NO_WAY
        doubt = "says to turn something, not the robot" if handled else doubt
        if any(words.ELSEWHERE.match(word) for word in tokens[clause.reason : at]):
            doubt = "speaks of a turn somewhere else"
        way = frozenset({"left"}) if ways == frozenset({"back"}) else ways
        return Cue(verb.type, negated, way, "" if ways else target, doubt="" if negated else doubt)
    if verb.type is ActionType.NAVIGATE:
        if ways and not target:
            return Cue(ActionType.MOVE, negated, ways)
        target = target or destination_of(tokens, clause.start, at)
        return Cue(verb.type, negated, sideways, target)
    target = target or bare_object_of(tokens, clause.start, at)
    if "find" in verb.traits:
        return Cue(verb.type, negated, frozenset() if negated else frozenset({"left"}), target)
    return Cue(verb.type, negated, ways & {"left", "right"}, target)


def _move(tokens: list[str], at: int, verb: Verb, clause: Clause, ways: frozenset[str], target: str) -> Cue:
    negated = verb.negated_words > 0
    if "carries" in verb.traits and (target or "plain" not in verb.traits):
        return Cue(verb.type, negated, doubt="says to move something, not the robot")
    if ways:
        return Cue(verb.type, negated, ways)
    here = tokens[clause.start : at]
    beside = _beside(tokens, clause.start, at)
    if beside:
        return Cue(ActionType.NAVIGATE, negated, frozenset(clause.sides & {"left", "right"}), beside)
    if any(words.UNCLEAR_PLACE.match(word) for word in here):
        return Cue(verb.type, negated, doubt="" if negated else "unclear where to go")
    place = destination_of(tokens, clause.start, at)
    if place or any(word in words.NEARER for word in here):
        return Cue(ActionType.NAVIGATE, negated, frozenset(clause.sides & {"left", "right"}), place)
    return Cue(verb.type, negated, frozenset({"forward"}) if "plain" in verb.traits else frozenset())


def _beside(tokens: list[str], start: int, at: int) -> str:
    """Return the thing that a place is beside: "책상 옆으로"; empty if there is none."""
    side = next(
        (i for i in range(start + 1, at) if tokens[i] in ("옆으로", "옆에", "곁으로", "근처로")), None
    )
    return "" if side is None else bare_object_of(tokens, start, side)
