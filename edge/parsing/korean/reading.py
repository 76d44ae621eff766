"""Reading of a Korean sentence: the verb comes last, after its direction and its object."""

import re
from dataclasses import replace

from edge.parsing.amounts import Amounts, Marked, plain_mark
from edge.parsing.cues import CONDITIONAL, QUESTION, Cue, Reading, own_words
from edge.parsing.korean import words
from edge.parsing.korean.mood import LATER, closes, gives_reason, goes_on, is_finite, not_an_order, with_later
from edge.parsing.korean.nouns import side_of
from edge.parsing.korean.orders import Clause, Verb, describes, order_of, tail_of, verb_of
from edge.records import ActionType

_WORD = re.compile(r"[0-9A-Za-z\uac00-\ud7a3]+")
_ASIDE = re.compile(r"(?<=\S)\s*\([^()\n]{0,200}\)")
_STEERS = (ActionType.MOVE, ActionType.TURN, ActionType.NAVIGATE)


def read(text: str) -> Reading:
    """Return the cues of one sentence."""
    plain = own_words(_ASIDE.sub(" ", text.lower()), words.REPORTED, words.CONCLUSION)
    if plain is None:
        return Reading(denial="reports what something says")
    for pattern, instead in (*words.CLOCK, *words.SPACING):
        plain = pattern.sub(instead, plain)
    request = words.REQUEST.search(plain)
    ended = plain.rstrip(" .!\n")
    question = not request and (
        "?" in plain or words.QUESTION_END.search(ended) or words.QUESTION_WORD.search(plain)
    )
    hedge = words.HEDGE.search(plain)
    factor = min((scale for pattern, scale in words.SPEED if pattern.search(plain)), default=1.0)
    marked = Marked(plain)
    sentence = _Sentence(_WORD.findall(with_later(marked.text)), marked)
    cues = sentence.cues() or _verbless(sentence, factor != 1)
    doubt = CONDITIONAL if _conditional(sentence.tokens, plain) else sentence.amounts(0).oddity
    denial = words.DENIAL.search(plain)
    mention = next((cue.mention for cue in cues if cue.mention), "")
    return Reading(
        cues=tuple(replace(cue, factor=factor, doubt=cue.doubt or doubt) for cue in cues if not cue.mention),
        doubt=f"hedged: '{hedge[0]}'" if hedge else QUESTION if question else "",
        sides=frozenset(way for pattern, way in words.SIDES[:2] if re.search(pattern.pattern + "에", plain)),
        denial=mention or (f"denies something: '{denial[0]}'" if denial else ""),
        blocked=words.BLOCKED.search(words.ASIDE_BLOCKED.sub(" ", plain)) is not None,
    )


def _conditional(tokens: list[str], plain: str) -> bool:
    """Return whether the order holds only under a condition; "가면 위험하니까" gives a reason."""
    reason = max((at for at, word in enumerate(tokens) if gives_reason(word)), default=-1)
    if re.search(r"면\s?(?:절대\s?)?(?:안|돼|되|됩|된)", plain):  # "가면 안 돼", "가면 돼"
        return False
    return any(
        words.CONDITION.search(word) and not words.NO_CONDITION.search(word) for word in tokens[reason + 1 :]
    )


class _Sentence:
    """The words of a sentence, and the cues that are found in them from left to right."""

    def __init__(self, words_: list[str], marked: Marked) -> None:
        self.tokens = [plain_mark(word) or word for word in words_]
        self._raw = words_
        self._marked = marked
        self._cues: list[Cue] = []
        self._words: list[str] = []  # the word of each cue
        self._clause = Clause()
        self._step = 0
        self._verb_at = -2  # index of the last verb
        self._later = False

    def amounts(self, start: int, end: int | None = None) -> Amounts:
        """Return the amounts between two words."""
        return self._marked.amounts(self._raw[start:end])

    def cues(self) -> list[Cue]:
        """Return the cues; empty if no verb asks for anything."""
        at = 0
        while at < len(self.tokens):
            at = self._read_word(at)
        if not self._cues and re.search(r"안(?:돼|되|됩)", "".join(self.tokens[:3])):
            return [Cue(ActionType.STOP)]
        cues = _with_leftover(self._cues, self._clause)
        if cues and not cues[-1].mention:
            cues[-1] = cues[-1].with_amounts(cues[-1].amounts.or_else(self.amounts(self._clause.start)))
        return self._closed(cues)

    def _closed(self, cues: list[Cue]) -> list[Cue]:
        """Withdraw the orders of a sentence that goes on after its last verb or only talks about it."""
        why = ""
        for at in reversed(range(len(cues))):
            cue = cues[at]
            last = at == len(cues) - 1
            if cue.negated or cue.type is ActionType.STOP or (why and is_finite(self._words[at])):
                why = ""
            elif last and not cue.mention and goes_on(self.tokens, self._clause.start):
                why = "talks about an action"
            why = cue.mention or why
            if why:
                cues[at] = replace(cue, mention=why)
        if self._later:
            return [replace(cue, doubt=cue.doubt or "speaks of later") for cue in cues]
        return cues

    def _read_word(self, at: int) -> int:
        """Read one word; returns the index of the next."""
        word, clause = self.tokens[at], self._clause
        if word == LATER or (word in words.AFTERWARDS and (self._cues or self._after_event(at))):
            self._later = self._later or not self._cues
            self._step += bool(self._cues)
            self._clause = Clause(at + 1, at + 1)
        elif words.UNTIL.match(word):
            self._clause = Clause(at + 1, at + 1)
            kept = [i for i, cue in enumerate(self._cues) if cue.negated]
            self._cues, self._words = [self._cues[i] for i in kept], [self._words[i] for i in kept]
        elif not (_direction(self.tokens, at, clause) or _toward(self.tokens, at, clause)):
            return self._read_verb(at)
        return at + 1

    def _after_event(self, at: int) -> bool:
        """Return whether the word follows a verb, as in "사람이 지나간 다음에"; else it may be a side."""
        before = self.tokens[at - 1][-1] if at else ""
        return "가" <= before <= "힣" and (ord(before) - 0xAC00) % 28 == 4  # it ends in ㄴ

    def _read_verb(self, at: int) -> int:
        tokens, word = self.tokens, self.tokens[at]
        verb = verb_of(tokens, at)
        if verb is None or describes(tokens, at, verb, self._clause.reason):
            if word.startswith("하지") and tail_of(tokens, at)[2:3] in ("마", "말") and not self._cues:
                self._cues.append(Cue(ActionType.STOP))
                self._words.append(word)
            if verb is not None:
                self._clause.ways.clear()  # "앞으로 가는 대신 뒤로 가" is not forward
            if closes(tokens, at, verb is not None):
                self._clause.reason = at + 1
            return at + 1
        why = "" if verb.negated_words else not_an_order(tokens, at, verb.type is ActionType.STOP)
        helps = (
            self._verb_at == at - 1 and self._cues and _auxiliary(tokens, at, verb, self._cues, self._clause)
        )
        if not helps:
            amounts = self.amounts(max(self._clause.start, self._clause.reason), at)
            cue = order_of(tokens, at, verb, self._clause).with_amounts(amounts)
            self._cues.append(replace(cue, step=self._step, mention=why or cue.mention))
            self._words.append(word)
        elif why:
            self._cues[-1] = replace(self._cues[-1], mention=why)
        self._verb_at = at
        self._clause = Clause(at + max(verb.words, verb.negated_words), at + 1)
        last = self._cues[-1]
        if not last.negated and re.search(r"(?:다가|[아려워해가여]서)$", word):
            self._step += last.type in _STEERS
        return self._clause.start


def _with_leftover(cues: list[Cue], clause: Clause) -> list[Cue]:
    """Give the last verb a direction that comes after it: "돌아, 왼쪽으로"."""
    if cues and clause.ways and cues[-1].type in (ActionType.MOVE, ActionType.TURN):
        late = frozenset(clause.ways)
        ways = late if cues[-1].doubt or cues[-1].ways == frozenset({"forward"}) else cues[-1].ways | late
        cues[-1] = replace(cues[-1], ways=ways, doubt="")
    return cues


def _direction(tokens: list[str], at: int, clause: Clause) -> bool:
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
    verb = verb_of(tokens, at + 1) if after else None
    look = verb is not None and verb.type is ActionType.LOOK and "find" not in verb.traits
    toward = josa.startswith(("으로", "로")) or (josa in ("을", "를") and (look or after.startswith("향")))
    toward = toward or (josa in ("과", "와", "이나", "하고") and side_of(after) is not None)
    if after in ("또는", "혹은", "및", "그리고", "아니면") and josa == "" and at + 2 < len(tokens):
        toward = toward or side_of(tokens[at + 2]) is not None
    toward = toward or (josa == "" and after != "" and verb is not None and verb.type is not ActionType.AVOID)
    (clause.ways if toward else clause.sides).add(way)
    return True


def _toward(tokens: list[str], at: int, clause: Clause) -> bool:
    """Return whether the word only helps a direction: "왼쪽을 향해"."""
    return tokens[at] == "향해" and bool(clause.ways) and at + 1 < len(tokens)


def _verbless(sentence: _Sentence, speed: bool) -> list[Cue]:
    """Return the order of a sentence without a verb: "빨리 앞으로", "앞으로 2미터", "앞으로 두 걸음"."""
    ways: set[str] = set()
    tokens = words.STEPS.sub("조금", " ".join(sentence.tokens)).split()  # "두 걸음" is a little
    for word in tokens:
        side = side_of(word)
        if side is not None and side[1] in ("으로", "로", "으로만", "로만"):
            ways.add(side[0])
        elif side is not None or word not in words.ADVERBS:
            return []
    amounts = sentence.amounts(0)
    little = any(word in words.LITTLE for word in tokens)
    if len(ways) != 1:
        return []
    cue = Cue(ActionType.MOVE, ways=frozenset(ways)).with_amounts(amounts)
    ahead = bool(ways & {"forward", "back"})
    how = bool(amounts.distance_m) or (ahead and (speed or little)) or cue.type is ActionType.TURN
    return [cue] if how else []


def _auxiliary(tokens: list[str], at: int, verb: Verb, cues: list[Cue], clause: Clause) -> bool:
    """Return whether the word only helps the verb right before it: "피해 가", "돌아 봐", "향해 가"."""
    if clause.ways or not re.search(r"[아어해여려라와가겨져켜]$", tokens[at - 1]):
        return False
    last = cues[-1]
    helps = verb.type in (ActionType.MOVE, ActionType.LOOK, ActionType.NAVIGATE) and not verb.way
    helps = helps and last.type is not ActionType.STOP and not tokens[at].startswith(("이동", "진행", "찾"))
    if helps and verb.negated_words:
        cues[-1] = replace(last, negated=True)
    return helps
