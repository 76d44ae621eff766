"""Reading of a Korean sentence: the verb comes last, after its direction and its object."""

import re
from dataclasses import dataclass, field, replace

from edge.parsing.cues import Cue, Reading
from edge.parsing.korean import words
from edge.parsing.korean.nouns import bare_object_of, destination_of, object_of, side_of
from edge.parsing.korean.verbs import VERBS
from edge.records import ActionType

_WORD = re.compile(r"[0-9A-Za-z\uac00-\ud7a3]+")
# These are the first of two words that make a verb together.
_JOINED = frozenset(("이리", "가까이", "손을", "그대로", "거기", "거기에", "가만히", "그리퍼를", "집게를"))
_MAX_TAIL = 4  # words that a verb and its negation may take


@dataclass(slots=True)
class _Clause:
    """The directions and sides named since the last verb."""

    start: int = 0  # index of its first word
    ways: set[str] = field(default_factory=set[str])  # where to go: "왼쪽으로"
    sides: set[str] = field(default_factory=set[str])  # where something is: "왼쪽에"


@dataclass(frozen=True, slots=True)
class _Verb:
    """A verb with its negation."""

    type: ActionType
    way: str
    traits: frozenset[str]
    length: int  # syllables that the stem takes
    negated_words: int  # words that the verb and its negation take; 0 if it is not negated


def read(text: str) -> Reading:
    """Return the cues of one sentence."""
    plain = text.lower()
    if words.REPORTED.search(plain):
        return Reading(denial="reports what something says")
    for pattern, instead in words.CLOCK:
        plain = pattern.sub(instead, plain)
    request = words.REQUEST.search(plain)
    ended = plain.rstrip(" .!\n")
    question = not request and (
        "?" in plain or words.QUESTION_END.search(ended) or words.QUESTION_WORD.search(plain)
    )
    hedge = words.HEDGE.search(plain)
    factor = min((scale for pattern, scale in words.SPEED if pattern.search(plain)), default=1.0)
    tokens = _WORD.findall(plain)
    cues = _cues(tokens)
    conditional = any(words.CONDITION.search(word) and not words.NO_CONDITION.search(word) for word in tokens)
    allowed = re.search(r"면\s?(?:절대\s?)?(?:안|돼|되|됩|된)", plain)  # "가면 안 돼", "가면 돼"
    doubt = "only under a condition" if conditional and not allowed else ""
    denial = words.DENIAL.search(plain)
    return Reading(
        cues=tuple(replace(cue, factor=factor, doubt=cue.doubt or doubt) for cue in cues),
        doubt=f"hedged: '{hedge[0]}'" if hedge else "a question" if question else "",
        sides=frozenset(way for pattern, way in words.SIDES[:2] if re.search(pattern.pattern + "에", plain)),
        denial=f"denies something: '{denial[0]}'" if denial else "",
        blocked=words.BLOCKED.search(plain) is not None,
    )


def _cues(tokens: list[str]) -> list[Cue]:
    cues: list[Cue] = []
    clause = _Clause()
    step = 0
    at = 0
    verb_at = -2  # index of the last verb
    while at < len(tokens):
        word = tokens[at]
        if word in words.AFTERWARDS and cues:
            step += 1
            clause = _Clause(at + 1)
        elif words.UNTIL.match(word):
            clause, cues = _Clause(at + 1), [cue for cue in cues if cue.negated]
        elif _direction(tokens, at, clause) or (word == "향해" and clause.ways and at + 1 < len(tokens)):
            pass
        else:
            verb = _verb(tokens, at)
            if verb is None or _describes(tokens, at, verb):
                if word.startswith("하지") and _tail(tokens, at)[2:3] in ("마", "말") and not cues:
                    cues.append(Cue(ActionType.STOP))
                at += 1
                continue
            if not (verb_at == at - 1 and cues and _auxiliary(tokens, at, verb, cues, clause)):
                cues.append(replace(_order(tokens, at, verb, clause), step=step))
            verb_at = at
            at += max(0, verb.negated_words - 1)
            clause = _Clause(at + 1)
            if not cues[-1].negated and re.search(r"(?:다가|[아려워해가여]서)$", word):
                step += cues[-1].type in (ActionType.MOVE, ActionType.TURN, ActionType.NAVIGATE)
        at += 1
    if not cues and re.search(r"안(?:돼|되|됩)", "".join(tokens[:3])):
        cues.append(Cue(ActionType.STOP))
    return _with_leftover(cues, clause)


def _with_leftover(cues: list[Cue], clause: _Clause) -> list[Cue]:
    """Give the last verb a direction that comes after it: "돌아, 왼쪽으로"."""
    if cues and clause.ways and cues[-1].type in (ActionType.MOVE, ActionType.TURN):
        late = frozenset(clause.ways)
        ways = late if cues[-1].doubt or cues[-1].ways == frozenset({"forward"}) else cues[-1].ways | late
        cues[-1] = replace(cues[-1], ways=ways, doubt="")
    return cues


def _tail(tokens: list[str], at: int) -> str:
    return "".join(tokens[at : at + _MAX_TAIL])


def _verb(tokens: list[str], at: int) -> _Verb | None:
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
            before = at > 0 and tokens[at - 1] in words.SHORT_NEGATION
            if not negated and (before or text is short):
                negated = 1
            return _Verb(kind, way, traits, match.end(), negated)
    return None


def _negated(tokens: list[str], at: int, text: str, end: int, joined: str) -> int:
    """Return how many words a verb and its negation take; 0 if it has no negation."""
    if text is joined:
        return 3 if re.match(r"있지(?:는|도)?(?:마|말|않)", "".join(tokens[at + 1 : at + 3])) else 0
    tail = _tail(tokens, at)
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


def _describes(tokens: list[str], at: int, verb: _Verb) -> bool:
    """Return whether the word describes something instead of ordering it."""
    word = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if verb.negated_words:
        return _has_subject(tokens, at) and bool(words.DECLARATIVE.search(_tail(tokens, at)))
    if words.PAST.search(word) and not word.endswith("다가"):
        return True
    if re.search(r"지(?:는|도|를|요)?$", word) and not (word.endswith("정지") and "noun" in verb.traits):
        return True  # "가지" is an order only with "마" after it
    if after.startswith(("있는", "있던")):
        return True
    rest = word[verb.length :]
    if "noun" in verb.traits and (
        words.NOUN_TAIL.fullmatch(rest) or (not rest and words.NOT_AFTER_NOUN.match(after))
    ):
        return True
    if "noun" in verb.traits and words.OBJECT_TAIL.fullmatch(rest):
        return not re.match(r"하|해|시작|합|부탁|계속", after)
    if words.ADNOMINAL.search(word) and (rest or verb.type is not ActionType.STOP or word[-1] in "춘린출릴"):
        if after.startswith("때까지") or after in words.AFTERWARDS:
            return False
        return not re.match(r"것$|것이다|게$|게요$|겁니다|거야|거예요|채", after)
    telling = words.DECLARATIVE.search(word) or (
        word.endswith(("고", "아", "어", "여", "서", "춰", "해")) and after.startswith("있")
    )
    return bool(telling) and _has_subject(tokens, at)


def _has_subject(tokens: list[str], at: int) -> bool:
    """Return whether the verb has another subject than the robot."""
    for word in tokens[max(0, at - 5) : at]:
        match = words.SUBJECT.match(word)
        if match and match[1] not in words.SELF and word not in words.ADVERBS and side_of(word) is None:
            return True
    return False


def _direction(tokens: list[str], at: int, clause: _Clause) -> bool:
    """Note the direction or side that the word names; False if it names none."""
    word = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if word in words.STRAIGHT:
        clause.ways.add("forward")
        return True
    side = side_of(word)
    if side is None or word == "정면":
        return False
    way, josa = side
    if words.NOT_THAT.match(after) or josa == "말고":
        return True
    verb = _verb(tokens, at + 1) if after else None
    look = verb is not None and verb.type is ActionType.LOOK and "find" not in verb.traits
    toward = josa.startswith(("으로", "로")) or (josa in ("을", "를") and (look or after.startswith("향")))
    toward = toward or (josa in ("과", "와", "이나", "하고") and side_of(after) is not None)
    if after in ("또는", "혹은", "및", "그리고", "아니면") and josa == "" and at + 2 < len(tokens):
        toward = toward or side_of(tokens[at + 2]) is not None
    toward = toward or (josa == "" and after != "" and verb is not None and verb.type is not ActionType.AVOID)
    (clause.ways if toward else clause.sides).add(way)
    return True


def _auxiliary(tokens: list[str], at: int, verb: _Verb, cues: list[Cue], clause: _Clause) -> bool:
    """Return whether the word only helps the verb right before it: "피해 가", "돌아 봐", "향해 가"."""
    if clause.ways or not re.search(r"[아어해여려라와가겨져켜]$", tokens[at - 1]):
        return False
    last = cues[-1]
    helps = verb.type in (ActionType.MOVE, ActionType.LOOK, ActionType.NAVIGATE) and not verb.way
    helps = helps and last.type is not ActionType.STOP and not tokens[at].startswith(("이동", "진행", "찾"))
    if helps and verb.negated_words:
        cues[-1] = replace(last, negated=True)
    return helps


def _order(tokens: list[str], at: int, verb: _Verb, clause: _Clause) -> Cue:
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
        doubt = "" if ways else "no direction to turn to"
        doubt = "says to turn something, not the robot" if handled else doubt
        way = frozenset({"left"}) if ways == frozenset({"back"}) else ways
        return Cue(verb.type, negated, way, "" if ways else target, doubt="" if negated else doubt)
    if verb.type is ActionType.NAVIGATE:
        if ways and not target:
            return Cue(ActionType.MOVE, negated, ways)
        target = target or destination_of(tokens, clause.start, at)
        return Cue(verb.type, negated, sideways, target)
    if "find" in verb.traits:
        return Cue(verb.type, negated, frozenset() if negated else frozenset({"left"}), target)
    return Cue(
        verb.type, negated, ways & {"left", "right"}, target or bare_object_of(tokens, clause.start, at)
    )


def _move(tokens: list[str], at: int, verb: _Verb, clause: _Clause, ways: frozenset[str], target: str) -> Cue:
    negated = verb.negated_words > 0
    if "carries" in verb.traits and (target or "plain" not in verb.traits):
        return Cue(verb.type, negated, doubt="says to move something, not the robot")
    if ways:
        return Cue(verb.type, negated, ways)
    here = tokens[clause.start : at]
    if any(words.UNCLEAR_PLACE.match(word) for word in here):
        return Cue(verb.type, negated, doubt="" if negated else "unclear where to go")
    place = destination_of(tokens, clause.start, at)
    if place or any(word in words.NEARER for word in here):
        return Cue(ActionType.NAVIGATE, negated, frozenset(clause.sides & {"left", "right"}), place)
    return Cue(verb.type, negated, frozenset({"forward"}) if "plain" in verb.traits else frozenset())
