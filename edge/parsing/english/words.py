"""English words of the parser, matched whole, never as parts of other words."""

import re

from edge.parsing.cues import CAREFUL, FAST, SLOW
from edge.records import ActionType

_VERBS: dict[ActionType, str] = {
    ActionType.STOP: "stop halt freeze pause wait brake abort cease quit cancel whoa emergency stay standby",
    ActionType.MOVE: "go move drive proceed advance continue walk roll travel head run step come slide"
    " strafe shift"
    " crawl creep inch nudge scoot edge shuffle glide cruise hurry rush dash return reverse retreat backup"
    " sidestep",
    ActionType.TURN: "turn rotate spin pivot veer steer swing swivel curve turnaround",
    ActionType.GRAB: "grab grasp take pick get fetch bring lift collect catch seize hold grip clutch"
    " retrieve",
    ActionType.RELEASE: "release drop ungrasp unhand put place set",
    ActionType.POINT: "point gesture",
    ActionType.LOOK: "look watch face inspect examine observe find",
    ActionType.NAVIGATE: "navigate approach follow reach chase enter",
    ActionType.AVOID: "avoid dodge evade bypass circumvent skirt",
}
_GERUNDS = {
    "getting": "get", "putting": "put", "setting": "set", "running": "run", "spinning": "spin",
    "stopping": "stop", "grabbing": "grab", "dropping": "drop", "stepping": "step", "backing": "backup",
    "gripping": "grip", "swivelling": "swivel",
}  # fmt: skip
MOTIONS = (ActionType.MOVE, ActionType.TURN)
BASE: dict[str, ActionType] = {word: kind for kind, words in _VERBS.items() for word in words.split()}


def _gerunds() -> dict[str, str]:
    """Return the base form of each gerund."""
    forms = dict(_GERUNDS)
    for word in BASE:
        forms.setdefault((word[:-1] if word.endswith("e") else word) + "ing", word)
    return forms


GERUND = _gerunds()
THIRD = {word + ("es" if word.endswith(("o", "ch", "ss")) else "s"): word for word in BASE}
# After "to", these give a reason, as the verbs above do: "go back to give the child some space".
PURPOSES = frozenset(
    "give make let see create allow keep gain check clear center centre align prevent ensure help start begin"
    " explore continue complete show leave free improve increase reduce save protect open close".split()
)
DEFAULT_WAYS = {
    "reverse": frozenset({"back"}),
    "retreat": frozenset({"back"}),
    "backup": frozenset({"back"}),
    "turnaround": frozenset({"left"}),
}
# These verbs mean "forward" without a direction.
PLAIN_MOVE = frozenset("go move drive proceed advance continue walk roll travel".split())
# These may move something else: "move rounding to the model".
TRANSITIVE = frozenset(
    "move drive walk roll run slide shift turn rotate spin swing steer reverse return".split()
)
# Without a verb, "forward" is an order only with a speed or a distance; "ahead" may be where something is.
BACKWARDS = frozenset("backward backwards rearward reverse".split())
TRAVEL_WAYS = frozenset("forward forwards onward onwards backward backwards".split())

WAYS = {
    "left": "left", "leftward": "left", "leftwards": "left", "counterclockwise": "left",
    "counter-clockwise": "left", "anticlockwise": "left", "anti-clockwise": "left", "ccw": "left",
    "right": "right", "rightward": "right", "rightwards": "right", "clockwise": "right", "cw": "right",
    "forward": "forward", "forwards": "forward", "ahead": "forward", "straight": "forward",
    "onward": "forward", "onwards": "forward", "closer": "forward", "nearer": "forward",
    "backward": "back", "backwards": "back", "back": "back", "rearward": "back",
}  # fmt: skip
SPEED = {
    "slowly": SLOW, "slow": SLOW, "gently": SLOW, "gradually": SLOW, "leisurely": SLOW,
    "carefully": CAREFUL, "cautiously": CAREFUL, "careful": CAREFUL, "caution": CAREFUL,
    "fast": FAST, "quickly": FAST, "quick": FAST, "rapidly": FAST, "faster": FAST, "swiftly": FAST,
    "hurry": FAST, "rush": FAST, "dash": FAST, "creep": SLOW, "inch": SLOW, "crawl": SLOW,
}  # fmt: skip
NEGATION = frozenset(
    "not never no don't dont doesn't didn't isn't aren't won't can't cant cannot shouldn't mustn't"
    " wouldn't couldn't"
    " needn't neither nor unable impossible unsafe dangerous risky forbidden prohibited failed refuse".split()
)
HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|may|unsure|uncertain|unclear|seems?|guess|i think|i believe"
    r"|(?:not|n't) (?:so |very |quite |entirely |really )?(?:sure|certain|confident|convinced|positive|know)"
    r"|no idea|dunno|either)\b"
    r"|\bn't know\b|n't (?:know|decide)\b|\bi suppose\b|\bconfused\b"
    r"|\b(?:in theory|theoretically|hypothetically|or not|could (?:also )?be|(?:next|second) best)\b"
    r"|\b(?:usually|often|typically|sometimes|generally)\b"
)
REPORTED = re.compile(
    r"\bfor (?:example|instance)\b|^\W*(?:examples?|e\.g\.)\W|\bsuch as\b|"
    r"\bsays\b|(?<!\bi )\b(?:said|told|asked|wrote|yelled|shouted|instructed|ordered|requested)\b"
    r"|\b(?:saying|tells|asks|writes|yells|shouts|orders|instructs|requests|wants (?:me|us|the robot))\b"
    r"|\b(?:signs|labels|posters|texts) (?:say|read)\b|\b(?:reads|written|labell?ed|printed)\b"
    r"|\bshows the (?:word|text)\b|\bthe (?:words?|text)\b"
)
# What is reported ends where a conclusion begins: "the sign says so, so turn left".
CONCLUSION = re.compile(r"[,;]\s*(?:and\s+)?(?:so|therefore|thus|hence)\b")
DENIAL = re.compile(
    r"\b(?:no|not|never|none|nothing|nowhere|cannot|unable|without|fail(?:ed)? to|neither)\b|n't\b|\bcant\b"
)
BLOCKED = re.compile(
    r"\b(?:path|way|road|route|corridor|space|area|front)\b[^,.;]{0,40}\b"
    r"(?:blocked|obstructed|(?:not|n't|never) (?:be )?(?:clear|free|open|safe))\b|\b(?:is|are|was)n't clear\b"
)

# "adjust by turning left" says what to do, "it can be reached by turning left" does not.
ADJUST = frozenset(
    "adjust correct center centre align compensate respond react begin start continue fix".split()
)
# These begin a statement, as "nothing is in the way" does, not another request.
STARTS = frozenset("there nothing nobody nothing's path corridor hallway everything all that's".split())
# These words may stand before the verb of an order.
LEAD = frozenset(
    "please just now ok okay so also kindly immediately robot i we you i'll you'll we'll will should"
    " must need needs"
    " have has can could would us let lets let's going gonna wanna want like try start begin keep am"
    " i'm you're is are"
    " be being the best action next step first second third command answer it's time better had again"
    " both hey to a an"
    " help me your my way decision output instruction task only still always simply then well yes no"
    " right left safe"
    " necessary required needed recommended suggested it order move turn yourself by for of in with robot's"
    ""
    " choose chose decide decided opt conclude therefore thus hence"
    " safest safer optimal wisest smartest ideal wise course option choice thing makes sense"
    " recommend suggest advise propose that ought rather here correct"
    " directly do at once really also sir all we're more today finally instead said".split()
)
ADVERB = frozenset(
    "now please immediately again slightly little bit a an the your its some gradually steadily"
    " smoothly sharply hard sideways sideway"
    " sharp slight directly just further more about around approximately one two three four five ten"
    " degrees degree deg"
    " meter meters metre metres m cm centimeters feet foot steps step inches seconds second s robot"
    " yourself base"
    " instead on side hand direction way wheel this that all time speed full at with and or to in"
    " towards toward"
    " place once twice also too very as possible bot there turn lane here it ok okay normally onto per half"
    " quarter few couple small large big short long distance while then still then straightaway".split()
)
# These may stand between "the robot is" and what it is doing.
MANNER = SPEED.keys() | frozenset("now just still always also simply only then again directly really".split())
ARTICLES = frozenset("the a an this that these those your my his her its their our some any another".split())
BEFORE_NOUN = frozenset("next best correct only safest wisest previous good wrong optimal smart safe".split())
SELF = frozenset("robot yourself base body itself bot vehicle rover".split())
TOWARDS = frozenset("to towards toward into through past onto near along down across up inside".split())
SKIP_BEFORE_NOUN = (
    ARTICLES | TOWARDS | frozenset("at up for of me us in on over slowly carefully gently".split())
)
NOUN_ENDS = (
    frozenset(
        "on in at to from with by near next behind under over above below between beside towards toward"
        " into onto"
        " please now then and or but so it them him you i we they is are was were that which who while"
        " slowly carefully"
        " quickly gently tightly firmly softly immediately again up down away off out for"
        " inside around through before after ahead there"
        " here if when as because without not back forward fast using until first".split()
    )
    | NEGATION
)
# Models think aloud: nobody drives to a conclusion. What is about these is not about the room.
ABSTRACT = frozenset(
    "image images picture pictures photo scene frame video view question questions answer answers option"
    " options choices reasoning reason reasons step steps instruction instructions problem conclusion"
    " decision point points topic list item action actions direction directions solution plan example"
    " examples overview idea details information process analysis task tasks rule rules prompt text"
    " description collision collisions accident misunderstanding misunderstandings confusion damage"
    " mistake mistakes errors summary explanation guidelines advice order orders following context"
    " situation possibilities thought thoughts paragraph chart data section request requirement"
    " requirements goal objective".split()
)
