"""Reading of an English sentence: an order starts with its verb, or with words that lead to it."""

import re
from dataclasses import dataclass, field, replace

from edge.parsing.amounts import Amounts, Marked, plain_mark
from edge.parsing.cues import QUESTION, Cue, Reading
from edge.parsing.english import words
from edge.parsing.english.idioms import IDIOMS
from edge.parsing.english.mood import LATER, has_finite, with_later, would_happen
from edge.parsing.english.verbs import SIDE_AFTER, base_of, is_noun, verb_of, ways_of
from edge.records import ActionType

_TOKEN = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,;:!?()\"\n\u2014]")
_PLAIN_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_DASH = re.compile(r"\s(?:-{1,2}|\u2013|->|=>|\u2192)\s")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=(?:left|right|forwards?|back|backwards?|ahead|straight)\b)")
_LOCATED = re.compile(r"\b(?:is|are|on|at|'s) (?:on |to )?(?:the |your |my )(left|right)\b")
_REQUEST = re.compile(r"\b(?:can|could|would|will|why don't) you\b|\bwould you mind\b|\bplease\b")
_JOIN = frozenset({"and", "or", "nor", "but", "then", "while", "so", "by", "not"})
_CONDITION = frozenset({"if", "when", "unless"})
_DROPPED = frozenset({"until", "till", "because", "since", "before"})
_PAUSE = frozenset('.,;:!?()"\n\u2014')
_SPLITS = _PAUSE | _JOIN | _CONDITION | _DROPPED


@dataclass(frozen=True, slots=True)
class _Segment:
    """Words between two pauses or conjunctions, without the numbers of amounts."""

    mark: str  # what stands ahead of it
    tokens: list[str]
    amounts: Amounts
    later: bool  # it speaks of another time or place


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
    leading: _Segment | None = None  # "to the left, please move"
    dropped: bool = False
    conditional: bool = False
    choice: bool = False
    later_at: int | None = None  # index of the first segment that speaks of later


def read(text: str) -> Reading:
    """Return the cues of one sentence."""
    plain = text.lower().translate(_PLAIN_QUOTES)
    if words.REPORTED.search(plain):
        return Reading(denial="reports what something says")
    question = plain.rstrip().endswith("?") and not _REQUEST.search(plain)
    hedge = words.HEDGE.search(plain)
    denial = words.DENIAL.search(plain)
    marked = Marked(_HYPHEN.sub(" ", _DASH.sub(" \u2014 ", " ".join(plain.split()))))
    rewritten = _rewritten(with_later(marked.text))
    speeds = [words.SPEED[token] for token in _TOKEN.findall(rewritten) if token in words.SPEED]
    segments = _segments(rewritten, marked)
    cues = _cues(segments) or _verbless(segments, bool(speeds))
    mention = next((cue.mention for cue in cues if cue.mention), "")
    return Reading(
        cues=tuple(replace(cue, factor=min(speeds, default=1.0)) for cue in cues if not cue.mention),
        sides=frozenset(_LOCATED.findall(plain)),
        doubt=f"hedged: '{hedge[0]}'" if hedge else QUESTION if question else "",
        denial=mention or (f"denies something: '{denial[0]}'" if denial else ""),
        blocked=words.BLOCKED.search(plain) is not None,
    )


def _rewritten(plain: str) -> str:
    for pattern, instead in IDIOMS:
        plain = pattern.sub(
            lambda match, word=instead: (
                match.expand(word) if "\\" in word else " ".join([word, *filter(None, match.groups())])
            ),
            plain,
        )
    return plain


def _segments(plain: str, marked: Marked) -> list[_Segment]:
    """Return the parts of a sentence between its pauses and conjunctions."""
    segments: list[_Segment] = []
    mark = ""
    taken: list[str] = []
    tokens = [*_TOKEN.findall(plain), "."]
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        token = "while" if token == "as" and after in ("you", "we", "it", "the", "i", "there") else token
        last_once = token == "once" and after in ("you", "the", "it", "there")
        purpose = (
            token == "to" and after in words.BASE.keys() | words.PURPOSES and (not taken or _has_verb(taken))
        )
        if not (last_once or purpose or token in _SPLITS):
            taken.append(token)
            continue
        kept = [plain_mark(word) or word for word in taken if word != LATER]
        segments.append(_Segment(mark, kept, marked.amounts(taken), LATER in taken))
        taken = []
        mark = "if" if last_once else token
    return segments


def _has_verb(tokens: list[str]) -> bool:
    verbs = [at for at, token in enumerate(tokens) if token in words.BASE or token in words.GERUND]
    return any(not is_noun(tokens, at) for at in verbs)


def _cues(segments: list[_Segment]) -> list[Cue]:
    state = _State()
    for at, segment in enumerate(segments):
        _enter(state, segment.mark)
        _read_segment(state, segment, at)
    cues = [one.cue for one in _talked_about(state.found, segments)]
    if state.later_at is not None and not _begins_before(state.found, state.later_at):
        cues = [replace(cue, doubt=cue.doubt or "speaks of later") for cue in cues]
    doubt = "only under a condition" if state.conditional else "offers a choice" if state.choice else ""
    if doubt:
        return [replace(cue, doubt=cue.doubt or doubt) for cue in cues]
    cues.sort(key=lambda cue: cue.step)
    # A purpose, as in "to reach the cup", is not an order by itself.
    return cues if any(not cue.purpose and not cue.mention for cue in cues) else _as_mentions(cues)


def _begins_before(found: list[_Found], later_at: int) -> bool:
    """Return whether something is to be done before what is later: "go straight, later turn left"."""
    times = [one.at < later_at for one in found if not one.cue.mention]
    return True in times and False in times


def _as_mentions(cues: list[Cue]) -> list[Cue]:
    return [replace(cue, mention=cue.mention or "says what for, not what to do") for cue in cues]


def _talked_about(found: list[_Found], segments: list[_Segment]) -> list[_Found]:
    """Withdraw the orders that the rest of the sentence explains away: "I would go, but it is closed"."""
    kept: list[_Found] = []
    for one in found:
        rest = segments[one.at + 1 :]
        later = [other for other in found if other.at > one.at]
        why = ""
        if one.gerund and (
            any(other.gerund and other.cue.mention for other in later)
            or (not later and any(would_happen(segment.tokens) for segment in rest))
            or (rest and rest[0].mark in ("and", "or", "nor") and has_finite(rest[0].tokens))
        ):
            why = "talks about an action"
        at = next((i for i, segment in enumerate(rest) if segment.mark == "but"), None)
        if at is not None and not any(other.at > one.at + at for other in later):
            why = why or _objection([token for segment in rest[at:] for token in segment.tokens])
        order = not one.cue.negated and one.cue.type is not ActionType.STOP
        kept.append(replace(one, cue=replace(one.cue, mention=why)) if why and order else one)
    return kept


def _objection(tokens: list[str]) -> str:
    """Return why what follows "but" speaks against an order; empty if it only says how: "but slowly"."""
    against = any(token not in SIDE_AFTER for token in tokens) or (
        words.NEGATION.intersection(tokens) and not words.WAYS.keys() & set(tokens)
    )
    return "says what speaks against it" if against else ""


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


def _read_segment(state: _State, segment: _Segment, at: int) -> None:
    if segment.later and not state.dropped and state.later_at is None:
        state.step += bool(state.found)
        state.later_at = at
    if not segment.tokens or state.dropped:
        return
    tokens = segment.tokens
    if not state.found and len(tokens) > 1 and _only_ways(tokens):
        state.leading = segment
        return
    amounts = segment.amounts
    if state.leading is not None:
        tokens, amounts = state.leading.tokens + tokens, amounts.or_else(state.leading.amounts)
        state.leading = None
    cue = verb_of(tokens, state.negated or state.pending, segment.mark)
    state.pending = cue is None and (state.pending or tokens[-1] in ("don't", "not", "never"))
    if cue is None:
        _directions_only(state, segment.mark, tokens, at)
        state.negated = state.negated or bool(words.NEGATION.intersection(tokens))
        return
    state.negated = cue.negated
    state.choice = state.choice or (segment.mark == "or" and not cue.negated)
    mark = segment.mark
    if state.bare and mark in ("and", "to"):
        state.found.pop()  # "go and grab it", "come to get it"
        mark = ""
    state.bare = tokens[-1] in ("go", "come") and not cue.negated
    if mark == "by" and not state.found and not cue.negated and cue.type is not ActionType.STOP:
        cue = replace(cue, mention="says how, not what to do")  # "it can be reached by turning left"
    gerund = any(token in words.GERUND for token in tokens) and not any(
        token in words.BASE for token in tokens
    )
    cue = replace(cue, step=state.step, purpose=mark == "to").with_amounts(amounts)
    state.found.append(_Found(cue, at, gerund))


def _only_ways(tokens: list[str]) -> bool:
    directed = SIDE_AFTER.issuperset(tokens) and bool(ways_of(tokens, 0))
    return directed and not any(base_of(tokens, at) for at in range(len(tokens)))


def _verbless(segments: list[_Segment], speed: bool) -> list[Cue]:
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
        or any(segment.later or segment.mark in _CONDITION | {"or"} for segment in segments)
    ):
        return []
    return [Cue(ActionType.MOVE, ways=ways, amounts=amounts)]


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
