"""Reading of an English sentence: an order starts with its verb, or with words that lead to it."""

import re
from dataclasses import dataclass, field, replace

from edge.parsing.cues import Cue, Reading
from edge.parsing.english import words
from edge.parsing.english.idioms import IDIOMS
from edge.records import ActionType

_TOKEN = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,;:!?()\"\n\u2014]")
_PLAIN_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_LOCATED = re.compile(r"\b(?:is|are|on|at|'s) (?:on |to )?(?:the |your |my )(left|right)\b")
_REQUEST = re.compile(r"\b(?:can|could|would|will|why don't) you\b|\bwould you mind\b|\bplease\b")
_JOIN = frozenset({"and", "or", "nor", "but", "then", "while", "so", "by", "not"})
_CONDITION = frozenset({"if", "when", "unless"})
_DROPPED = frozenset({"until", "till", "because", "since", "before"})
_PAUSE = frozenset('.,;:!?()"\n\u2014')
_SPLITS = _PAUSE | _JOIN | _CONDITION | _DROPPED
_SIDE_AFTER = (
    words.ADVERB
    | words.LEAD
    | words.ARTICLES
    | frozenset(words.BASE)
    | frozenset(words.GERUND)
    | frozenset(words.THIRD)
    | frozenset(words.SPEED)
    | frozenset(words.WAYS)
    | words.NEGATION
)
_NOT_A_SIDE_AFTER = frozenset("i you we i'm it is are has have had robot".split())


@dataclass(slots=True)
class _State:
    """The state that one segment of the sentence passes to the next."""

    cues: list[Cue] = field(default_factory=list[Cue])
    step: int = 0
    bare: bool = False  # the last cue was "go" or "come" and nothing else
    negated: bool = False
    pending: bool = False  # "do not, under any circumstances, …": the negation waits for its verb
    leading: list[str] = field(default_factory=list[str])  # "to the left, please move"
    dropped: bool = False
    conditional: bool = False
    choice: bool = False


def read(text: str) -> Reading:
    """Return the cues of one sentence."""
    plain = text.lower().translate(_PLAIN_QUOTES)
    if words.REPORTED.search(plain):
        return Reading(denial="reports what something says")
    question = plain.rstrip().endswith("?") and not _REQUEST.search(plain)
    hedge = words.HEDGE.search(plain)
    doubt = f"hedged: '{hedge[0]}'" if hedge else "a question" if question else ""
    denial = words.DENIAL.search(plain)
    rewritten = _rewritten(" ".join(plain.split()))
    speeds = [words.SPEED[token] for token in _TOKEN.findall(rewritten) if token in words.SPEED]
    return Reading(
        cues=tuple(replace(cue, factor=min(speeds, default=1.0)) for cue in _cues(rewritten)),
        sides=frozenset(_LOCATED.findall(plain)),
        doubt=doubt,
        denial=f"denies something: '{denial[0]}'" if denial else "",
        blocked=words.BLOCKED.search(plain) is not None,
    )


def _rewritten(plain: str) -> str:
    for pattern, instead in IDIOMS:
        plain = pattern.sub(
            lambda match, word=instead: " ".join([word, *filter(None, match.groups())]), plain
        )
    return plain


def _cues(plain: str) -> list[Cue]:
    state = _State()
    mark = ""
    segment: list[str] = []
    tokens = [*_TOKEN.findall(plain), "."]
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        token = "while" if token == "as" and after in ("you", "we", "it", "the", "i", "there") else token
        last_once = token == "once" and after in ("you", "the", "it", "there")
        purpose = token == "to" and after in words.BASE and (not segment or _has_verb(segment))
        if not (last_once or purpose or token in _SPLITS):
            segment.append(token)
            continue
        _segment(state, mark, segment)
        segment = []
        mark = "if" if last_once else token
        _enter(state, mark)
    doubt = "only under a condition" if state.conditional else "offers a choice" if state.choice else ""
    if doubt:
        return [replace(cue, doubt=cue.doubt or doubt) for cue in state.cues]
    return sorted(state.cues, key=lambda cue: cue.step)


def _has_verb(segment: list[str]) -> bool:
    return any(token in words.BASE or token in words.GERUND for token in segment)


def _enter(state: _State, mark: str) -> None:
    """Change the state at a conjunction or a pause."""
    if mark in _PAUSE or mark in ("but", "then", "so", "by", "to"):
        state.negated = False
    if mark in _PAUSE or mark in ("then", "but"):
        state.dropped = False
    if mark == "then":
        state.step += 1
    if mark in _CONDITION:
        state.dropped = state.conditional = True
    if mark in _DROPPED:
        state.dropped = True
    if mark in ("not", "nor"):
        state.negated = True


def _segment(state: _State, mark: str, tokens: list[str]) -> None:
    if not tokens or state.dropped:
        return
    if not state.cues and len(tokens) > 1 and _only_ways(tokens):
        state.leading = tokens
        return
    tokens, state.leading = state.leading + tokens, []
    cue = _verb(tokens, state.negated or state.pending)
    state.pending = cue is None and (state.pending or tokens[-1] in ("don't", "not", "never"))
    if cue is None:
        _directions_only(state, mark, tokens)
        state.negated = state.negated or bool(words.NEGATION.intersection(tokens))
        return
    state.negated = cue.negated
    state.choice = state.choice or (mark == "or" and not cue.negated)
    if state.bare and mark in ("and", "to"):
        state.cues.pop()  # "go and grab it", "come to get it"
        mark = ""
    state.bare = tokens[-1] in ("go", "come") and not cue.negated
    state.cues.append(replace(cue, step=state.step, purpose=mark == "to"))


def _only_ways(tokens: list[str]) -> bool:
    directed = _SIDE_AFTER.issuperset(tokens) and bool(_ways(tokens, 0))
    return directed and not any(_base(tokens, at) for at in range(len(tokens)))


def _directions_only(state: _State, mark: str, tokens: list[str]) -> None:
    """Add a segment of directions alone, such as "… and right" or "…, not left", to the verb before it."""
    if not state.cues or any(token not in _SIDE_AFTER for token in tokens):
        return
    last = state.cues[-1]
    ways = _ways(tokens, 0)
    if not ways or last.type not in (ActionType.MOVE, ActionType.TURN) or mark == "":
        return
    if state.negated and not last.negated:
        return
    if mark in ("and", "or", ",", "nor") and state.step == last.step and last.negated == state.negated:
        state.cues[-1] = replace(last, ways=last.ways | ways, doubt="")
        state.choice = state.choice or (mark == "or" and not last.negated)
    elif last.doubt and not last.ways:
        state.cues[-1] = replace(last, ways=ways, doubt="")  # "turn not left but right"
    elif not (last.negated and mark == ","):
        state.cues.append(replace(last, ways=ways, step=state.step, negated=state.negated, doubt=""))


def _verb(tokens: list[str], negated: bool) -> Cue | None:
    """Return the cue of a segment's first verb if it is an order or its negation."""
    leads = True
    stop: Cue | None = None
    for at, token in enumerate(tokens):
        if token in words.NEGATION:
            negated = True
            continue
        base = _base(tokens, at)
        kind = words.BASE.get(base)
        if kind is ActionType.STOP and (at == 0 or tokens[at - 1] not in words.ARTICLES):
            if not negated:
                return Cue(ActionType.STOP)
            stop = Cue(ActionType.STOP, negated=True)
            continue
        if kind is not None and leads and not _is_noun(tokens, at):
            if stop is not None:
                negated = token not in words.GERUND  # "don't stop turning left" is to turn left
            if base in ("go", "come", "help") and at + 1 < len(tokens) and tokens[at + 1] in words.BASE:
                continue  # "go grab the cup"
            return _order(kind, base, tokens, at, negated)
        leads = leads and (token in words.LEAD or token in words.SPEED or token in words.WAYS)
    return stop


def _base(tokens: list[str], at: int) -> str:
    """Return the base form of the verb at an index; empty if there is no verb."""
    token = tokens[at]
    if token in words.BASE:
        return token
    if token in words.GERUND:
        return words.GERUND[token]
    if token in words.THIRD and "robot" in tokens[:at]:
        return words.THIRD[token]
    return ""


def _is_noun(tokens: list[str], at: int) -> bool:
    """Return whether the verb is used as a noun: "the turn", "your hold", "your next move"."""
    return at > 0 and tokens[at - 1] in words.ARTICLES | {"next", "best"}


def _order(kind: ActionType, base: str, tokens: list[str], at: int, negated: bool) -> Cue:
    rest = tokens[at + 1 :]
    ways = _ways(tokens, at + 1) | words.DEFAULT_WAYS.get(base, frozenset())
    if not ways and kind in (ActionType.MOVE, ActionType.TURN):
        ways = _ways(tokens[:at], 0)  # "straight ahead go", "to the left turn"
    if kind is ActionType.AVOID:
        sides = frozenset(words.WAYS[token] for token in rest if token in ("left", "right"))
        if (rest[:1] == ["to"] or base != "avoid") and not _noun(rest):
            # "dodge to the left" names where to go, not where the thing is.
            sides = frozenset("right" if side == "left" else "left" for side in sides)
        return Cue(kind, negated, sides, _noun(rest))
    if kind in (ActionType.MOVE, ActionType.TURN):
        return _motion(kind, base, rest, ways, negated)
    target = _noun(rest)
    if kind is ActionType.LOOK and (target or base == "find"):
        ways = frozenset({"left"}) if base == "find" and not negated else frozenset[str]()
    return Cue(kind, negated, ways, target)


def _motion(kind: ActionType, base: str, rest: list[str], ways: frozenset[str], negated: bool) -> Cue:
    handled = len(rest) > 1 and rest[0] in words.ARTICLES and rest[1] not in _SIDE_AFTER | {"bit", "little"}
    if handled or (rest and rest[0] in ("it", "them", "him", "her")):
        return Cue(kind, negated, doubt=f"says to {base} something, not the robot")
    place = next((i for i, token in enumerate(rest) if token in words.TOWARDS), None)
    target = _noun(rest[place:]) if place is not None else ""
    if kind is ActionType.MOVE and target and target.split()[0] not in words.WAYS:
        return Cue(ActionType.NAVIGATE, negated, ways & {"left", "right"}, target)
    if kind is ActionType.MOVE and ways <= {"forward", "back"} and target:
        return Cue(ActionType.NAVIGATE, negated, frozenset(), target)
    if ways:
        return Cue(kind, negated, ways, "" if target.split(" ")[0] in words.WAYS else target)
    if kind is ActionType.TURN:
        return Cue(kind, negated, target=target, doubt="" if negated else "no direction to turn to")
    known = words.ADVERB | words.SPEED.keys() | words.LEAD
    unknown = next((token for token in rest if token not in known), None)
    if unknown is not None or base not in words.PLAIN_MOVE:
        return Cue(kind, negated, doubt="" if negated else f"unclear where to {base}")
    return Cue(kind, negated, frozenset({"forward"}))


def _ways(tokens: list[str], start: int) -> frozenset[str]:
    """Return the directions from `start` on; "left" and "right" count only if they are directions."""
    found: set[str] = set()
    for at in range(start, len(tokens)):
        token = tokens[at]
        if token in words.NEGATION and at > start:
            break
        if token not in words.WAYS:
            continue
        before = tokens[at - 1] if at else ""
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in ("left", "right"):
            left_behind = before in _NOT_A_SIDE_AFTER and not (before == "robot" and start > 0)
            if before and (left_behind or before not in _SIDE_AFTER):
                continue
            if before in words.ARTICLES and after and after not in words.ADVERB | words.NOUN_ENDS | {"of"}:
                continue
        if token == "back" and before == "the":
            continue
        found.add(words.WAYS[token])
    return frozenset(found)


def _noun(tokens: list[str]) -> str:
    """Return the noun phrase that starts here: "red ball" of "the red ball on the table"."""
    at = 0
    while at < len(tokens) and (tokens[at] in words.SKIP_BEFORE_NOUN or tokens[at] in words.SPEED):
        at += 1
    taken: list[str] = []
    for token in tokens[at:]:
        if token in words.NOUN_ENDS or token in words.SPEED:
            break
        if token not in words.ARTICLES:
            taken.append(token)
    while taken and taken[-1] in ("left", "right", "side", "of"):
        taken.pop()
    phrase = " ".join(taken).replace("stop-", "stop ").replace("bus-", "bus ")
    return phrase[:64].rstrip()
