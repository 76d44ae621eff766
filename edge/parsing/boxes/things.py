"""Names of one thing or colour, in English and Korean, for comparing a label with what was asked for."""

_COLOURS = (
    "red 빨간 빨강 붉은 적색",
    "orange 주황 주황색 오렌지색",
    "yellow 노란 노랑 황색",
    "green 초록 녹색 연두",
    "blue 파란 파랑 푸른 청색",
    "purple violet 보라 자주",
    "white 흰 하얀 하양 백색",
    "black 검은 검정 까만 흑색",
    "gray grey 회색",
    "brown 갈색",
    "pink 분홍 핑크",
)
# Words of two parts are joined by a hyphen.
_THINGS = (
    "cup mug tumbler coffee-mug coffee-cup 컵 머그 머그컵 머그잔 잔",
    "bottle water-bottle 병 물병",
    "box carton 상자 박스",
    "ball 공",
    "chair 의자",
    "book 책",
    "plant potted-plant house-plant houseplant 화분 식물",
    "backpack rucksack 배낭 백팩",
    "bag 가방",
    "suitcase 여행가방 캐리어",
    "sofa couch settee 소파 쇼파",
    "tv television tv-monitor 텔레비전 티비 tv",
    "table 탁자 테이블 식탁",
    "desk 책상",
    "door 문 출입문",
    "window 창문 창",
    "bed 침대",
    "lamp 램프 전등 스탠드",
    "shelf 선반",
    "bookshelf bookcase 책장 책꽂이",
    "cupboard cabinet 찬장 수납장",
    "trash-can garbage-can garbage-bin trash-bin waste-bin wastebasket dustbin rubbish-bin 쓰레기통 휴지통",
    "phone cellphone cell-phone mobile-phone smartphone telephone 휴대폰 핸드폰 스마트폰 전화기",
    "laptop notebook-computer laptop-computer 노트북",
    "keyboard 키보드",
    "monitor computer-monitor 모니터",
    "fridge refrigerator 냉장고",
    "oven 오븐",
    "microwave microwave-oven 전자레인지",
    "sink 싱크대",
    "toilet 변기",
    "stairs staircase stairway 계단",
    "bowl 그릇",
    "plate dish 접시",
    "spoon 숟가락",
    "fork 포크",
    "knife 칼",
    "clock 시계",
    "vase 꽃병",
    "umbrella 우산",
    "shoe 신발",
    "hat 모자",
    "eyeglasses glasses spectacles 안경",
    "toy 장난감",
    "doll 인형",
    "apple 사과",
    "banana 바나나",
    "bicycle bike 자전거",
    "car automobile 자동차",
    "dog puppy 개 강아지",
    "cat kitten 고양이",
    "person human people 사람 인간",
    "man 남자 남성",
    "woman lady 여자 여성",
    "child kid 아이 어린이",
    "boy 소년",
    "girl 소녀",
    "fire-extinguisher 소화기",
    "fire-hydrant 소화전",
    "traffic-light traffic-signal 신호등",
    "stop-sign 정지표지판",
    "parking-meter",
    "teddy-bear 곰인형",
    "hair-dryer hair-drier 드라이기 헤어드라이어",
    "wine-glass wineglass 와인잔",
    "hot-dog 핫도그",
    "baseball-bat",
    "tennis-racket 테니스라켓",
    "remote remote-control 리모컨",
    "charging-station charger charging-dock 충전기 충전소",
)
_PLURALS = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "knives": "knife", "shelves": "shelf", "bookshelves": "bookshelf", "leaves": "leaf", "feet": "foot",
    "geese": "goose", "stairs": "stairs", "scissors": "scissors",
}  # fmt: skip
# A label may name a kind of what was asked for: a woman is a person, and a person may not be a woman.
_KINDS = {
    "man": "person", "woman": "person", "child": "person", "boy": "person", "girl": "person",
    "baby": "person", "backpack": "bag", "handbag": "bag", "책가방": "bag", "손가방": "bag",
    "teacup": "cup", "찻잔": "cup", "커피잔": "cup", "물컵": "cup", "유리컵": "cup", "종이컵": "cup",
    "armchair": "chair", "basketball": "ball", "football": "ball", "volleyball": "ball",
    "농구공": "ball", "축구공": "ball", "야구공": "ball", "탁구공": "ball", "테니스공": "ball",
}  # fmt: skip

COLOURS = {name: group.split()[0] for group in _COLOURS for name in group.split()}
_NAMES = {name.replace("-", " "): group.split()[0] for group in _THINGS for name in group.split()}
KOREAN_COLOURS = tuple(sorted((name for name in COLOURS if not name.isascii()), key=len, reverse=True))
# Nouns that compounds end with, longest first: not those of one syllable, nor 사람, as in 눈사람, a snowman.
KOREAN_NOUNS = tuple(
    sorted(
        (name for name in _NAMES if not name.isascii() and len(name) > 1 and name != "사람"),
        key=len,
        reverse=True,
    )
)


def thing(name: str) -> str:
    """Return the one name of a thing, in the singular; names that are not known stay as they are."""
    singular = _singular(name)
    return _NAMES.get(name) or _NAMES.get(singular) or singular


def known(name: str) -> bool:
    """Return whether the tables have this name of a thing, or its singular."""
    return name in _NAMES or _singular(name) in _NAMES


def is_kind_of(one: str, other: str) -> bool:
    """Return whether each thing of the first name is one of the second, both as `thing` returns them."""
    return one == other or _KINDS.get(one) == other


def _singular(name: str) -> str:
    """Return the singular of the last word of a plural, as well as its end tells."""
    if not name.isascii():
        return name.removesuffix("들")
    *before, last = name.split() or [""]
    if last in _PLURALS:
        single = _PLURALS[last]
    elif last.endswith(("ches", "shes", "xes", "sses")):
        single = last[:-2]
    elif last.endswith("ies") and len(last) > 4:
        single = last[:-3] + "y"
    elif last.endswith("s") and not last.endswith(("ss", "us", "is")):
        single = last[:-1]
    else:
        single = last
    return " ".join([*before, single])
