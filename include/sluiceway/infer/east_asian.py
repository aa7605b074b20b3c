"""Text of two bytes a character: Japanese, Chinese or Korean, told apart by which characters are frequent.

Nearly every pair of bytes beyond ASCII means some character in each of these encodings. In its own a text consists of
frequent ones; in another one its characters are spread over the whole table, where most are rare.
"""

from __future__ import annotations

from collections.abc import Sequence

ENCODINGS = ("gb18030", "cp932", "big5", "cp949", "euc-jp")
"""Of two that fit equally well, the first."""

_SIMPLIFIED = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
    "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实日军者意无力它与长把机"
    "十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加"
    "西斯月话合回特代内信表化老给世位次度门任常先海通教原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别"
    "打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科"
    "司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传"
    "师观清今切院让识候带导争运风车城镇村县省州江河湖岛街巷号码编户址店站桥园校医药银局厅委党林农牧渔桑田土壤类型样"
    "经纬度距离面积人口数量单价合计备注姓性龄电话邮箱期限状态说明黄红绿蓝春夏秋冬左右刘陈杨赵周吴徐孙胡朱郭罗梁宋"
    "郑谢韩唐冯董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴钟汪任姜范石廖邹熊陆孔崔康毛邱秦史顾侯邵孟龙"
    "福浙粤闽赣鄂湘桂琼川贵云藏陕甘青宁疆港澳台京沪津渝辽吉黑冀晋鲁豫皖苏"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然"
    "家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心本前開但因只從想實日軍者意無力它與長把機"
    "十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加"
    "西斯月話合回特代內信表化老給世位次度門任常先海通教原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別"
    "打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬科"
    "司五基眼書非則聽白卻界達光放強即像難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳"
    "師觀清今切院讓識候帶導爭運風車城鎮鄉村縣省州江河湖島街巷號碼編戶址店站橋園校醫藥銀局廳委黨林農牧漁田土壤類型樣"
    "經緯度距離面積人口數量單價合計備註姓性齡電話郵箱期限狀態說明黃紅綠藍春夏秋冬左右劉陳楊趙周吳徐孫胡朱郭羅梁宋"
    "鄭謝韓唐馮董蕭程曹袁鄧許傅沈曾彭呂蘇盧蔣蔡賈丁魏薛葉余潘杜戴鍾汪任姜范石廖鄒熊陸孔崔康毛邱秦史顧侯邵孟龍"
    "臺台灣港澳北新桃竹苗彰投雲嘉屏宜花蓮蘭澎基隆里區段弄樓巿署府院"
)
_JAPANESE = (
    "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市業内相方四定今回新場金員九"
    "入選立開手米力学問高代明実円関決子動京全目表戦経通外最言氏現理調体化田当八六約主題下首意法不来作性的要用制治度"
    "務強気小七成期公野協取都和統以機平総加山思家話世受区領多県続進正安設保改数記院女初北午指権心界支第産結百派点教"
    "報済書府活原先共得解名交資予川向際査勝面委告軍文反元重近千考判認画海参売利組知案道信策集在件団別物側任引使求所"
    "次水半品昨論計死官増係感特情投示変打男基私各始島直両朝革価式確村提運終挙果西勢減台広容必応演電歳住争談能無再位"
    "置企真流格有疑口過局少放税検藤町常校料沢裁状工建語球営空職証土与急止送援供可役構木割聞身費付施切由説転食比難防"
    "補車優夫研収断井何南石足違消境神番規術護展態導鮮備宅害配副算視条幹独警宮究育席輸訪楽起万着乗店述残想線率病農州"
    "武声質念待試族象銀域助労例衛然早張映限親額監環験追審商葉義伝働形景落欧担好退準賀訴辺造英被株頭技低毎医復仕去姿"
    "味負閣韓渡失移差衆個門写評課末守若脳極種美岡影命含福蔵量望松非撃佐核観察整段横融型白深字答夜製票況音申様財港識"
    "注呼渉達郡丁阪奈滋梨栃群埼玉茨城静愛媛香徳崎鹿児沖縄熊潟富浜駅橋園館寺浦池森林谷坂塚鈴高橋伊渡辺斎加吉清佐々"
)
_KOREAN = (
    "이다는의가에을한하고를은로지사도기시자대리그어인나서정아전일부해수동주여제구상보공원성국경장게신조과안세관라으"
    "선소만비산화마연발분유생것교미무스들적면모까진방문민치학계명재내각거심음개강군건영역위통용천입있습니년월남북광울"
    "김박최윤임오황송류홍배백허노양손우석엄길반왕금옥육인맹탁읍동번호층점실업종류코드이름전화소재금액비고합수량단가격"
    "날짜등록현황기준데이터터센병의약체육관도서초중고등학교유치원어린집공원시장역버스정류택아파트빌라타워건물본회"
    "산청종평포화홍완목순담함장무영나곡진보령천안논계룡당부여서태예홍충전북순창임실고남제익김정읍제주귀포양구철원횡"
    "며면서데했던때말더못없게같또많크작높낮좋새큰물불나무길집땅하늘밤낮봄여름가을겨울아침저녁오늘내일어제"
)
_KATAKANA_HALF = ("\uff61", "\uff9f")
_WIDE_SIGNS = frozenset(
    "、。，．・：；？！（）「」『』【】《》〈〉〔〕“”‘’—…～－＋／％＃＆＊＝　○●◎△▲□■◇◆★☆※→←↑↓々〇〒①②③④⑤⑥⑦⑧⑨⑩·"
)
_LEADS = {
    "gb18030": (range(0xB0, 0xD8), range(0xD8, 0xF8)),
    "big5": (range(0xA4, 0xC7), range(0xC9, 0xFA)),
    "cp949": (range(0xB0, 0xC9), range(0)),
    "euc-jp": (range(0xB0, 0xD0), range(0xD0, 0xF5)),
    "cp932": (range(0x88, 0x99), range(0x99, 0xEB)),
}
"""First bytes of the characters in common use, and of the others."""
_LESS_COMMON, _UNCOMMON, _RARE = 0.5, 0.2, 0.05
ENOUGH = 0.58
"""From such a score on it is this encoding: texts of one byte a letter stay below 0.5."""


def _weights(*frequent: str) -> dict[str, float]:
    return {char: 1.0 for text in frequent for char in text}


_FREQUENT = {
    "gb18030": _weights(_SIMPLIFIED),
    "big5": _weights(_TRADITIONAL),
    "cp949": _weights(_KOREAN),
    "cp932": _weights(_JAPANESE),
    "euc-jp": _weights(_JAPANESE),
}


def score(lines: Sequence[bytes], name: str) -> float:
    """How well the encoding explains lines that are not ASCII, at most 1; 0 where they are no such text."""
    try:
        # what is left half at a line's end is no text of two bytes
        texts = [line.decode(name) for line in lines]
    except UnicodeDecodeError:
        return 0.0
    frequent = _FREQUENT[name]
    total = found = 0.0
    for text in texts:
        for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
            if char.isascii():
                continue
            total += 1
            if not (_is_small(before) or _is_small(after)):
                found += frequent.get(char) or _usual(char, name)
    return found / total if total else 0.0


def _is_small(char: str) -> bool:
    # words of Latin letters are set apart, but for capitals: JR東日本. A letter with an accent and what follows it make
    # a character in the midst of a word
    return "a" <= char <= "z"


def _usual(char: str, name: str) -> float:
    """Of a character that is not among the most frequent ones."""
    if char in _WIDE_SIGNS or "\uff10" <= char <= "\uff5a":
        return 0.9
    if name in {"cp932", "euc-jp"} and "\u3041" <= char <= "\u30ff":
        return 1.0
    if _KATAKANA_HALF[0] <= char <= _KATAKANA_HALF[1]:
        # each byte from A1 to DF is one: what most other encodings look like
        return 0.5 if name == "cp932" else _RARE
    try:
        raw = char.encode(name)
    except UnicodeEncodeError:
        return _RARE
    if len(raw) != 2:
        return _RARE
    return _by_place(raw, name)


def _by_place(raw: bytes, name: str) -> float:
    """The tables begin with the characters in common use, and go on with rare ones."""
    lead, trail = raw
    common, rare = _LEADS[name]
    if name in {"gb18030", "cp949"} and trail < 0xA1:
        # what was added to the table later
        return _RARE
    return _LESS_COMMON if lead in common else _UNCOMMON if lead in rare else _RARE
