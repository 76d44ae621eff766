"""The kinds of things and the colours that the default model and the simulator know, in English and Korean.

The default model's tokenizer numbers its words in this order: a change here makes its weights useless.
"""

KINDS = ("cup", "bottle", "box", "ball", "chair", "book", "plant", "backpack")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
KOREAN = {
    "cup": "컵",
    "bottle": "병",
    "box": "상자",
    "ball": "공",
    "chair": "의자",
    "book": "책",
    "plant": "화분",
    "backpack": "배낭",
    "red": "빨간",
    "orange": "주황",
    "yellow": "노란",
    "green": "초록",
    "blue": "파란",
    "purple": "보라",
    "white": "흰",
    "black": "검은",
}
# Other forms of the Korean colours, which people write as well.
KOREAN_COLOURS = {
    "빨강": "빨간",
    "붉은": "빨간",
    "노랑": "노란",
    "녹": "초록",
    "파랑": "파란",
    "푸른": "파란",
    "하얀": "흰",
    "하양": "흰",
    "검정": "검은",
    "까만": "검은",
}
