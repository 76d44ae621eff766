"""The verb of an English clause: what it asks for, its direction and its target."""

from edge.parsing.amounts import MARKS
from edge.parsing.cues import NO_WAY, Cue
from edge.parsing.english import words
from edge.parsing.english.mood import PREPOSITIONS, not_an_order
from edge.records import ActionType

# These words may stand around a direction.
SIDE_AFTER = (
    words.ADVERB
    | words.LEAD
    | words.ARTICLES
    | frozenset(words.BASE)
    | frozenset(words.GERUND)
    | frozenset(words.THIRD)
    | frozenset(words.SPEED)
    | frozenset(words.WAYS)
    | words.NEGATION
    | frozenset(MARKS)
)
_NOT_A_SIDE_AFTER = frozenset("i you we i'm it is are has have had robot".split())
_HOW = words.ADVERB | words.SPEED.keys() | words.WAYS.keys() | frozenset(MARKS)
_NOT_AN_OBJECT = (
    SIDE_AFTER
    | words.TOWARDS
    | PREPOSITIONS
    | words.SELF
    | frozenset("not round away aside apart out off home clear".split())
)
_AFTER_SIDE = words.ADVERB | words.NOUN_ENDS | frozenset(MARKS) | {"of"}
_ANYHOW = _HOW | words.LEAD | frozenset("through past along".split())
_LEADING = words.LEAD | words.SPEED.keys() | words.WAYS.keys() | frozenset(MARKS)


def verb_of(tokens: list[str], negated: bool, mark: str, leading: int) -> Cue | None:
    """Return the cue of a clause's first verb, after the `mark` ahead of it; None if it has no verb.

    The first `leading` words are a direction: "a little to the left, please turn".
    """
    leads = True
    found: Cue | None = None
    for at, token in enumerate(tokens):
        if token in words.NEGATION:
            negated = True
            continue
        base = base_of(tokens, at)
        kind = words.BASE.get(base)
        if kind is ActionType.STOP and (at == 0 or tokens[at - 1] not in words.ARTICLES):
            if not negated:
                return Cue(ActionType.STOP)
            found = Cue(ActionType.STOP, negated=True)
            continue
        if kind is not None and leads and not is_noun(tokens, at):
            if found is not None:
                negated = token not in words.GERUND  # "don't stop turning left" is to turn left
            if base in ("go", "come", "help") and at + 1 < len(tokens) and tokens[at + 1] in words.BASE:
                continue  # "go grab the cup"
            cue = _order(kind, base, tokens, at, negated)
            why = "" if negated else not_an_order(tokens, at, mark, _HOW) or _about(cue.target)
            if not why:
                return cue
            found = found or Cue(kind, mention=why)  # only a "stop" may still follow
        leads = leads and (at < leading or token in _LEADING)
    return found


def _about(target: str) -> str:
    """Return why a verb with such a target is thinking aloud; empty if the target may be in the room."""
    return "is about the task, not about the room" if words.ABSTRACT.intersection(target.split()) else ""


def base_of(tokens: list[str], at: int) -> str:
    """Return the base form of the verb at an index; empty if there is no verb."""
    token = tokens[at]
    if token in words.BASE:
        return token
    if token in words.GERUND:
        return words.GERUND[token]
    if token in words.THIRD and "robot" in tokens[:at]:
        return words.THIRD[token]
    return ""


def is_noun(tokens: list[str], at: int) -> bool:
    """Return whether the verb is used as a noun: "the turn", "your hold", "your next move"."""
    described = at > 1 and tokens[at] in words.GERUND and tokens[at - 2] in words.ARTICLES
    return described or (at > 0 and tokens[at - 1] in words.ARTICLES | words.BEFORE_NOUN)


def _order(kind: ActionType, base: str, tokens: list[str], at: int, negated: bool) -> Cue:
    rest = tokens[at + 1 :]
    ways = ways_of(tokens, at + 1) | words.DEFAULT_WAYS.get(base, frozenset())
    if not ways and kind in (ActionType.MOVE, ActionType.TURN):
        ways = ways_of(tokens[:at], 0)  # "straight ahead go", "to the left turn"
    if kind is ActionType.AVOID:
        sides = frozenset(words.WAYS[token] for token in rest if token in ("left", "right"))
        if (rest[:1] == ["to"] or base != "avoid") and not _noun(rest):
            # "dodge to the left" names where to go, not where the thing is.
            sides = frozenset("right" if side == "left" else "left" for side in sides)
        return Cue(kind, negated, sides, _noun(rest))
    if kind in (ActionType.MOVE, ActionType.TURN):
        return _motion(kind, base, rest, ways, negated)
    target = _noun(rest)
    if target and not any(char.isalpha() for char in target):
        return Cue(kind, negated, doubt=f"unclear what to {base}")
    if kind is ActionType.NAVIGATE and "back" in ways:
        return _back_to(base, rest, ways, negated)
    if kind is ActionType.LOOK and (target or base == "find"):
        ways = frozenset({"left"}) if base == "find" and not negated else frozenset[str]()
    return Cue(kind, negated, ways, target)


def _motion(kind: ActionType, base: str, rest: list[str], ways: frozenset[str], negated: bool) -> Cue:
    handled = len(rest) > 1 and rest[0] in words.ARTICLES and rest[1] not in SIDE_AFTER | words.SELF
    bare = bool(rest) and base in words.TRANSITIVE and not rest[0].endswith("ly")
    bare = bare and rest[0] not in _NOT_AN_OBJECT
    if handled or bare or (rest and rest[0] in ("it", "them", "him", "her")):
        return Cue(kind, negated, doubt=f"says to {base} something, not the robot")
    place = next((i for i, token in enumerate(rest) if token in words.TOWARDS), None)
    target = _noun(rest[place:]) if place is not None else ""
    if target and not any(char.isalpha() for char in target):
        return Cue(kind, negated, doubt=f"unclear where to {base}")
    if kind is ActionType.MOVE and target and ("back" in ways or base == "return"):
        return _back_to(base, rest, ways, negated)
    if kind is ActionType.MOVE and target and target.split()[0] not in words.WAYS:
        return Cue(ActionType.NAVIGATE, negated, ways & {"left", "right"}, target)
    if kind is ActionType.MOVE and ways <= {"forward", "back"} and target:
        return Cue(ActionType.NAVIGATE, negated, frozenset(), target)
    if ways:
        return Cue(kind, negated, ways, "" if target.split(" ")[0] in words.WAYS else target)
    if kind is ActionType.TURN:
        return Cue(kind, negated, target=target, doubt="" if negated else NO_WAY)
    unknown = next((token for token in rest if token not in _ANYHOW), None)
    if unknown is not None or base not in words.PLAIN_MOVE:
        return Cue(kind, negated, doubt="" if negated else f"unclear where to {base}")
    return Cue(kind, negated, frozenset({"forward"}))


def _back_to(base: str, rest: list[str], ways: frozenset[str], negated: bool) -> Cue:
    """Return what "drive backwards to the wall" asks for; "go back to the wall" says no direction."""
    if base in words.DEFAULT_WAYS or not words.BACKWARDS.isdisjoint(rest):
        return Cue(ActionType.MOVE, negated, ways)
    return Cue(ActionType.MOVE, negated, doubt="" if negated else "the way back is not known")


def ways_of(tokens: list[str], start: int) -> frozenset[str]:
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
            if before and (left_behind or before not in SIDE_AFTER):
                continue
            if before in words.ARTICLES and after and after not in _AFTER_SIDE:
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
        if token not in words.ARTICLES and token not in MARKS:
            taken.append(token)
    while taken and taken[-1] in ("left", "right", "side", "of"):
        taken.pop()
    phrase = " ".join(taken).replace("stop-", "stop ").replace("bus-", "bus ")
    return phrase[:64].rstrip()
