"""Korean words and endings other than the verbs of orders: negation, direction, place, time, doubt."""

import re

from edge.parsing.amounts import MARKS
from edge.parsing.cues import CAREFUL, FAST, SLOW

NEGATED = re.compile(
    r"(?:[을를은는]?하|[을를은는]|시|으시|키)?지(?:는|를|도|들)?(?:마|말|않|못|맙)|(?:하|으|"
    r"이)?면(?:절대|절대로)?안(?:돼|되|됩|된)|(?:해|하여|어|아)?(?:서는|선|서)안(?:돼|되|됩|된)|(?:할|"
    r"을)?필요(?:가|는|도)?없|(?:할|을)?수(?:가|는|도)?없|(?:은|는)?금지|(?:하|으)?면(?:절대)?안"
)
SHORT_NEGATION = frozenset(("안", "못"))
PAST = re.compile(r"[았었했갔왔섰렸췄졌혔겼났됐뒀웠줬]")
# A verb with such an end describes the noun after it: "움직이는 공".
ADNOMINAL = re.compile(r"(?:는|던|은|한|된|인|간|돈|온|춘|린|할|갈|돌|을|출|일|올|릴|난|선|킨|시킬|날|설)$")
AFTERWARDS = frozenset(
    "다음 다음에 후 후에 뒤 뒤에 나서 그다음 그다음에 이후 이후에 나중에 다음엔 다음은".split()
)
DECLARATIVE = re.compile(r"(?:니다|[간돈온한인는린춘]다|중이다|중입니다|중|네|군|구나|[^세]요)$")
NOT_AFTER_NOUN = re.compile(
    r"(?:중(?:인|에|이\w*|입\w*)?|시|시에|시에는|때|선[은는이가을를에]?)$|상태|신호|버튼|표지|거리|속도|방향|경로|표시"
)
NOUN_TAIL = re.compile(
    r"(?:이|가|은|는|도|의|에|에서|선|선에|선에서|표지판\w*|신호\w*|버튼\w*|선을|체|물|대|율|중\w*|상태\w*|"
    r"거리\w*|속도\w*)$"
)
NO_SUBJECT = re.compile(
    r"^(?:행동|동작|답|답변|정답|명령|결정|결론|선택|조치)[은는이가]?$|(?:에|에서|으로|로|까지|부터|서|고)[는은]$"
)
# Models think aloud: nobody drives to a conclusion. What is about these is not about the room.
ABSTRACT = frozenset(
    "이미지 사진 화면 그림 장면 영상 답 답변 정답 방법 해결책 이유 결론 단계 질문 문제 주제 과정 지시 설명"
    " 규칙 순서 작업 분석 계획 예시 옵션 선택지 내용 상황 의견 정보 요약 결정 경로 길 대화 이야기 요청 목적"
    " 생각 임무 과제".split()
)
COPULA = re.compile(r"(?:입니다|이에요|예요|이다|이야|임)$")
OBJECT_TAIL = re.compile(r"[을를]$")

CONDITION = re.compile(
    r"^(?:만약|만일|만약에|경우|경우에|경우에는|때|때는|때에|때만|때에만|때에는)$|거든$|자마자$|"
    r".때(?:는|에|에는|만)?$|.면(?:은|요)?$"
)
NO_CONDITION = re.compile(r"^(?:정|측|표|화|후|전|평|벽|지|내|외|방|장|단|양|반|노|바닥|도로|그러)면$")
UNTIL = re.compile(r"^(?:때|올때|보일때)까지")
SIDES = (
    (re.compile(r"(?:왼쪽|왼편|왼|좌측|좌현|좌)"), "left"),
    (re.compile(r"(?:오른쪽|오른편|오른|우측|우현|우)"), "right"),
    (re.compile(r"(?:앞쪽|앞|전방|정면)"), "forward"),
    (re.compile(r"(?:뒤쪽|뒷쪽|뒤|후방)"), "back"),
)
SIDE_TAIL = re.compile(
    r"(?:편|방향|쪽)?(?P<josa>으로만|으로|로만|로|을|를|에서|에는|에|의|은|는|과|와|이나|이|하고|도|"
    r"말고|부터)?$"
)
STRAIGHT = frozenset("똑바로 곧장 쭉 곧바로 직선으로 일직선으로 쭈욱".split())
NOT_THAT = re.compile(r"^(?:말고|아니라|아니고|아닌|대신|대신에)$")
NO_PLACE = frozenset(
    "그대로 바로 스스로 새로 홀로 함부로 억지로 따로 별로 서로 정말로 진짜로 절대로 실제로 자동으로"
    " 수동으로 대로 속도로"
    " 빠른속도로 저속으로 고속으로 최고속도로 제자리에서 한번에 동시에 다음에 나중에 후에 뒤에 즉시로"
    " 앞에 위에 지금부터로"
    " 주로 때문에 이번에 마지막으로 첫번째로 우선으로 계속으로 안전하게로 전속력으로 전적으로"
    " 기본적으로 차례로".split()
)
UNCLEAR_PLACE = re.compile(
    r"^(?:위|아래|옆|밖|안|동쪽|서쪽|남쪽|북쪽|위쪽|아래쪽|옆쪽|저쪽|그쪽|저리|그리|대각선|바깥|양쪽|"
    r"반대쪽|반대편|멀리)(?:으로|로)?$"
)
# A turn at another place than here.
ELSEWHERE = re.compile(
    r"^(?!(?:여기|거기|저기|제자리|자리|위치|이곳|화면|사진|이미지|상태|중|가운데|방향|입장|왼쪽|오른쪽)에서).+에서$"
)
NEARER = frozenset(
    "가까이 더가까이 이리 이리로 이쪽으로 여기로 나에게 내게 저에게 나한테 저한테 내쪽으로".split()
)
PLACE = re.compile(r"^(.+?)(?:쪽으로|방향으로|에게로|에게|한테|까지|으로|로|에)$")
OBJECT = re.compile(r"^(.+?)[을를]$")
SUBJECT = re.compile(r"^(.+?)(?:이|가|은|는|께서|들이|들은)$")
SELF = frozenset(
    "로봇 너 네 나 내 저 제 우리 너희 지금 이제 몸 몸통 몸체 차체 방향 머리 고개 핸들 본체 기체 진로 일단"
    " 우선 먼저 다음".split()
)
CONNECTED = re.compile(
    r"(?:에|에서|이|가|을|를|고|서|와|과|로|으로|면|[위옆앞뒤안]의|니|만|도|으니|지만|까지|에게|한테|"
    r"는지|있는|없는|보이는|놓인|요|줘|마|해|라)$"
)
ADVERBS = frozenset(MARKS) | frozenset(
    "천천히 느리게 서서히 살살 조심 조심히 조심스럽게 조심해서 조심조심 빨리 빠르게 신속히 신속하게"
    " 급히 얼른 어서 지금 즉시 당장"
    " 바로 좀 조금 조금만 살짝 약간 더 많이 다시 계속 계속해서 그냥 이제 먼저 우선 일단 제발 그리고"
    " 그러면 그럼 자 네 예 응 로봇 로봇아"
    " 로봇이 한번 한 번 두 하나 다 모두 꼭 반드시 절대 절대로 그대로 멀리 가까이 부드럽게 안전하게 크게"
    " 작게 잠깐 잠시 여기 저기 거기"
    " 이거 그거 저거 것 그것 이것 저것 안 못 말고 않고 동시에 다음 후 뒤 앞 왼쪽 오른쪽 직접 최대한"
    " 완전히 정확히 같이 함께"
    " 그래 좋아 아니 아니요 이 그 저 제자리에서 이쪽 저쪽 그쪽 똑바로 곧장 쭉 곧바로 따라 향해 쪽으로"
    " 꽉 단단히 세게 너무 또 또는 혹은".split()
)
# "두 걸음". How far a robot's step is nobody says, so steps name no distance.
STEPS = re.compile(
    r"(?<!\S)(?:[0-9]{1,2}|한|두|세|네|다섯|반)\s?(?:걸음|발자국|발짝)(?:만|씩|정도|쯤)?(?!\S)"
)
LITTLE = frozenset("조금 조금만 좀 살짝 약간 조금씩".split())
SPEED = (
    (re.compile(r"조심(?!하지마)"), CAREFUL),
    (re.compile(r"천천히|느리게|느린|서서히|살살|천천하게"), SLOW),
    (re.compile(r"빨리|빠르게|신속|급히|서둘러|빠른속도|빠른 속도"), FAST),
)

HEDGE = re.compile(
    r"아마|글쎄|것\s?같|[은는인한할을갈된]\s?듯|지도\s?모|모르겠|모릅니다|몰라|확실하지|확실치|확실하진|확실친|확실한\s?건\s?아니|나을지|나아\s?보|어쩌면|"
    r"애매|까\s?싶|아닐까|가능성|수도\s?있|고민|헷갈|보통(?!\s?속도)|대개|흔히|가끔|때때로|일반적으로|자꾸|맨날|이유\s?없이"
)
REPORTED = re.compile(
    r"quotation\d+x\s?(?:이?라고|하고)|에\s?(?:따르면|의하면)|예를\s?들|예컨대|^\W*예\s?:|(?:영상|사진|그림|화면|비디오)\s?속|쓰여|적혀|써\s?있|씌어|쓰인|적힌|써진|라고\s?(?:말|했|한다|하는|합니다|되어)|(?:이)?라는\s?(?:글|"
    r"말|표지|문구|안내|단어)|문구"
)
CONCLUSION = re.compile(r"(?:으니|니까|므로|[어아여해]서|기\s?때문에)[\s,]+")
DENIAL = re.compile(r"없|않|못|안\s?보|아니|아닙")
BLOCKED = re.compile(
    r"막혀|막힌|막혔|막았|막고|가로막|길이\s?없|(?:길|앞|통로|경로)[이가은는]?\s?(?:안전|"
    r"비어)[^.]{0,3}지\s?(?:않|못)|위험"
)
# What is blocked beside or behind the robot does not keep it from going forward.
ASIDE_BLOCKED = re.compile(
    r"(?:왼|오른|좌|우|뒤|양|옆)[쪽측]?[이가은는도]?\s?(?:길[이은]\s?)?(?:[가막]로?막|막[혔혀힌고]|위험)\S*"
)
QUESTION_END = re.compile(
    r"(?:까|까요|나요|는가|는가요|는지|을까|[아어해]도\s?돼요|되나|될까|할까|니)\s*\?*\s*$"
)
QUESTION_WORD = re.compile(r"어디|무엇|무슨|뭐|왜|어느|누가|누구|어떻게|몇")
# These words may stand around an English order: "stop 해 주세요".
POLITE_DO = re.compile(r"(?:하세요|해줘|해라|해|하십시오|합니다|하자|주세요|줘|좀|제발|지금|로봇|[\s.!,])*")
REQUEST = re.compile(r"줄래|주시겠|주실|줄\s?수|줄수|주겠|주세요|주십시오|주시|줘|할래|하시겠")
CLOCK = (
    (re.compile(r"반\s?시계\s?방향|시계\s?반대\s?방향"), "왼쪽"),
    (re.compile(r"시계\s?방향"), "오른쪽"),
    (re.compile(r"제자리(?:에서)?"), ""),
)
_OTHER = (
    r"(?:두|세|네|여러|모든|다른|이런|그런|저런|빨간|파란|노란|초록|흰|하얀|검은|큰|작은|있는|옆의?|앞의|뒤의|"
    r"번째|상대|남의)"
)
# What is written in one word becomes several ("앞으로가세요"), and "그만" ahead of another order usual.
SPACING = (
    (re.compile(r"(?<![가-힣])따라서(?=[\s,])(?<![을를]\s따라서)"), "그래서"),  # therefore, not "following"
    (re.compile(r"주(?:시|셨으|었으)?면\s?(?:합니다|해요|좋겠\S*|감사\S*|고맙\S*|됩니다|돼요)"), "주세요"),
    # another robot than this one
    (re.compile(rf"({_OTHER})\s*로봇들?(?=[은는이가도])"), r"\1 기계"),
    (re.compile(rf"({_OTHER})\s*로봇들?\s+(?=모두|둘|각각|다\s)"), r"\1 기계가 "),
    # "by the picture", not a condition
    (re.compile(r"(?:으로|로|에서)\s?(?:보면|봐서는|판단하면)|[을를]\s?고려하면"), " "),
    (re.compile(r"그만\s+(\S{1,8}?)고(?=\s)"), r"\1지 말고"),  # "그만 돌고 앞으로 가"
    (re.compile(r"꼼짝도?\s?(?:하지\s?)?(?:마|말)\S*"), "멈춰"),
    (re.compile(r"(?:마음|맘|눈|귀)에\s?들\S*"), "좋아"),
    (re.compile(r"그만\s?(?:하고|두고)(?=\s)"), "말고"),
    (re.compile(r"(?<![가-힣])(천천히|빨리|빠르게|조금|살짝|계속|다시)(?=[앞뒤왼오좌우전직후])"), r"\1 "),
    (
        re.compile(
            r"((?:왼|오른|앞|뒤|좌|우)(?:쪽|편|측)?(?:으로|로))(?=가|도(?:세|십|시|셔)|돌|돕|이동|움직|회전|꺾|틀|전진|직진|"
            r"걸어|달려|나아|물러|피|쭉|천천히|조금|살짝|빨리|향)"
        ),
        r"\1 ",
    ),
    (
        re.compile(
            r"((?:쪽|방향|[가-힣]으)로|까지|에게|한테)(?=(?:가|와|오)(?:세요|줘|자|라|주세요|십시오|시오|요)?(?:[\s.!?,]|$)|"
            r"이동|접근)"
        ),
        r"\1 ",
    ),
)
