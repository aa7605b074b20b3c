"""Letters beyond ASCII of the languages that an encoding was made for, and the signs that stand beside any of them."""

from __future__ import annotations

_WESTERN = (
    "æøåéèêòóôüöä",  # Danish, Norwegian
    "åäöéü",  # Swedish, Finnish
    "äöüßéàè",  # German
    "àâæçéèêëîïôœùûüÿñ",  # French
    "àèéìíîòóùú",  # Italian
    "áéíñóúü",  # Spanish
    "áàâãçéêíóôõúü",  # Portuguese
    "àçéèíïóòúü",  # Catalan
    "áðéíóúýþæö",  # Icelandic
    "ëéèïöüáóí",  # Dutch
)
_CENTRAL = (
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "áéíóöőúüű",  # Hungarian
    "ăâîşţșț",  # Romanian
    "čćđšž",  # Croatian, Slovenian
)
_BALTIC = ("āčēģīķļņšūž", "ąčęėįšųūž", "äõöüšž")
_TURKISH = ("çğıöşüâîİ",)
_RUSSIAN = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
_UKRAINIAN = "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"
_CYRILLIC = (_RUSSIAN, _UKRAINIAN, "абвгдђежзијклљмнњопрстћуфхцчџш")
_GREEK = ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",)
_HEBREW = ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",)
_ARABIC = ("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگ",)
_THAI = ("กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรฤลวศษสหฬอฮะัาำิีึืุูเแโใไๅๆ็่้๊๋์",)

LANGUAGES: dict[str, tuple[str, ...]] = {
    # in the order in which one is believed before another that fits as well
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1251": _CYRILLIC,
    "cp1254": _TURKISH,
    "cp1257": _BALTIC,
    "cp1253": _GREEK,
    "cp1255": _HEBREW,
    "cp1256": _ARABIC,
    "cp874": _THAI,
    "iso-8859-2": _CENTRAL,
    "iso-8859-5": _CYRILLIC,
    "iso-8859-7": _GREEK,
    "koi8-r": (_RUSSIAN,),
    "koi8-u": (_UKRAINIAN,),
    "cp866": (_RUSSIAN,),
    "mac-cyrillic": _CYRILLIC,
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
    "cp857": _TURKISH,
    "cp737": _GREEK,
    "mac-roman": _WESTERN,
}
SIGNS = frozenset("«»“”„‘’‚–—…°º²³½¼¾£€§©®•\u00a0×±µ¿¡·™ª¢¥%‰†№\u200e\u200f،؛؟")
PLAIN_SIGNS = frozenset("£€°µ§©®±½\u00a0\u2019")
APOSTROPHES = frozenset("\u2019\u2013\u2014\u00b7\u00a0")
"""Signs that may stand within a word; the last one stands between two."""
