"""Korean: stems with the syllables that their endings melt into. A stem counts only at the start of a"
" word."""

import re

from edge.parsing.cues import CAREFUL, FAST, SLOW
from edge.records import ActionType

_END_AFTER_A = (
    r"(?:요|라|라고|서|줘|줘요|줘라|주세요|주십시오|주시오|줄래|줄래요|줄수|주시겠\w*|주실\w*|주겠\w*"
    r"|주기|주라|달라\w*"
    r"|야|야해|야해요|야지|야돼|야돼요|야합니다|야한다|야겠\w*|봐|봐요|봐라|보세요|보자|보십시오|도"
    r"|다오|둬|두세요|있어\w*)?"
)
_END_AFTER_STEM = (
    r"(?:라|라고|라니까|세요|셔요|시오|십시오|시죠|시지요|자|자고|자구|고|구|면|지|지는|지도|지를|지요"
    r"|죠|지마\w*|지말\w*"
    r"|지않\w*|지못\w*|다가|다|기|려고|려|면서|며|게|는|던|도록|거라|니|니까|겠습니다|겠다|겠어\w*"
    r"|시면|시고|셔야\w*|셔서|셔도|시겠\w*|시지\w*|십니다)"
)
_GO = (
    rf"(?:가{_END_AFTER_A}|가{_END_AFTER_STEM}|갑니다|갑시다"
    r"|갈게|갈게요|갈|간|간다|갈까|갈까요|갈래|갈래요|갈것|갔\w*)"
)
_COME = rf"(?:와{_END_AFTER_A}|오{_END_AFTER_STEM}|오너라|옵니다|온다|온|올|왔\w*)"

# Type, direction that the verb implies, traits, and how a word starts that is this verb. The first that fits
# counts. Traits: "plain" goes forward when nothing else is said, "carries" moves its object instead of the
# robot when it has one, "noun" is a noun too, "find" searches.
_TABLE = (
    (
        ActionType.STOP,
        "",
        "",
        r"그만(?!큼)|(?:그대로|거기|거기에|가만히)있(?:어|으|자|거라)|멈추|멈춰|멈춥|멈춘|멈출|멈췄|멎어|"
        r"기다려|기다리|기다립|기다린|기다릴|스톱(?!워치)|스탑|가만(?!두)|잠깐만|잠시만|브레이크|제동",
    ),
    (
        ActionType.STOP,
        "",
        "noun",
        r"정지|중지|중단|대기|멈춤|일시정지|급정거|정차",
    ),
    (
        ActionType.STOP,
        "",
        "",
        rf"(?:서{_END_AFTER_A}|서{_END_AFTER_STEM}|섯|세워\w*|세우\w*|섰\w*)$",
    ),
    (
        ActionType.GRAB,
        "",
        "",
        r"가져와|가져오|가져다|가져올|갖고와|갖다|데려와|데려오|집어|집으(?=세|십|시|면|려|라)|집고|집는|"
        r"집지|쥐어|쥐고|쥐세|쥐지|쥔다|움켜|주워|줍|꺼내|챙겨|붙잡|잡아|잡으|잡고|잡자|잡는|잡습|잡기|"
        rf"잡지|잡겠|잡을|잡도록|잡았|파지하|파지해|(?:그리퍼|집게)를(?:닫|오므)|들어올|들어{_END_AFTER_A}$|"
        r"들고|들어야|드세요|들자|들지",
    ),
    (
        ActionType.RELEASE,
        "",
        "",
        r"내려놓|내려놔|놓아|놓으|놓고|놓는|놓습|놓지|놓겠|놓을|놓자|놓았|놔|떨어뜨|떨구|떨궈|풀어|버려|손을펴|"
        r"(?:그리퍼|집게)를(?:열|벌)",
    ),
    (
        ActionType.POINT,
        "",
        "",
        r"가리켜|가리키|가리킨|가리킵|지목하|지목해|포인트하",
    ),
    (
        ActionType.NAVIGATE,
        "",
        "",
        r"다가가|다가와|다가오|다가서|다가갑|다가간|다가갈|따라가|따라와|따라오|따라갑|따라간|따라다니|"
        r"따라붙|쫓아|추적하|추적해|추적|찾아가|찾아와|접근|도달하|도착하|가까이(?=가|와|오)",
    ),
    (
        ActionType.NAVIGATE,
        "",
        "",
        rf"따라(?=$|서|라)|향해|향하|이리와|이리오|{_COME}$",
    ),
    (
        ActionType.AVOID,
        "",
        "",
        r"피해|피하|피합|피한|피할|회피|비켜|비키|우회(?!전)",
    ),
    (
        ActionType.TURN,
        "left",
        "noun",
        r"좌회전",
    ),
    (
        ActionType.TURN,
        "right",
        "noun",
        r"우회전",
    ),
    (
        ActionType.TURN,
        "left",
        "noun",
        r"유턴|뒤돌아|뒤로돌아",
    ),
    (
        ActionType.TURN,
        "",
        "carries",
        r"돌려|돌리|돌린|돌릴|돌립",
    ),
    (
        ActionType.TURN,
        "",
        "noun",
        r"회전|선회",
    ),
    (
        ActionType.TURN,
        "",
        "",
        r"돌아(?!다니|오|와|보|봐)|돕니다|돈다|돈$|돌$|돌게|돌겠|돌고|돌자|돌기|돌지|돌면|돌며|돌다가|돌까|"
        r"돌도록|돌았|도세요|도십시오|도시오|도는|도셔|틀어|틀고|틀지|틀면|튼다|트세요|트십시오|틉니다|"
        r"꺾어|꺾으|꺾고|꺾지|꺾는다|턴해|턴하",
    ),
    (
        ActionType.LOOK,
        "",
        "find",
        r"찾아(?!낸|냈)|찾으|찾고|찾자|찾는|찾습|찾지|찾겠|찾을|찾기|찾았|탐색|수색|검색",
    ),
    (
        ActionType.LOOK,
        "",
        "",
        r"봐|보세요|보십시오|보시오|보아|보지(?=마|말|$)|보도록|바라보|바라봐|쳐다보|쳐다봐|살펴|살피|"
        r"둘러|돌아봐|돌아보|확인하|확인해|관찰하|관찰해|주시하|주시해|봅니다|본다",
    ),
    (
        ActionType.MOVE,
        "forward",
        "noun",
        r"전진|직진",
    ),
    (
        ActionType.MOVE,
        "back",
        "noun",
        r"후진|후퇴",
    ),
    (
        ActionType.MOVE,
        "back",
        "",
        r"물러나|물러서|물러난|물러섭|물러납|물러설|물러날|물러가",
    ),
    (
        ActionType.MOVE,
        "",
        "",
        r"빠져|빠지|비켜서",
    ),
    (
        ActionType.MOVE,
        "forward",
        "",
        r"계속하(?!지)|계속해(?=요|라|줘|주)|계속합",
    ),
    (
        ActionType.MOVE,
        "",
        "plain carries",
        r"움직여|움직이|움직인|움직일|움직입|움직였",
    ),
    (
        ActionType.MOVE,
        "",
        "carries",
        r"이동시|옮겨|옮기",
    ),
    (
        ActionType.MOVE,
        "",
        "plain noun",
        r"이동|진행|주행|출발",
    ),
    (
        ActionType.MOVE,
        "",
        "plain",
        r"걸어(?!가)|달려(?!가)|뛰어(?!가)|나아가|나아갑",
    ),
    (
        ActionType.MOVE,
        "",
        "plain",
        rf"(?:지나|걸어|달려|뛰어|건너|나아|들어)?{_GO}$",
    ),
)
VERBS = tuple(
    (re.compile(pattern), kind, way, frozenset(traits.split())) for kind, way, traits, pattern in _TABLE
)

NEGATED = re.compile(
    r"(?:[을를은는]?하|[을를은는]|시|으시|키)?지(?:는|를|도|들)?(?:마|말|않|못|맙)|(?:하|으|"
    r"이)?면(?:절대|절대로)?안(?:돼|되|됩|된)|(?:해|하여|어|아)?(?:서는|선|서)안(?:돼|되|됩|된)|(?:할|"
    r"을)?필요(?:가|는|도)?없|(?:할|을)?수(?:가|는|도)?없|(?:은|는)?금지|(?:하|으)?면(?:절대)?안"
)
SHORT_NEGATION = frozenset(("안", "못"))
PAST = re.compile(r"[았었했갔왔섰렸췄졌혔겼났됐뒀웠줬]")
# A verb that ends so, with a noun after it, describes that noun: "움직이는 공".
ADNOMINAL = re.compile(r"(?:는|던|은|한|된|인|간|돈|온|춘|린|할|갈|돌|을|출|일|올|릴|난|선|킨|시킬|날|설)$")
AFTERWARDS = frozenset(
    "다음 다음에 후 후에 뒤 뒤에 나서 그다음 그다음에 이후 이후에 나중에 다음엔 다음은".split()
)
DECLARATIVE = re.compile(r"(?:니다|[간돈온한인는린춘]다|중이다|중입니다|중)$")
NOT_AFTER_NOUN = re.compile(
    r"(?:중(?:인|에|이\w*|입\w*)?|선[은는이가을를에]?)$|상태|신호|버튼|표지|거리|속도|방향|경로|표시"
)
NOUN_TAIL = re.compile(
    r"(?:이|가|은|는|의|에|에서|선|선에|선에서|표지판\w*|신호\w*|버튼\w*|선을|체|물|대|율|중\w*|상태\w*|"
    r"거리\w*|속도\w*)$"
)
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
NEARER = frozenset(
    "가까이 더가까이 이리 이리로 이쪽으로 여기로 나에게 내게 저에게 나한테 저한테 내쪽으로".split()
)
PLACE = re.compile(r"^(.+?)(?:쪽으로|방향으로|에게로|에게|한테|까지|으로|로|에)$")
OBJECT = re.compile(r"^(.+?)[을를]$")
SUBJECT = re.compile(r"^(.+?)(?:이|가|은|는|께서|들이|들은)$")
SELF = frozenset(
    "로봇 너 네 나 내 저 제 우리 너희 지금 이제 몸 몸체 차체 방향 머리 고개 핸들 본체 기체 진로 일단"
    " 우선 먼저 다음".split()
)
CONNECTED = re.compile(
    r"(?:에|에서|이|가|을|를|고|서|와|과|로|으로|면|[위옆앞뒤안]의|니|만|도|으니|지만|까지|에게|한테|"
    r"있는|없는|보이는|놓인|요|줘|마|해|라)$"
)
ADVERBS = frozenset(
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
SPEED = (
    (re.compile(r"조심(?!하지마)"), CAREFUL),
    (re.compile(r"천천히|느리게|느린|서서히|살살|천천하게"), SLOW),
    (re.compile(r"빨리|빠르게|신속|급히|서둘러|빠른속도|빠른 속도"), FAST),
)

HEDGE = re.compile(
    r"아마|글쎄|것\s?같|[은는인한할을갈된]\s?듯|지도\s?모|모르겠|모릅니다|몰라|확실하지|확실치|어쩌면|"
    r"애매|까\s?싶|아닐까|가능성|수도\s?있|고민|헷갈"
)
REPORTED = re.compile(
    r"쓰여|적혀|써\s?있|씌어|쓰인|적힌|써진|라고\s?(?:말|했|한다|하는|합니다|되어)|(?:이)?라는\s?(?:글|"
    r"말|표지|문구|안내|단어)|문구"
)
DENIAL = re.compile(r"없|않|못|안\s?보|아니|아닙")
BLOCKED = re.compile(
    r"막혀|막힌|막혔|막았|막고|가로막|길이\s?없|(?:길|앞|통로|경로)[이가은는]?\s?(?:안전|"
    r"비어)[^.]{0,3}지\s?(?:않|못)|위험"
)
ASKS = re.compile(r"(?:까|까요|나요|는가|는가요|는지|을까|[아어해]도\s?돼요|되나|될까|할까|니)\s*\?*\s*$")
ASKED_WORD = re.compile(r"어디|무엇|무슨|뭐|왜|어느|누가|누구|어떻게|몇")
# What may stand around an English order: "stop 해 주세요".
POLITE_DO = re.compile(r"(?:하세요|해줘|해라|해|하십시오|합니다|하자|주세요|줘|좀|제발|지금|로봇|[\s.!,])*")
REQUEST = re.compile(r"줄래|주시겠|주실|줄\s?수|줄수|주겠|주세요|주십시오|주시|줘|할래|하시겠")
CLOCK = (
    (re.compile(r"반\s?시계\s?방향|시계\s?반대\s?방향"), "왼쪽"),
    (re.compile(r"시계\s?방향"), "오른쪽"),
    (re.compile(r"제자리(?:에서)?"), ""),
)
