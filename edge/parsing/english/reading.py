"""Reading of an English sentence: an order starts with its verb, or with words that lead to it."""

import re
from dataclasses import dataclass, field, replace

from edge.parsing.amounts import MARKS, NO_AMOUNTS, Amounts
from edge.parsing.cues import CONDITIONAL, QUESTION, Cue, Reading, own_words
from edge.parsing.english import words
from edge.parsing.english.mood import has_finite, would_happen
from edge.parsing.english.segments import CONDITION, DROPPED, PAUSE, Phrase, has_verb, segments_of
from edge.parsing.english.verbs import SIDE_AFTER, base_of, verb_of, ways_of
from edge.records import ActionType

_PLAIN_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_LOCATED = re.compile(r"\b(?:is|are|on|at|'s) (?:on |to )?(?:the |your |my )(left|right)\b")
_REQUEST = re.compile(r"\b(?:can|could|would|will|why don't) you\b|\bwould you mind\b|\bplease\b")


@dataclass(frozen=True, slots=True)
class _Found:
    """A cue, where it stands, and whether its verb is a gerund."""

    cue: Cue
    at: int  # index of its segment
    gerund: bool


@dataclass(slots=True)
class _State:
    """The state that one segment of the sentence passes to the next."""

    found: list[_Found] = field(default_factory=list[_Found])
    step: int = 0
    bare: bool = False  # the last cue was "go" or "come" and nothing else
    negated: bool = False
    pending: bool = False  # "do not, under any circumstances, …": the negation waits for its verb
    leading: Phrase | None = None  # "to the left, please move"
    dropped: bool = False
    conditional: bool = False
    choice: bool = False
    later_at: int | None = None  # index of the first segment that speaks of later


def read(text: str) -> Reading:
    """Return the cues of one sentence."""
    plain = own_words(text.lower().translate(_PLAIN_QUOTES), words.REPORTED, words.CONCLUSION)
    if plain is None:
        return Reading(denial="reports what something says")
    question = plain.rstrip().endswith("?") and not _REQUEST.search(plain)
    hedge = words.HEDGE.search(plain)
    denial = words.DENIAL.search(plain)
    segments = segments_of(plain)
    tokens = [token for segment in segments for token in segment.tokens]
    speeds = [words.SPEED[token] for token in tokens if token in words.SPEED]
    cues = _cues(segments) or _verbless(segments, bool(speeds))
    mention = next((cue.mention for cue in cues if cue.mention), "")
    oddity = next((segment.amounts.oddity for segment in segments if segment.amounts.oddity), "")
    return Reading(
        cues=tuple(
            replace(cue, factor=min(speeds, default=1.0), doubt=cue.doubt or oddity)
            for cue in cues
            if not cue.mention
        ),
        sides=frozenset(_LOCATED.findall(plain)),
        doubt=_doubt(hedge[0] if hedge else "", question),
        denial=mention or (f"denies something: '{denial[0]}'" if denial else "") or _condition(segments),
        blocked=words.BLOCKED.search(plain) is not None,
    )


def _doubt(hedge: str, question: bool) -> str:
    if hedge == "either":
        return "offers a choice"
    return f"hedged: '{hedge}'" if hedge else QUESTION if question else ""


def _cues(segments: list[Phrase]) -> list[Cue]:
    state = _State()
    for at, segment in enumerate(segments):
        _enter(state, segment.mark)
        _read_segment(state, segments, at)
    cues = [one.cue for one in _talked_about(state.found, segments)]
    if state.later_at is not None and not _begins_before(state.found, state.later_at):
        cues = [replace(cue, doubt=cue.doubt or "speaks of later") for cue in cues]
    doubt = CONDITIONAL if state.conditional else "offers a choice" if state.choice else ""
    if doubt:
        return [replace(cue, doubt=cue.doubt or doubt) for cue in cues]
    cues.sort(key=lambda cue: cue.step)
    # A purpose, as in "to reach the cup", is not an order by itself.
    return cues if any(not cue.purpose and not cue.mention for cue in cues) else _as_mentions(cues)


def _condition(segments: list[Phrase]) -> str:
    """Return that motions are only spoken of under a condition: "if you go on, you hit it"."""
    conditional = any(segment.mark in CONDITION and has_verb(segment.tokens) for segment in segments)
    return CONDITIONAL if conditional else ""


def _begins_before(found: list[_Found], later_at: int) -> bool:
    """Return whether something is to be done before what is later: "go straight, later turn left"."""
    times = [one.at < later_at for one in found if not one.cue.mention]
    return True in times and False in times


def _as_mentions(cues: list[Cue]) -> list[Cue]:
    return [replace(cue, mention=cue.mention or "says what for, not what to do") for cue in cues]


def _talked_about(found: list[_Found], segments: list[Phrase]) -> list[_Found]:
    """Withdraw the orders that the rest of the sentence explains away: "I would go, but it is closed"."""
    if not found:
        return []
    last = found[-1].at
    rest = segments[last + 1 :]
    # Only a "but" behind the last verb argues against what was said.
    but = next((at for at, segment in enumerate(rest) if segment.mark == "but"), None)
    why = "" if but is None else _objection([token for segment in rest[but:] for token in segment.tokens])
    subject = any(would_happen(segment.tokens) for segment in rest) or _goes_on(rest)
    if not why and _asks_else(found[-1], segments):
        why = "asks for something else"
    kept: list[_Found] = []
    for one in reversed(found):
        after = segments[one.at + 1] if one.at + 1 < len(segments) else None
        joined = after is not None and after.mark in ("and", "or", "nor") and has_finite(after.tokens)
        joined = joined or (after is not None and after.mark == "by")  # "driving by words"
        against = why or ("talks about an action" if one.gerund and (subject or joined) else "")
        order = not one.cue.negated and one.cue.type is not ActionType.STOP
        kept.append(replace(one, cue=replace(one.cue, mention=against)) if against and order else one)
        subject = one.gerund and (subject or bool(kept[-1].cue.mention))
    return kept[::-1]


def _goes_on(rest: list[Phrase]) -> bool:
    """Return whether a clause follows that a gerund belongs to: "turning left, the robot sees it"."""
    return any(
        phrase.mark == "," and any(token not in SIDE_AFTER for token in phrase.tokens) for phrase in rest
    )


def _asks_else(last: _Found, segments: list[Phrase]) -> bool:
    """Return whether "go on" or "go ahead" only leads to another request: "go ahead, ask me"."""
    tokens = segments[last.at].tokens
    rest = segments[last.at + 1 :]
    if last.cue.type is not ActionType.MOVE or words.WAYS.keys() & set(tokens) or not rest:
        return False
    first = rest[0].tokens[:1]
    return rest[0].mark == "," and bool(first) and first[0] not in SIDE_AFTER | words.STARTS


def _objection(tokens: list[str]) -> str:
    """Return why what follows "but" speaks against an order; empty if it only says how: "but slowly"."""
    against = any(token not in SIDE_AFTER for token in tokens) or (
        words.NEGATION.intersection(tokens) and not words.WAYS.keys() & set(tokens)
    )
    return "says what speaks against it" if against else ""


def _enter(state: _State, mark: str) -> None:
    """Change the state at a conjunction or a pause."""
    if mark in PAUSE or mark in ("but", "then", "so", "by", "to"):
        state.negated = False
    if mark in PAUSE or mark in ("then", "but"):
        state.dropped = False
    if mark == "then":
        state.step += 1
    if mark == "so" and state.conditional:  # "if you go on you hit the wall, so go back"
        state.conditional = state.dropped = False
        state.found = [
            replace(one, cue=replace(one.cue, doubt=one.cue.doubt or CONDITIONAL)) for one in state.found
        ]
    if mark in CONDITION:
        state.dropped = state.conditional = True
    if mark in DROPPED:
        state.dropped = True
    if mark in ("not", "nor"):
        state.negated = True


def _read_segment(state: _State, segments: list[Phrase], at: int) -> None:
    segment = segments[at]
    if segment.later and not state.dropped and state.later_at is None:
        state.step += bool(state.found)
        state.later_at = at
    if not segment.tokens or state.dropped:
        return
    tokens = segment.tokens
    if not state.found and len(tokens) > 1 and _only_ways(tokens):
        state.leading = segment
        return
    amounts, leading = segment.amounts, 0
    if state.leading is not None:
        leading = len(state.leading.tokens)
        tokens, amounts = state.leading.tokens + tokens, amounts.or_else(state.leading.amounts)
        state.leading = None
    cue = verb_of(tokens, state.negated or state.pending, segment.mark, leading)
    state.pending = cue is None and (state.pending or tokens[-1] in ("don't", "not", "never"))
    if cue is None:
        _directions_only(state, segment.mark, tokens, at)
        _amounts_only(state, segment)
        state.negated = state.negated or bool(words.NEGATION.intersection(tokens))
        return
    state.negated = cue.negated
    state.choice = state.choice or (segment.mark == "or" and not cue.negated)
    why = "" if cue.negated or cue.type is ActionType.STOP else _said_of_another(state, segments, at)
    cue = replace(cue, mention=cue.mention or why)
    mark = segment.mark
    if state.bare and mark in ("and", "to"):
        state.found.pop()  # "go and grab it", "come to get it"
        mark = ""
    state.bare = tokens[-1] in ("go", "come") and not cue.negated
    gerund = any(token in words.GERUND for token in tokens) and not any(
        token in words.BASE for token in tokens
    )
    cue = replace(cue, step=state.step, purpose=mark == "to").with_amounts(amounts)
    state.found.append(_Found(cue, at, gerund))


def _said_of_another(state: _State, segments: list[Phrase], at: int) -> str:
    """Return why the first verb of a sentence that began without one is not an order; empty if it may be."""
    mark, tokens = segments[at].mark, segments[at].tokens
    before = segments[at - 1] if at else None
    if state.found or (before is not None and "either" in before.tokens):
        return ""
    if mark == "by":
        if before is not None and before.tokens[:1] and before.tokens[0] in words.ADJUST:
            return ""
        return "says how, not what to do"  # "it can be reached by turning left"
    if mark == "while":
        return "says what happens meanwhile"
    if before is None or mark not in ("and", "or", "nor") or not before.tokens:
        return ""
    if has_verb(before.tokens) or words.THIRD.keys() & set(before.tokens):
        return "says what something else does"  # "robots drive forward and turn left"
    promise = tokens[0] in ("i'll", "we'll") or (tokens[0] in ("i", "we") and "will" in tokens)
    # "Say go and I will drive" is a condition, "the cup is here and I will drive" is not.
    return CONDITIONAL if promise and not has_finite(before.tokens) else ""


def _only_ways(tokens: list[str]) -> bool:
    directed = SIDE_AFTER.issuperset(tokens) and bool(ways_of(tokens, 0))
    return directed and not any(base_of(tokens, at) for at in range(len(tokens)))


def _verbless(segments: list[Phrase], speed: bool) -> list[Cue]:
    """Return the order of a sentence without a verb: "forward, slowly", "2 meters forward"."""
    tokens = [token for segment in segments for token in segment.tokens]
    amounts = Amounts()
    for segment in segments:
        amounts = amounts.or_else(segment.amounts)
    ways = ways_of(tokens, 0)
    if (
        len(ways) != 1
        or not words.TRAVEL_WAYS.intersection(tokens)
        or not (speed or amounts.distance_m)
        or words.NEGATION.intersection(tokens)
        or not SIDE_AFTER.issuperset(tokens)
        or any(base_of(tokens, at) for at in range(len(tokens)))
        or any(segment.later or segment.mark in CONDITION | {"or"} for segment in segments)
    ):
        return []
    return [Cue(ActionType.MOVE, ways=ways).with_amounts(amounts)]


def _amounts_only(state: _State, segment: Phrase) -> None:
    """Give the last verb an amount behind a pause: "move forward, 2 m"."""
    if not state.found or segment.mark not in PAUSE or not set(MARKS).issuperset(segment.tokens):
        return
    last = state.found[-1]
    if last.cue.amounts == NO_AMOUNTS:
        state.found[-1] = replace(last, cue=last.cue.with_amounts(segment.amounts))


def _directions_only(state: _State, mark: str, tokens: list[str], at: int) -> None:
    """Add a segment of directions alone, such as "… and right" or "…, not left", to the verb before it."""
    if not state.found or any(token not in SIDE_AFTER for token in tokens):
        return
    last = state.found[-1].cue
    ways = ways_of(tokens, 0)
    if not ways or last.type not in (ActionType.MOVE, ActionType.TURN) or mark == "" or last.mention:
        return
    if state.negated and not last.negated:
        return
    if mark in ("and", "or", ",", "nor") and state.step == last.step and last.negated == state.negated:
        state.found[-1] = replace(state.found[-1], cue=replace(last, ways=last.ways | ways, doubt=""))
        state.choice = state.choice or (mark == "or" and not last.negated)
    elif last.doubt and not last.ways:
        # "turn not left but right"
        state.found[-1] = _Found(replace(last, ways=ways, doubt=""), at, False)
    elif not (last.negated and mark == ","):
        cue = replace(last, ways=ways, step=state.step, negated=state.negated, doubt="")
        state.found.append(_Found(cue, at, False))
