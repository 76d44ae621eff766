"""What models and people say, and what a robot does at it: only what is surely an order, now, moves it.

`orders.tsv` was labelled before any parser read it: what the text asks for, how fast, how far, by how much.
"""

import csv
import math
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.parsing import parse_action
from edge.records import ActionType, ParsedAction
from tests.edge.parsing.groups import signs
from tests.edge.parsing.timing import thread_seconds

SET = Path(__file__).with_name("orders.tsv")
MIN_SHARE = 0.99
SIGNS = {
    "forward": "+00",
    "back": "-00",
    "left": "0+0",
    "right": "0-0",
    "turn_left": "00+",
    "turn_right": "00-",
    "forward_left": "+0+",  # in a curve
}
FULL = {ActionType.MOVE: 0.3, ActionType.NAVIGATE: 0.2, ActionType.TURN: 0.5}  # speeds without an adverb
# Answers that once moved a robot, or did not stop it, and what is right.
ANSWERS = {
    "none": """
        Moving forward would cause a collision.|Driving ahead is too risky.|Turning right is blocked.
        I would drive ahead, but a kid stands there.|I could turn left, but I see a dog there.
        왼쪽으로 가고 싶지만 문이 잠겼어요.|앞으로 가려고 했는데 상자가 있네요.
        In 40 meters, turn left.|30미터 앞에서 오른쪽으로 도세요.|잠시 후 왼쪽으로 도세요.
        Found it! [{"bbox_2d": [300, 200, 420, 640], "label": "reverse gear lever"}]
        [{"bbox_2d": [150, 80, 190, 140], "label": "red door"}]
        I saw these: [turn left, go forward].|The robot can move forward.|I want to turn right.
        I would go forward. But the gate is closed.|Turn left 50 meters ahead.|"Turn left," he said.
        Move rounding to the model.|To install it, simply run|Let me go through the options.
        Going back and forth helps.|It can be reached by turning left.|Say "go" and I will drive forward.
        이런 로봇은 보통 앞으로 갑니다.|답을 고르세요: [전진, 후진]|전방 50미터에서 좌회전입니다.
    """,
    "stop": """
        장애물이 있으므로 정지합니다.|앞에 사람이 있어 멈춥니다.|I think you should stop.
        Go forward. {"a": 1. Stop.|답은 정지입니다.
    """,
    "forward": """
        Stop turning left and drive straight instead.|go forward 2 m and turn left|그만 돌고 앞으로 가
        The object might be a mug. Move forward.|왼쪽은 막혔으니 직진하세요.
    """,
    "turn_right": "Should I go forward? No. Turn right.|The sign says so; therefore turn right.",
    "turn_left": "Not forward - turn left.|<think>Go back.</think><answer>turn left</answer>",
    "forward fast": "빨리 앞으로",
    "forward 2m": "2미터 앞으로 가|앞으로 2미터",
    "back": "직진하면 부딪히니까 뒤로 조금 물러나.|앞으로 가는 대신 뒤로 물러나세요.",
}


def answers() -> list[tuple[str, str]]:
    return [
        (text.strip(), right)
        for right, texts in ANSWERS.items()
        for line in texts.splitlines()
        for text in line.split("|")
        if text.strip()
    ]


def labelled() -> list[dict[str, str]]:
    with SET.open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE))


def is_right(right: str, action: ParsedAction) -> bool:
    """Return whether an action is what a label says, such as "forward slow" and "turn_left 30deg"."""
    what, *details = right.split()
    if what == "none":
        quiet = action.confidence < 0.3 or action.type in (ActionType.STOP, ActionType.UNKNOWN)
        return signs(action) == "000" and quiet
    if action.confidence < 0.3:
        return False
    if what not in SIGNS:
        return action.type.value == what and signs(action) == "000"
    return signs(action) == SIGNS[what] and all(has(detail, action) for detail in details)


def has(detail: str, action: ParsedAction) -> bool:
    speed = max(abs(action.linear_x_m_s), abs(action.linear_y_m_s), abs(action.angular_z_rad_s))
    full = FULL.get(action.type, 0.0)
    if detail in ("slow", "fast"):
        return speed < full - 0.01 if detail == "slow" else speed > full + 0.01
    if detail.endswith("deg"):
        angle = action.angle_rad
        return angle is not None and math.isclose(math.degrees(angle), float(detail[:-3]), abs_tol=0.01)
    distance = action.distance_m
    return distance is not None and math.isclose(distance, float(detail.removesuffix("m")), abs_tol=0.001)


@pytest.mark.parametrize(("text", "right"), answers())
def test_what_models_said_does_what_it_means(text: str, right: str) -> None:
    assert is_right(right, parse_action(text))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_nearly_all_labelled_sentences_are_right_and_none_moves_the_wrong_way(language: str) -> None:
    rows = [row for row in labelled() if row["language"] == language]
    read = [(row, parse_action(row["text"].replace("\\n", "\n"))) for row in rows]
    # A motion where none is right, or another one than is right.
    moved = [
        row["text"]
        for row, action in read
        if signs(action) not in ("000", SIGNS.get(row["right"].split()[0], "000"))
    ]
    wrong = [row["text"] for row, action in read if not is_right(row["right"], action)]
    assert sum(row["right"] != "none" for row in rows) >= 0.4 * len(rows) >= 68
    assert moved == []
    assert len(wrong) <= (1 - MIN_SHARE) * len(rows), wrong


@pytest.mark.parametrize(
    ("text", "distance_m", "angle_rad", "duration_s"),
    [
        ("move forward 1.5 m", 1.5, None, None),
        ("go half a metre ahead", 0.5, None, None),
        ("move forward, 2 m", 2, None, None),
        ("turn left by pi/2", None, math.pi / 2, None),
        ("turn right 2pi", None, 2 * math.pi, None),
        ("이 미터 앞으로 가", 2, None, None),
        ("go forward for three seconds", None, None, 3),
        ("turn left by forty-five degrees", None, math.pi / 4, None),
        ("move 30 degrees to the left", None, math.pi / 6, None),
        ("move forward at 2 m/s", None, None, None),
        ("The cup is 2 meters away. Go forward.", None, None, None),
        ("go forward 2 m and turn left 30 degrees", 2, None, None),
        ("move forward .5 m", None, None, None),
        ("앞으로 .5미터 가", None, None, None),
        ("앞으로 백이십 센티 가", 1.2, None, None),
        ("왼쪽으로 반 바퀴 돌아", None, math.pi, None),
        ("3초 동안 앞으로 가", None, None, 3),
        ("컵이 2미터 앞에 있으니 앞으로 가", None, None, None),
        ("이 분을 따라가", None, None, None),
        ('{"action": "go forward 2 m"}', 2, None, None),
    ],
)
def test_amounts_are_those_of_the_order(
    text: str, distance_m: float | None, angle_rad: float | None, duration_s: float | None
) -> None:
    action = parse_action(text)
    found = (action.distance_m, action.angle_rad, action.duration_s)
    assert action.confidence >= 0.3
    assert found == pytest.approx((distance_m, angle_rad, duration_s))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("go forward -1 m", "zero, below it, or not clear"),
        ("go forward -1e999 m", "zero, below it, or not clear"),
        ("turn left by -2e1 degrees", "zero, below it, or not clear"),
        ("go forward 1e9999 m", "zero, below it, or not clear"),
        ("앞으로 0미터 가", "zero, below it, or not clear"),
        ("Move forward 1000 km", "1e+06 m are too much for one motion (limit 100 m)"),
        ("오른쪽으로 500도 도세요.", "500 degrees are too much for one motion (limit 360 degrees)"),
        ("Drive forward for 2 hours.", "7200 s are too much for one motion (limit 3600 s)"),
        ("The robot is moving forward.", "says what happens, not what to do"),
        ("로봇이 앞으로 가고 있습니다.", "says what happens, not what to do"),
        ("Either turn left or move forward.", "offers a choice"),
        ("앞으로 가야 하나요?", "a question"),
        ("왼쪽으로 돌아야 합니까?", "a question"),
        ("If you move forward, you will hit the chair.", "only under a condition"),
    ],
)
def test_the_reason_for_no_motion_is_that_of_the_text(text: str, reason: str) -> None:
    action = parse_action(text)
    assert reason in action.reason
    assert (signs(action), action.confidence < 0.3) == ("000", True)


_SIGNED = st.tuples(
    st.sampled_from(["-", "\u2212", "minus ", "negative ", "마이너스 "]), st.integers(1, 999999)
)
_ORDER_BY = [
    "move forward {} m",
    "turn left by {} degrees",
    "back up for {} s",
    "앞으로 {}미터 가",
    "왼쪽으로 {}도 돌아",
]


@given(st.sampled_from(_ORDER_BY), _SIGNED)
def test_no_amount_below_zero_moves_and_the_same_above_it_does_within_its_limit(
    order: str, signed: tuple[str, int]
) -> None:
    sign, count = signed
    assert signs(parse_action(order.format(f"{sign}{count}"))) == "000"
    limit = 360 if "degrees" in order or "도" in order else 3600 if " s" in order else 100
    assert (signs(parse_action(order.format(count))) != "000") == (count <= limit)


@pytest.mark.parametrize(
    ("text", "target"), [('go to the "red cup"', "red cup"), ("'빨간 컵'으로 가", "빨간 컵")]
)
def test_a_quotation_may_be_a_target(text: str, target: str) -> None:
    assert parse_action(text).target == target


ORDERS = st.sampled_from(
    ["turn left", "go forward", "back up", "move right", "앞으로 가", "왼쪽으로 돌아", "후진해"]
)
FRAMES = st.sampled_from(
    [
        'The sign says "{}".',
        "```\n{}\n```",
        "<think>{}</think>",
        '{{"label": "{}"}}',
        'Found it: [{{"bbox_2d": [1, 2, 3, 4], "label": "{}"}}]',
        "| step | {} |",
        "> {}",
        "Label: {}",
        "<button>{}</button>",
        "Options:\n- {}\n- wait here",
        '화면에 "{}"라고 적혀 있습니다.',
        "표지판: {}",
    ]
)


@given(ORDERS, FRAMES)
def test_an_order_inside_of_data_moves_nothing(order: str, frame: str) -> None:
    assert signs(parse_action(order)) != "000"
    assert signs(parse_action(frame.format(order))) == "000"


@given(ORDERS, FRAMES)
def test_an_order_after_data_is_read(order: str, frame: str) -> None:
    data = frame.format("cup")
    assume(not data.startswith("{"))  # what starts as JSON is JSON as a whole, or is refused
    assert signs(parse_action(f"{data}\n\nAnswer: {order}")) == signs(parse_action(order))


@pytest.mark.parametrize(
    "piece",
    "\"|'a |<a>|a.|[|`|<think>|options:\n|label:|a(|a.b|half a |2 m |in a |but |moving |stop going and |"
    "잠시 후 |가면 |-1 m |1,|1e|2pi |about - |either |으니 |2미터 |다음 문|「".split("|"),
)
def test_time_does_not_grow_with_data_and_amounts(piece: str) -> None:
    text = (piece * 4096).encode()[:4090].decode("utf-8", "ignore")
    assert thread_seconds(lambda: parse_action(text)) < 0.2
