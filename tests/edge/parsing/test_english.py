"""English sentences as people and models write them, and the actions that they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.parsing import parse_action
from edge.records import ActionType
from tests.edge.parsing.groups import each, sentences, signs
from tests.edge.parsing.timing import thread_seconds

# What each group must come to: type, then the signs of linear_x, linear_y and angular_z.
MOTION = {
    "move +00": """
        move forward|go|go straight|proceed|keep going|advance|continue|walk|go ahead|let's go
        drive straight ahead
        no obstacles ahead, proceed|don't stop, keep moving forward|go forward without stopping|go right ahead
        rather than stopping, keep going|nothing is in the way, move ahead|move forward 2 meters
        moving forward
        The path ahead is clear. Move forward.|right, let's move forward|that's right, go forward
        go forward fast
        I am moving forward|it is safe to move forward|move forward until you see the cup|start moving
        go slowly
        go straight and then turn left|first go forward, then turn right|to reach the cup, move forward
        the cup you left is on the table, go forward|In order to grab the cup, move forward.
        carefully move forward
        without turning, go forward|I will move forward slowly to approach the cup.
        don't just stand there, go forward
        do not hesitate to move forward|move forward while avoiding obstacles|go forward, but not too fast
        Next step: move forward|could you move forward a bit?|Would you please go forward?
        no need to stop, go on
    """,
    "move -00": """
        move backward|go back|back up|step back|reverse|retreat slowly|back away from the wall
        take two steps back
        move backwards slowly|back off
    """,
    "move 0+0": """
        move left|go to the left|step to the left|strafe left|Move LEFT!|go left, not right|shift leftwards
    """,
    "move 0-0": """
        move right|move to the right|go right|slide to your right|go right, not left|move rightward
        Because it's blocked on the left, go right.
    """,
    "move ++0": "move forward and to the left|move diagonally forward left",
    "move +0+": "move forward and turn left|go forward while turning left",
    "turn 00+": """
        turn left|please kindly turn to the left|rotate left by 30 degrees|turn left right away|turn around
        spin around
        make a left turn|take a left|turn counterclockwise|do a u-turn|veer left slightly|can you turn left?
        The robot should turn left to avoid the obstacle on the right|turn left to avoid the obstacle
        quickly turn left
        don't stop turning left|there is an obstacle on the right, so turn left
        instead of turning right, turn left
        The robot turns left|I would turn left|Action: turn left|The best action is to turn left.
        turn left slowly
        avoid turning right, turn left|The way is blocked, turn left.|turn left. then go forward.
        I said turn left
        I could not find the cup, so I will turn left|The cup is not visible. Rotate left to search.
        no, turn left
        turn left then turn right|turn left, not right|turn the robot left|turn left at the right door
        all right, turn left|Why don't you turn left?
    """,
    "turn 00-": """
        turn right|do not turn left, turn right|don't turn left but right|turn clockwise|make a right turn
        turn right instead of left|rotate 90 degrees to the right|turn not left but right|turn right now
        the robot should not turn left but turn right|turn right at the left door|hang a right
    """,
    "avoid 00+": """
        avoid the obstacle on the right|avoid the red chair on your right
        steer clear of the table on the right
        stay away from the wall on the right|avoid the obstacle by turning left|dodge to the left
        avoid the obstacle
        go around the table on the right|don't hit the wall on the right|dodge left
        there's a wall on the right, avoid it
    """,
    "avoid 00-": """
        avoid the obstacle on the left|avoid the left wall|There is a wall on the left. Avoid it.
        avoid the chair, turn right|evade to the right
    """,
    "navigate +00": """
        go to the cup|approach the red cup slowly|drive towards the red ball|come here|follow the person
        come to me
        get closer to the cup|walk up to the person|go to the stop sign|proceed to the kitchen
        go through the door
    """,
    "look 00+": "look left|find the red cup|look for a cup|search for the cup",
    "look 00-": "look to the right",
}
STILL = {
    "stop": """
        stop|Stop!|STOP STOP STOP|stop, do not move forward|halt|freeze|wait|hold on|stand still
        stay where you are
        hold your position|stand by|pause for a moment|come to a full stop|emergency stop|e-stop|that's enough
        don't move|do not move|Please do NOT move!|Don\u2019t go|never go backward|no need to move
        do nothing|don't
        stop moving forward|stop turning left and go forward|turn left and stop|stop if you see a person
        go and stop
        do not forget to stop|it is not safe to move forward|you can't turn left here
        I'm not going to move forward
        The robot should not move forward because there is an obstacle.|avoid turning right|no left turn
        wait, go on
        do not, under any circumstances, go forward|don't move until I say go|stop right there|stay|hang on
        don't turn
        there is no need to turn left|do not turn left or right|neither turn nor move|I said stop!
        stop or turn left
        The robot should stop because there is a person.|we need to stop|make sure to stop before the wall
        let's stop
    """,
    "grab": """
        grab|take it|go and grab it|go grab the cup|fetch the ball|close the gripper|lift the box
        hold the red cup
    """,
    "release": """
        let go|let it go|release|drop the ball|put the cup down|open the gripper|let go of it|set down the box
    """,
    "look": "look at the cup|face the door|watch the person|look at the cup on the left|inspect the box",
    "point": "point at the door|point to the red ball",
    "unknown": """
        do not stop|never stop|don't stop|it is not necessary to stop|don't grab the cup|do not let go
        I cannot find a cup|I don't see any cup|there is no cup|the cup is not visible
        unable to locate the cup
        nothing found|there is no cup to grab|I see a cup on the left|I found the cup
        the cup on the right is red
        leftover bright|upright|the person left the room|I left the cup on the right|there is one cup left
        bright light
        the cup is moving left|the car turns right|A person is walking forward.|the object moved left|left
        right
        the bus stop is on the left|press the stop button|The sign says STOP|The sign says go left
        he said to turn left
        the path is not clear|The way is blocked.|turn off the light|start the engine|yes|no|ok|hello
        thank you|cup
        what should I do?|where is the cup?|left or right?|left overs on the right|obstacle on the right
        slow down
        the image shows a cup to the left of a bottle|you're right|right!|he has left
        the right answer is stop-motion
        under no circumstances move forward|open the door|push the box forward|forward|gauche|pare|停止
    """,
}
UNSURE = """
    maybe turn left|not sure, go forward|I think you should go left|you might want to turn left
    perhaps move forward
    either turn left or right|turn left and right|turn left or right|go forward and backward
    move left and move right
    if you see a cup, turn left|turn left if the path is clear|turn left unless blocked
    go forward if it is safe
    once you see the door, turn left|when the light is green, go|should I turn left?|is it safe to go forward?
    move forward?|turn|go crazy|go home|go up|turn towards the cup|move the cup to the left
    turn your camera left
    run the program|walk the dog|move your arm left|the path is not clear, move forward
    turn left, don't turn left
    I don't know whether to turn left|I'm unsure, but turn left|go left or right|move right now|go away
"""
TARGETS = {
    "grab the red ball": "red ball",
    "pick up the blue bottle": "blue bottle",
    "pick the red ball up": "red ball",
    "could you please bring me the green box?": "green box",
    "take the bottle to the left of the cup": "bottle",
    "grab the cup on the right": "cup",
    "grab the right bottle": "right bottle",
    "grab it": "",
    "go to the cup on the left": "cup",
    "avoid the red chair on your left": "red chair",
    "let go of the cup": "cup",
    "let the ball go": "ball",
    "place the cup on the table": "cup",
    "look at the cup of coffee": "cup of coffee",
    "follow the tall person slowly": "tall person",
    "go to the stop sign": "stop sign",
    "I will move forward slowly to approach the cup.": "cup",
    "turn left": "",
    "Turn left in order to avoid the chair.": "chair",
    "follow the person for ten minutes": "person",
}


@pytest.mark.parametrize(("sentence", "expected"), each(MOTION))
def test_orders_move_the_way_a_person_means(sentence: str, expected: str) -> None:
    action = parse_action(sentence)
    assert f"{action.type.value} {signs(action)}" == expected
    assert action.confidence >= 0.3
    assert action.text == sentence


@pytest.mark.parametrize(("sentence", "expected"), each(STILL))
def test_what_asks_for_no_motion_gets_none(sentence: str, expected: str) -> None:
    action = parse_action(sentence)
    assert f"{action.type.value} {signs(action)}" == f"{expected} 000"
    assert (action.confidence >= 0.3) == (expected != "unknown")


@pytest.mark.parametrize("sentence", sentences(UNSURE))
def test_hedges_conditions_questions_and_contradictions_fail_the_check(sentence: str) -> None:
    action = parse_action(sentence)
    assert action.confidence < 0.3
    assert signs(action) == "000"
    assert action.reason


@pytest.mark.parametrize(("sentence", "target"), TARGETS.items())
def test_target_is_the_noun_phrase(sentence: str, target: str) -> None:
    assert parse_action(sentence).target == target


def test_conflict_stops_with_low_confidence() -> None:
    action = parse_action("turn left and right")
    assert (action.type, action.confidence) == (ActionType.STOP, 0.1)


@pytest.mark.parametrize(
    ("sentence", "speed"),
    [
        ("move forward", 0.3),
        ("move forward slowly", 0.15),
        ("carefully move forward", 0.09),
        ("move forward fast", 0.45),
        ("go to the cup", 0.2),
        ("go to the cup quickly", 0.3),
        ("slowly and carefully go forward", 0.09),
        ("move forward but not too fast", 0.15),
    ],
)
def test_adverbs_scale_the_default_speeds(sentence: str, speed: float) -> None:
    assert parse_action(sentence).linear_x_m_s == pytest.approx(speed)


def test_turns_are_half_a_radian_per_second() -> None:
    assert parse_action("turn left").angular_z_rad_s == 0.5
    assert parse_action("turn right fast").angular_z_rad_s == -0.75


@pytest.mark.parametrize(
    ("text", "kind", "speed"),
    [
        ('{"action": "move", "linear_x": 0.2}', ActionType.MOVE, 0.2),
        ('{"type": "move", "linear_x": -0.2, "confidence": 0.9}', ActionType.MOVE, -0.2),
        ('{"action": "move", "linear_x": 9}', ActionType.MOVE, 0.5),
        ('```json\n{"action": "move forward"}\n```', ActionType.MOVE, 0.3),
        ('{"action": "move", "linear_x": 0.2, "confidence": 0.1}', ActionType.MOVE, 0.0),
        ('{"action": "stop", "linear_x": 0.2}', ActionType.STOP, 0.0),
        ('{"action": "move", "linear_x": NaN}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": Infinity}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": 1e999}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": 1_0}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": \u0661}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": "0.2"}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": true}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": ' + "9" * 4000 + "}", ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "linear_x": 0.2, "speed": 3}', ActionType.UNKNOWN, 0.0),
        ('{"action": "move", "action": "stop"}', ActionType.UNKNOWN, 0.0),
        ('{"action": "fly", "linear_x": 0.2}', ActionType.UNKNOWN, 0.0),
        ('{"action": ["move"]}', ActionType.UNKNOWN, 0.0),
        ("[" * 4000, ActionType.UNKNOWN, 0.0),
        ('{"a":' * 700, ActionType.UNKNOWN, 0.0),
        ("[1, 2]", ActionType.UNKNOWN, 0.0),
    ],
)
def test_json_actions_are_read_strictly(text: str, kind: ActionType, speed: float) -> None:
    action = parse_action(text)
    assert (action.type, action.linear_x_m_s) == (kind, speed)


WORDS = st.sampled_from(
    "stop go turn left right forward back not don't never maybe the cup and or then , . ? if avoid grab to"
    " it you robot without until is slowly \u2019 \ud800 \x00 { [ <loc0001> 왼쪽으로 가 멈춰 지 마 안 말고"
    " 돌아 컵을 잡아 면 때까지".split(" ")
)


@given(st.one_of(st.text(), st.binary(max_size=5000), st.lists(WORDS, max_size=60).map(" ".join)))
def test_no_text_raises_and_no_limit_is_passed(text: str | bytes) -> None:
    action = parse_action(text)
    assert abs(action.linear_x_m_s) <= 0.5
    assert abs(action.linear_y_m_s) <= 0.5
    assert abs(action.angular_z_rad_s) <= 1.0
    assert 0 <= action.confidence <= 1
    assert action.reason
    if action.confidence < 0.3 or action.type in (ActionType.STOP, ActionType.UNKNOWN):
        assert signs(action) == "000"


@given(st.lists(WORDS, max_size=20).map(" ".join))
def test_a_stop_of_its_own_always_wins(text: str) -> None:
    for said in (f"stop. {text}", f"{text}. stop."):
        assert parse_action(said).linear_x_m_s == 0


@pytest.mark.parametrize(
    "piece", ["turn left ", "not ", "왼쪽 ", "가지 ", "; ", "\n", "(", "let the ", "안 ", "to go ", "{"]
)
def test_time_does_not_grow_with_what_is_repeated(piece: str) -> None:
    text = (piece * 4096).encode()[:4090].decode("utf-8", "ignore")
    assert thread_seconds(lambda: parse_action(text)) < 0.2


def test_text_over_four_kib_is_not_read() -> None:
    action = parse_action("turn left " * 500)
    assert (action.type, action.confidence) == (ActionType.UNKNOWN, 0.0)
    assert "4096" in action.reason
