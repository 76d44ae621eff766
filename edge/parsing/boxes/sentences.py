"""What the words before a box say that it is of: "The cup is at […].", "컵의 위치는 […]입니다."."""

import re

from edge.parsing.boxes.labels import Agreement, agreement
from edge.parsing.boxes.raw import clean_label

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+|;")

# What a sentence may begin with ahead of the name; first comes the end of a Korean one about another box.
_BEGINS = re.compile(
    r"[\s,.:)\]}\-*•]*(?:에\s?(?:있습니다|있어요|있고|있다)|입니다|이에요|예요|이고)?[\s,.:)\]\-*•]*"
    r"(?:(?:in|from|based on|according to) (?:the|this) (?:image|picture|photo),?\s+)?"
    r"(?:(?:이미지|사진|그림)\s?(?:에서|에는|속의|속)?\s+)?"
    r"(?:(?:and|yes|sure|ok|okay|그리고|네|과|와)\b[\s,:]*)*"
    r"(?:(?:there|here|it|this) (?:is|are)\s+|i (?:can )?(?:see|found)\s+|found\s+)?"
    r"(?:(?:the |its )?(?:bounding )?(?:box|coordinates?|location|position)(?: coordinates)? (?:of|for)\s+)?"
    r"(?:(?:the|an|a)\s+)?",
    re.IGNORECASE,
)
# What may stand between the name and the box.
_ENDS = re.compile(
    r"(?:\s+(?:is|are|can be))?(?:\s+(?:located|found|visible|seen|positioned|shown))?"
    r"(?:\s+(?:in|on|at|to|near) the (?:(?:far|very|upper|lower|left|right|top|bottom|cent(?:er|re)|middle"
    r"|foreground|background|front|back|side|corner|part|half|edge)[ -]?){1,3}"
    r"(?:of the (?:image|picture|photo|frame|scene))?,?)?"
    r"(?:\s+(?:approximately|roughly|about))?(?:\s*\b(?:at|in|within|inside))?"
    r"(?:\s+(?:the |its )?(?:bounding )?(?:box|coordinates?|location|position|region|area)(?: of)?)?"
    r"\s*[:=\-]?\s*$",
    re.IGNORECASE,
)
_KOREAN_ENDS = re.compile(
    r"(?:의\s?(?:위치|좌표|경계 상자|바운딩 박스)(?:는|은)?"
    r"|[은는](?:\s(?:왼쪽|오른쪽|가운데|중앙|위쪽|아래쪽)[^\s,]*,?)?"
    r"|[은는]\s[가-힣\s]{1,20}\s있으며,?\s(?:좌표|위치)는"
    r"|[을를]\s찾았습니다|\s(?:있습니다|있어요|보입니다|보여요)|[이가]\s있는\s곳은)\s*[:=\-]?\s*$"
)
_SUBJECT = re.compile(r"(?:이|가)$")
# Words that lead to a box without saying what it is of.
_ONLY_LEADS = re.compile(
    r"(?:the )?(?:answer|output|result|bbox|bounding box|location|position"
    r"|(?:bounding box )?coordinates?(?: of the region(?: (?:that )?this sentence describes)?)?"
    r"|정답|답|결과|위치|좌표|경계 상자|바운딩 박스)(?: is| are|는|은)?\s*[:=\-]?",
    re.IGNORECASE,
)
_INTERJECTION = re.compile(
    r"(?:(?:sure|yes|ok|okay|certainly|of course|here you go|here it is|(?:i )?found it|got it"
    r"|네|예|물론입니다|알겠습니다|좋아요|찾았습니다|여기 있습니다)[\s,.!:]*)*",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"[ .`)\]]*(?:(?:에\s?(?:있습니다|있어요)|입니다|이에요|예요)[\s.`]*)?"
    r"(?:\Z|[,;\n]|(?:and|그리고|과|와)\b)"
)


def name_before(words: str, target: str) -> str:
    """Return what the words before a box say that it is of; empty if they only lead to it."""
    *earlier, sentence = SENTENCE_END.split(words.strip(" \n"))
    sentence = sentence.strip(" [\n")
    name = sentence
    for pattern in (_BEGINS, _KOREAN_ENDS, _ENDS):
        name = pattern.sub("", name, count=1)
    name = name.strip(" .,:!")
    if _ONLY_LEADS.fullmatch(sentence) or not name:
        # "There is a chair. It is at […]": what was spoken of before has the box.
        told = [part.strip() for part in earlier if not _INTERJECTION.fullmatch(part.strip())]
        if not told or (target and target.casefold() in " ".join(told).casefold()):
            return ""
        name = told[-1]
    subject = _SUBJECT.sub("", name)  # "고양이" has the particle's sound without having the particle
    if subject != name and target and agreement(subject, target) is not Agreement.NONE:
        name = subject
    return clean_label(name)


def ends_or_goes_on(text: str, at: int) -> bool:
    """Return whether the text ends there, or goes on with the next box, without a word about the last one."""
    return _GOES_ON.match(text, at) is not None
