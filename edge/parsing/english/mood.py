"""Whether an English verb is an order: it may also be the subject of a sentence, a wish, or a possibility."""

import re

from edge.parsing.amounts import DISTANCE, DURATION
from edge.parsing.english import words

LATER = "later"
TELLS = "says what happens, not what to do"

_POSSIBLE = frozenset("can could may might able".split())
_WISH = frozenset("want wants wanna like wish wishes hope hopes love prefer wishing hoping".split())
# Verbs that make a gerund or an infinitive ahead of them their subject: "turning left would hit the wall".
_FINITE = frozenset(
    "is are was were be been isn't aren't wasn't weren't would wouldn't will won't could couldn't can can't"
    " cannot may might must mustn't should shouldn't means mean meant leads lead led requires require makes"
    " make made seems seem looks causes cause caused results result puts helps help brings bring gets hits"
    " risks has have had does doesn't do did didn't becomes remains appears allows needs need involves"
    " carries poses creates counts sounds feels worked works failed fails".split()
)
_RELATIVE = frozenset("that which who whose what where there it you he she they".split())
PREPOSITIONS = words.TOWARDS | frozenset(
    "at on in from past around until for with by over off about under between along behind beside near"
    " alongside within as per because since before after out".split()
)
_SOME = rf"(?:{DISTANCE}|{DURATION})\d+"
_WHERE = (
    r"(?:cross|crossing|crossings|intersection|junction|corner|roundabout|fork|crossroads?|traffic lights?"
    r"|lights?|exit|stop|door|doorway|turn|room|hallway|corridor|opportunity|chance|landmark)"
)
# What happens later, or somewhere else than here, becomes the word LATER.
_LATER = re.compile(
    rf"\b(?:in|after|within)\s+(?:(?:about|around|roughly|approximately|another|just|exactly|the|next|only)\s+)*"
    rf"(?:half\s+)?{_SOME}|{_SOME}\s+(?:from\s+(?:now|here)|later|afterwards|further\s+on)"
    r"|\b(?:in|after)\s+(?:\d{1,4}|two|three|four|five|six|seven|eight|nine|ten|a\s+few|several)\s+[a-z]+"
    r"|^\s*(?:just\s+|right\s+|only\s+)?(?:at\s+(?!this|once|last|least|the\s+moment|present|all)|past\s|upon\s"
    r"|before\s+(?!\w+ing\b)|beyond\s|near\s|behind\s|beside\s|opposite\s)[^,.;]{1,40}(?=,)"
    r"|\b(?:doors?|blocks?|rooms?|chairs?|streets?|houses?)\s+(?:down|further|later|away|on)(?=,)"
    r"|\b(?:turn\s+(?:left|right)|(?:left|right)\s+turn)\s+(?:up\s+)?ahead\b|\bup\s+ahead\b"
    r"|\bin\s+(?:a|one|the|just\s+a|about\s+a|another)\s+(?:next\s+)?(?:few\s+|couple\s+of\s+|short\s+|little\s+)*"
    r"(?:moments?|seconds?|minutes?|while|bit|sec|hours?|steps?|meters?|metres?|feet|miles?)\b"
    r"|\b(?:a|one)\s+(?:moment|minute|while|bit|little)\s+later\b|\bat\s+some\s+point\b"
    r"|\b(?:later(?:\s+on)?|soon|tomorrow|tonight|eventually|shortly|some\s?day|next\s+time|one\s+day)\b"
    r"|\b(?:at|upon|in)\s+the\s+(?:next|first|second|third|fourth|last|upcoming|following|coming)\s+\w+"
    r"|(?<!look )(?<!point )(?<!looking )(?<!pointing )"
    rf"\bat\s+(?:the|a|an|that|this)\s+(?:(?!left|right)\w+\s+)?{_WHERE}\b|\bat\s+the\s+end\b"
    r"|\b(?:after|upon)\s+(?!look|see|analy|consider|check|think|examin|review|inspect|observ)(?=(?:the|you|your|we|it|that|this|a|an|[a-z]{2,20}ing)\b)"
    r"|\b(?:get|be|being|getting|stay)\s+ready\s+(?:to|for)\b|\b(?:prepare|prepares|preparing|be\s+prepared"
    r"|prepared)\s+(?:to|for)\b|\babout\s+to\b"
    r"|\b(?:plan|plans|planning|planned|intend|intends|intending|intended|aim|aims|aiming|supposed|scheduled"
    r"|expected|hoping|hope|hopes|waiting)\s+(?:to|on)\b"
    r"|(?<!best )\b(?:plan|idea|intention|goal|aim|mission|task|instruction)\s+"
    r"(?:is|was|will\s+be|would\s+be)\s+(?:to|for)\b"
)


def with_later(plain: str) -> str:
    """Return the text with the word LATER for each phrase that speaks of another time or place."""
    return _LATER.sub(f" {LATER} ", plain)


def not_an_order(tokens: list[str], at: int, mark: str, known: frozenset[str]) -> str:
    """Return why the verb at an index is not an order; empty if it may be one.

    `mark` is what stands ahead of the segment, `known` holds the words that say how and where to move.
    """
    lead, rest = tokens[:at], tokens[at + 1 :]
    if _POSSIBLE.intersection(lead):
        return "says what is possible, not what to do"
    if _WISH.intersection(lead):
        return "a wish"
    if lead[-1:] == ["you"] or ("it" in lead and "will" in lead):
        return "says what somebody does"
    if lead[-1:] in (["be"], ["been"]) and tokens[at] not in words.GERUND:
        return "talks about an action"  # "the code can be run"
    if tokens[at] in words.GERUND and _tells_of_another(lead):
        return TELLS
    if "would" in lead and "it" in lead and "be" not in lead:
        return "says what it would take"
    if ("had" in lead and "better" not in lead) or ("would" in lead and "have" in lead):
        return "says what would have been"
    after = next((token for token in rest if token not in known), "")
    gerund = tokens[at] in words.GERUND and not {"is", "are", "am", "be", "i'm", "we're"}.intersection(lead)
    if after in _FINITE:
        return "talks about an action"
    if (gerund or mark == "to" or lead[-1:] == ["to"]) and has_finite(rest):
        return "talks about an action"
    moves = words.BASE.get(words.GERUND.get(tokens[at], ""), None) in words.MOTIONS
    if gerund and moves and after and after not in PREPOSITIONS | words.ARTICLES:
        return "talks about an action"
    return ""


def _tells_of_another(lead: list[str]) -> bool:
    """Return whether "the robot is" or "it is", and at most adverbs, lead to a gerund.

    "I am turning left" answers what to do; "the robot's best action is turning left" says so.
    """
    said = [token for token in lead if token not in words.MANNER]
    return said[-1:] == ["it's"] or (
        len(said) > 1 and said[-1] in ("is", "are") and said[-2] in ("robot", "it", "bot", "vehicle")
    )


def has_finite(rest: list[str]) -> bool:
    """Return whether a verb follows that is not in a clause of its own: "the cup that is red"."""
    return any(
        token in _FINITE and (at == 0 or rest[at - 1] not in _RELATIVE) for at, token in enumerate(rest)
    )


def would_happen(tokens: list[str]) -> bool:
    """Return whether a clause says what would come of an action: "the robot would hit the wall"."""
    return bool({"would", "could", "might", "may", "will", "can"}.intersection(tokens))
