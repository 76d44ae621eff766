"""Whether a Korean verb is an order: its ending and what follows it tell; an order closes its sentence."""

import re

from edge.parsing.korean import words
from edge.parsing.korean.nouns import side_of

LATER = "나중에"

_REPORTS = (
    re.compile(
        r"(?:라고|자고|다고|냐고|라며|라면서|랍니다|답니다|란다|대요|라는|자는|다는|라던|[가오하서추으]래요?)$"
    ),
    "reports what somebody says",
)
_MENTION_ENDS = (
    (re.compile(r"면(?:은|서도)?$"), "only a condition"),
    (re.compile(r"(?:지만|[는은인던]데요?|나마|으나|었으나|더라도)$"), "says what speaks against it"),
    (
        re.compile(r"(?:니까|니까요|므로|으니|[가오서하]니|기에|느라|느니|길래|더니|거든요?)$"),
        "gives a reason",
    ),
    (re.compile(r"(?:[하가오서추으이리]려|려고|려다가?|려는|려던|고자)$"), "says what is meant to happen"),
    _REPORTS,
    (re.compile(r"기(?:에|에는|엔|가|는|도|만|까지|보다|위해)$"), "talks about an action"),
    (re.compile(r"[가와해아어워켜려여]도$"), "says what is allowed"),
    (re.compile(r"(?:싶\w*|[할갈돌설올]까)$"), "a wish"),
)
# These words may follow a verb that stays an order: helpers, "please", adverbs and directions.
_HELPER = re.compile(
    r"^(?:주(?:시\w*|셨\w*|세요|십시오|시|라|자|기|겠|실|면|고|어)\w*|줘\w*|줄\w*|"
    r"하(?:세요|셔요|십시오|시오|시기|시면|시죠|라|자|고|겠\w*|도록|기|였\w*)|해|해요|해라|해서|해야|해주\w*|해줘\w*|합니다|합시다|"
    r"한다|할게\w*|할래\w*|할|한|되\w*|돼\w*|됩\w*|된다|있\w*|마|마라|마세요|말\w*|않\w*|바랍\w*|바라\w*|부탁\w*|"
    r"시작\w*|계속\w*|드립\w*|드려\w*|드리\w*|봐\w*|볼게\w*|보겠\w*|보세요|보자|보십시오|것|것이다|것입니다|겁니다|거야|거예요|게|게요|"
    r"버려|올려\w*|올리\w*|들어\w*|내려\w*|놓\w*|두\w*|둬\w*|다오|달라\w*|필요\w*|금지|요|입니다|이다|명령\w*|요망|실시\w*|"
    r"가|가요|가자|가라|가세요|가십시오|갑니다|갑시다|간다|가고|가서|와|와요|오세요|오라|옵니다)$"
)
_FINITE = re.compile(r"(?:세요|셔요|시오|십시오|라|줘|줘요|자|니다|[간돈온한선춘]다|요|죠|시다|겠다|할게)$")
_DECIDED = re.compile(r"(?:했습니다|했어요?|했다|합니다|해요|하겠\w*|하자|합시다|결정\w*)$")
_CLOSES = re.compile(
    r"(?:므로|으니|니까|기에|길래|더니|지만|는데|은데|인데)$|^(?:때문에|이유로|따라서|그래서|그러므로|그러니|탓에)$|"
    r"(?<![머아])니$"
)
# A predicate of a thing, which gives the reason for the order after it: "사람이 있어", "길이 막혀서".
_STATE = re.compile(
    r"^(?:있|없|막혀|막히|열려|열리|닫혀|닫히|비어|보여|보이|위험해|위험하여|가까워|멀어|좁아|넓어|많아|안전해|"
    r"나타나|지나가|서있|놓여|깨끗해|어두워|미끄러워)(?:어|어서|서|여서|고|이|며)?$"
)
_ROBOT = re.compile(r"^(?:로봇|로봇청소기|차량|본체)[이가은는]?$")
_SUBJECT = re.compile(r".[이가은는]$")
_LINK = re.compile(r"[아어여해혀려져겨와워서]$")
_CALL = re.compile(r"^(?:로봇아|로봇|로봇님|야|친구야|자|네|예|응|지금|당장|빨리|please)$")
_SOME = r"some(?:distance|duration)\d+"
_LATER = re.compile(
    rf"(?:전방\s*)?{_SOME}\s*(?:앞|전방|지점)에?서(?=\s|$)(?:\s*도착해서)?|"
    rf"{_SOME}\s*(?:정도\s*)?(?:뒤|후|이후|있다가|지나서|전)(?:에서|에)?(?=\s|$)(?!\s*(?:있|없|보|놓))|"
    r"(?<=[을를])\s*(?:지나서|지나고|지나|통과해서|통과하고|지난\s?(?:뒤|후|다음)에?)(?=\s)|"
    rf"전방\s*{_SOME}\s*(?:에서|에)?|{_SOME}\s*에서|"
    r"(?:잠시|조금|잠깐|얼마|한참|좀)\s*(?:만\s*)?(?:후에|후|뒤에|뒤|있다가|있다|이따가|이따)(?:는)?(?=[\s,.]|$)|"
    r"(?:정오|자정|아침|점심|저녁|오전|오후|밤|새벽|\d{1,2}시|[한두세네]\s?시|열\S?\s?시)(?:\s?\d{1,2}분|\s?반)?에(?=\s)|"
    r"이따가?|나중(?:에|에는|엔)?(?=[\s,.]|$)|(?<!\S)곧(?=\s)|(?<!\S)(?:내일|모레|다음번에?|다음에는?|다음엔|언젠가|조만간)(?=[\s,]|$)|"
    r"(?:다음|첫\s?번째|두\s?번째|세\s?번째|첫|마지막|저)\s*[가-힣]{1,6}(?:에서|에\s*도착해서|쯤에서)(?=\s)|"
    r"(?:교차로|사거리|삼거리|갈림길|모퉁이|코너|신호등|복도\s*끝|문\s*앞|길\s*끝|끝)에서(?=\s)"
)


def with_later(plain: str) -> str:
    """Return the text with the word LATER for what speaks of another time or place: "잠시 후"."""
    return _LATER.sub(f" {LATER} ", plain)


def not_an_order(tokens: list[str], at: int, stop: bool) -> str:
    """Return why the verb at an index is not an order, by its ending; empty if it may be one.

    A `stop` that is meant, wished or allowed is an order all the same.
    """
    word = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if word.endswith("면") and re.match(r"안$|돼|되|됩|된", after):
        return ""
    if stop:
        return _REPORTS[1] if after and _REPORTS[0].search(word) else ""
    if word.endswith("도록") and not re.match(r"하|해|합|부탁", after):
        return "says what for, not what to do"
    if word.endswith("고") and after.startswith("있") and any(map(_ROBOT.match, tokens[:at])):
        return "says what happens, not what to do"  # "돌고 있습니다" alone is an answer
    if word.endswith("고") and after.startswith("싶"):
        return "a wish"
    if word.endswith("기에") or (word.endswith("기") and re.match(r"전에|힘들|어렵|쉽|때문|위해", after)):
        return "talks about an action"
    if word.endswith("야") and re.match(
        r"(?:하|되|할|될|했|됐|하였)(?:는데|지만|지|나|는지|었|$)|했|됐", after
    ):
        return "says what would have been" if after else ""
    return next((why for pattern, why in _MENTION_ENDS if pattern.search(word)), "")


def closes(tokens: list[str], at: int, verb: bool) -> bool:
    """Return whether the word ends a clause that gives a reason for the order after it."""
    word = tokens[at]
    if _CLOSES.search(word) or _STATE.match(word):
        return True
    return not verb and at > 0 and bool(_SUBJECT.search(tokens[at - 1])) and bool(_LINK.search(word))


def gives_reason(word: str) -> bool:
    """Return whether the word ends a reason: a condition before it is part of the reason."""
    return _CLOSES.search(word) is not None


def is_finite(word: str) -> bool:
    """Return whether the verb's ending closes a sentence, with or without a full stop."""
    return _FINITE.search(word) is not None


def goes_on(tokens: list[str], at: int) -> bool:
    """Return whether a verb is only the start of what is said, by the words from `at`, which follow it."""
    if is_finite(tokens[at - 1]):
        return False
    if tokens[at - 1].endswith("기로") and len(tokens) == at + 1 and _DECIDED.match(tokens[at]):
        return False
    return not all(
        word in words.ADVERBS or side_of(word) is not None or _HELPER.match(word) or _CALL.match(word)
        for word in tokens[at:]
    )
