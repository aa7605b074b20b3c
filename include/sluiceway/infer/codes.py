"""Which names say that a column holds codes: digits that name a thing, and whose zeros in front count.

A postal code of one state alone may have no zero in front in the file at hand, and one in the next delivery.
"""

from __future__ import annotations

import re

_WORDS = (
    # English, and American, British and international registers
    r"(zip|postal|phone|telephone|tel|fax|fips|geoid|ssn|isbn|issn|ean|gtin|huc|naics|sic|nuts|lau)\d*|\w*zip(cd|5)",
    r"\w*code\d*|cd|\w*fips\d*|\w+fp\d{0,2}|(tract|blkgrp|block|cousub|place)ce\d*|nace\d*|isic\d*|hs\d+|unspsc|upc",
    r"cusip|duns|ein|npi|apn|ain|uprn|usrn|toid|[lm]soa\d*|gss|leaid|ncessch",
    # French, Spanish, Portuguese, Italian, Romanian
    r"insee|siren|siret|depcom|cod(geo|com|mun|reg|prov|ine)|codigo|codice|codul|cve|cvegeo|ubigeo|cep|ibge|cnpj|cpf",
    r"divipola|siruta|istat",
    # German, Dutch, the languages of the north
    r"plz\d*|\w*leitzahl|\w*schlue?ssel|\w*kennziffer|ags\d*|blz|\w+nummer|kvk|bsn|\w*kode[nr]?|\w*koodi|postinumero|cvr",
    r"(post|kommune?|fylkes?|org|lans|matrikkel|kunta|cvr)nr",
    # Polish, Czech, Slovak, Hungarian, Turkish, Russian
    r"\w*kodu?|teryt|simc|nip|regon|pesel|psc|ico|iranyitoszam|oktmo|okato|ogrn",
)
_CODE = re.compile(rf"(^|_)({'|'.join(_WORDS)})(_|$)|^(cod_.*|cap|inn|indeks)$")
_COUNT = re.compile(r"^(count|num|number|total)_")
_OTHER_SCRIPTS = re.compile(
    "郵便番号|邮编|邮政编码|郵遞區號|우편번호|コード|代码|代碼|編號|编号|코드|번호|الرمز|رمز|كود|מיקוד|קוד|รหัส"
)
"""Of which a name in the warehouse keeps nothing."""


def is_code(name: str, source: str) -> bool:
    """Whether the name of a column says that it holds codes.

    :param name: in the warehouse, so without accents and capitals.
    :param source: in the source.
    """
    named = _CODE.search(name) and not _COUNT.search(name)
    return bool(named or _OTHER_SCRIPTS.search(source))
