"""Korean sentences: stems in all their forms, verbs at the end, negation behind the verb."""

import unicodedata

import pytest

from edge.parsing import parse_action
from edge.records import ActionType
from tests.edge.parsing.groups import each, sentences, signs

# What each group must come to: type, then the signs of linear_x, linear_y and angular_z.
MOTION = {
    "move +00": """
        앞으로 가|앞으로 가세요|앞으로 가 주세요|앞으로 가줘|앞으로 가라|앞으로 갑니다|앞으로 갑시다
        가 앞으로|계속 가|출발
        전진|전진해|전진하세요|전진합니다|직진하십시오|똑바로 가|쭉 가 주세요|계속 가세요|출발해|천천히 전진
        1미터 앞으로 가
        멈추지 말고 앞으로 가세요|멈추지 말고 계속 가|정지하지 말고 전진해|쉬지 말고 가
        회전하지 말고 직진하세요|로봇아 앞으로 가
        앞으로 간 다음 왼쪽으로 돌아|직진 후 좌회전|직진하다가 우회전|먼저 앞으로 간 뒤에 오른쪽으로 도세요
        앞으로 와
        컵이 보일 때까지 앞으로 가|장애물이 없으니 앞으로 가|장애물이 없습니다. 전진하세요
        길이 안전하니 앞으로 가세요
        멈출 필요 없어요. 계속 가세요|로봇이 앞으로 갑니다|조심해서 앞으로 가|빨리 앞으로 가
        앞으로 움직여 주세요|정면으로 가
        앞으로 이동해 줄래?|앞으로 가시면 됩니다|전진을 계속해|이동을 시작해|부딪히지 않게 앞으로 가
        가만히 있지 말고 앞으로 가
        제가 앞으로 가겠습니다|앞으로만 가|앞으로 가야 합니다|앞으로 2미터 이동하세요
    """,
    "move -00": """
        뒤로 가|뒤로 가세요|후진해|후진하세요|뒤로 물러나세요|물러서|천천히 뒤로 가 주세요
        앞이 막혀 있으니 뒤로 가|뒤로 움직여
        뒤로 이동해 주세요|뒤로 빠져
    """,
    "move 0+0": """
        왼쪽으로 가|왼쪽으로 이동하세요|왼쪽으로 움직여|오른쪽으로 가지 말고 왼쪽으로 가|왼쪽으로 가야 해
        좌측으로 이동
        오른쪽 말고 왼쪽으로 가|왼쪽으로 가 주시겠습니까?
    """,
    "move 0-0": """
        오른쪽으로 가|오른쪽으로 이동해 주세요|우측으로 움직이세요|왼쪽 말고 오른쪽으로 가
        오른쪽으로 조금만 가
        왼쪽이 아니라 오른쪽으로 가세요
    """,
    "move +0+": "앞으로 가고 왼쪽으로 돌아",
    "turn 00+": """
        왼쪽으로 돌아|왼쪽으로 도세요|왼쪽으로 천천히 돌아|왼쪽으로 돌아 줘|왼쪽으로 회전
        왼쪽으로 회전해 주세요|좌회전|좌회전하세요
        왼쪽으로 돌려|몸을 왼쪽으로 돌려|왼쪽으로 꺾어|왼쪽으로 틀어|돌아, 왼쪽으로|살짝 왼쪽으로 돌아 줘
        왼쪽으로 90도 돌아
        반시계 방향으로 돌아|뒤로 돌아|유턴해|왼쪽으로 돌아 줄래?|왼쪽으로 돌아서 앞으로 가
        컵이 왼쪽에 있어요. 왼쪽으로 도세요.
        왼쪽으로 회전합니다|왼쪽으로 돌겠습니다|왼쪽으로 돌고 있습니다|좌로 돌아|멈추지 않고 왼쪽으로 돌아
        로봇, 왼쪽으로 돌아|제자리에서 왼쪽으로 돌아|Turn left 해줘|왼쪽을 향해 돌아
    """,
    "turn 00-": """
        오른쪽으로 돌아|오른쪽으로 도세요|우회전|우회전해 주세요|오른쪽으로 돌려|시계 방향으로 돌아
        왼쪽으로 돌지 말고 오른쪽으로 돌아
        왼쪽이 아니라 오른쪽으로 도세요|빠르게 오른쪽으로 회전|핸들을 오른쪽으로 돌려
    """,
    "avoid 00+": """
        오른쪽 장애물을 피해|오른쪽에 있는 장애물을 피하세요|왼쪽으로 피해|의자를 피해서 왼쪽으로 돌아
        장애물을 피해
        장애물이 오른쪽에 있으니 왼쪽으로 피하세요|오른쪽 벽을 피해 주세요|오른쪽에 장애물이 있어요. 피하세요
    """,
    "avoid 00-": "왼쪽 장애물을 피해 가세요|오른쪽으로 피해|왼쪽에 있는 의자를 피해 주세요",
    "avoid 0-0": "장애물을 피해 오른쪽으로 가",
    "navigate +00": """
        컵으로 가|컵 쪽으로 가|문까지 이동해|테이블에 접근해|사람을 따라가|나에게 와|이리 와
        파란 의자를 향해 가|따라와|가까이 와
        빨간색 컵 쪽으로 천천히 이동해 주세요|서 있는 사람에게 가|멈춤 표지판까지 가|cup으로 가
    """,
    "look 00+": "왼쪽을 봐|컵을 찾아|컵을 찾으세요|사람을 찾아 줘",
    "look 00-": "오른쪽을 보세요",
}
STILL = {
    "stop": """
        멈춰|멈춰라|멈추세요|멈춰 주세요|멈추십시오|멈춥니다|정지|정지해|정지하세요|정지하십시오|서|서라
        거기 서|그만|그만해|그만 가
        멈춰, 앞으로 가지 마|앞으로 가지 말고 멈춰|앞으로 가다가 멈춰|컵이 보이면 멈춰|사람이 오면 정지해
        빨리 멈춰|잠깐 멈춰|스톱
        기다려|기다리세요|그대로 있어|가만히 있어|움직이지 말고 가만히 있어|사람이 지나가고 있으니 멈춰
        정지 후 좌회전|멈춰야 해
        가지 마|가지마|가지 마세요|하지 마|하지 마세요|앞으로 가지 마|앞으로 가지 마세요|움직이지 마
        움직이면 안 돼|안 가|안 움직여
        왼쪽으로 돌지 마|앞으로 가시면 안 됩니다|가지 말아 주세요|움직이지 말아 주세요|회전을 멈춰|정지할 것
        왼쪽으로 돌지마세요|회전하지 마세요|전진하지 마|전진 금지|좌회전 금지
        이동하지 마십시오|갈 필요 없어
        절대 움직이지 마|앞으로 가면 안 돼요|가면 안 됩니다|앞으로 가지 않습니다|왼쪽으로 안 가
        길이 안전하지 않으니 가지 마세요
        앞에 장애물이 있습니다. 멈추세요.|출발하지 마|물러서지 마|stop하세요|안 돼|앞으로 갈 수 없습니다
        사람을 따라가지 마
    """,
    "grab": """
        잡아|잡아 줘|빨간 공을 잡아|컵 잡아|가방을 잡아|왼쪽에 있는 컵을 잡아|움직이는 공을 잡아
        초록색 상자를 가져와|가지를 잡아
    """,
    "release": "컵을 놓아|놔|컵을 내려놓으세요|컵을 테이블에 내려놔 줘|그리퍼를 열어",
    "point": "문을 가리켜|컵을 가리키세요",
    "look": "컵을 봐|빨간 공을 바라봐|주변을 둘러봐",
    "unknown": """
        정지하지 마|멈추지 마|멈추지 마세요|멈출 필요 없어|기다리지 마|컵을 잡지 마|놓지 마세요
        컵을 찾을 수 없습니다|컵을 찾지 못했습니다|컵을 못 찾았어요|컵이 보이지 않습니다|컵이 안 보여
        컵이 없습니다|아무것도 없습니다
        컵이 보입니다|컵이 왼쪽에 있습니다|장애물이 있습니다|정지 표지판이 있다|정지 신호가 보입니다
        멈춰 있는 사람|돌이 있다
        사람이 왼쪽으로 간다|사람이 왼쪽으로 가고 있습니다|자동차가 왼쪽으로 움직입니다|왼쪽으로 갔습니다
        사람이 지나가고 있어
        표지판에 멈춤이라고 쓰여 있다|표지판에 '왼쪽으로 가시오'라고 적혀 있습니다|길이 막혀 있다|멈췄습니다
        도착했습니다|가방|서울
        사람이 서 있습니다|가만히 있지 마|멈추면 안 돼|사람이 앞으로 가라고 했다|안녕하세요|감사합니다|네
        아니요|왼쪽|앞으로|천천히|가능합니다|도로가 보입니다|모르겠습니다
        go 버튼을 눌러
    """,
}
UNSURE = """
    아마 왼쪽으로 돌아|왼쪽으로 가는 것 같아요|확실하지 않지만 왼쪽으로 가|왼쪽으로 가야 할지 모르겠어요
    왼쪽으로 갈까요?|어디로 가야 하나요?
    왼쪽과 오른쪽으로 돌아|왼쪽 또는 오른쪽으로 돌아|앞으로 뒤로 가|컵이 보이면 앞으로 가
    장애물이 없으면 전진해|만약 문이 열려 있으면 들어가
    컵이 보이자마자 앞으로 가|컵이 보일 때 앞으로 가|돌아|컵을 왼쪽으로 옮겨|컵을 돌려|저리 가|위로 가
    앞으로 가도 될까요?
"""
TARGETS = {
    "빨간 공을 잡아": "빨간 공",
    "파란색 병을 집어 들어": "파란색 병",
    "컵 잡아": "컵",
    "왼쪽에 있는 컵을 잡아": "컵",
    "테이블 위에 있는 컵을 집어 주세요": "컵",
    "오른쪽 장애물을 피해": "장애물",
    "컵 쪽으로 가": "컵",
    "문까지 이동해": "문",
    "그 컵을 들어 줘": "컵",
    "사람을 따라가": "사람",
    "왼쪽으로 돌아": "",
    "빨간 컵 찾아줘": "빨간 컵",
    "컵 찾아줘": "컵",
    "빨간컵 찾아": "빨간컵",
    "컵 좀 찾아줘": "컵",
    "로봇아 컵 찾아 줘": "컵",
    "왼쪽에 있는 컵 찾아줘": "컵",
    "주방에서 파란 병 찾아봐": "파란 병",
    "계속 찾아": "",
    "어디 있는지 찾아줘": "",
}


@pytest.mark.parametrize(("sentence", "expected"), each(MOTION))
def test_orders_move_the_way_a_person_means(sentence: str, expected: str) -> None:
    for form in ("NFC", "NFD"):
        action = parse_action(unicodedata.normalize(form, sentence))
        assert f"{action.type.value} {signs(action)}" == expected
        assert action.confidence >= 0.3


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


@pytest.mark.parametrize(
    ("sentence", "speed"),
    [
        ("앞으로 가", 0.3),
        ("천천히 앞으로 가", 0.15),
        ("조심해서 앞으로 가", 0.09),
        ("빨리 앞으로 가", 0.45),
        ("컵으로 가", 0.2),
    ],
)
def test_adverbs_scale_the_default_speeds(sentence: str, speed: float) -> None:
    assert parse_action(sentence).linear_x_m_s == pytest.approx(speed)


def test_conflict_stops_with_low_confidence() -> None:
    action = parse_action("왼쪽과 오른쪽으로 돌아")
    assert (action.type, action.confidence) == (ActionType.STOP, 0.1)


def test_both_languages_in_one_text_are_read() -> None:
    assert parse_action("Turn left. 왼쪽으로 도세요.").type is ActionType.TURN
    assert parse_action("앞으로 가. stop.").type is ActionType.STOP
