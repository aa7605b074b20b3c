"""Scientific names as people write them, made comparable and askable. Pure.

Sources: the codes of nomenclature's open-nomenclature signs (Bengtson 1988; Sigovini et al. 2016, doi
10.1111/2041-210X.12594), and what GBIF's matching is known to stumble on.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

HYBRID = "\N{MULTIPLICATION SIGN}"
_SPACES = re.compile(r"\s+")
_QUALIFIER = re.compile(r"(?<!\S)(cf|aff|nr|near|affin|prope|gr|agg)\.?(?=\s)", re.IGNORECASE)
_UNDETERMINED = re.compile(r"\s+(spp?|species|ssp|subsp|indet|gen)\.?(?:\s+(?:nov\.?|\d+|[A-Z]))?$", re.IGNORECASE)
_SUBGENUS = re.compile(r"^(\w+) \(([A-Z][\w-]+)\) (?=[a-z])")
_CROSS = re.compile(r"(?<=\s)[xX](?=\s)|^[xX](?=\s)")
_RANKS = frozenset({"subsp.", "ssp.", "var.", "f.", "fo.", "forma", "subvar.", "cv.", "convar."})
_WHITE = "\t\n\r\v\f"
_UNPRINTED = dict.fromkeys(
    each for each in range(0x110000) if unicodedata.category(chr(each)) in {"Cc", "Cf"} and chr(each) not in _WHITE
)
_NO_EPITHETS = frozenset(
    ["de", "von", "van", "ex", "et", "in", "del", "di", "da", "le", "la", "den", "der", "auct.", "nec", "non"]
)
_EPITHET = re.compile(rf"{HYBRID}?[^\W\d_A-Z][^\W\d_]*(?:-[^\W\d_]+)*")


class Name(NamedTuple):
    """A name taken apart."""

    item: str
    """What names are compared by: two spellings of one name have one item."""
    asked: str
    """What a service is asked, without authorship and qualifier."""
    authorship: str | None = None
    qualifier: str | None = None
    """`cf.`, `aff.`: it is only said to be like that species. `sp.`: the genus alone is known."""
    subgenus: str | None = None


def clean(text: str) -> str:
    """One space between words, no-break ones too; composed (NFC); nothing unprinted."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text.translate(_UNPRINTED))).strip()


def parse(text: str) -> Name:
    """Take a name apart.

    :raises ValueError: it holds no letter.
    """
    name = clean(text)
    if not any(each.isalpha() for each in name):
        raise ValueError(f"{text!r} holds no name")
    qualifier = None
    if found := _UNDETERMINED.search(name):
        qualifier, name = f"{found[1].lower().removesuffix('.')}.", name[: found.start()]
    elif found := _QUALIFIER.search(name):
        qualifier = f"{found[1].lower()}."
        name = clean(name[: found.start()] + " " + name[found.end() :])
    name = _CROSS.sub(HYBRID, name)
    canonical, authorship = _split(_cased(name))
    subgenus = None
    if found := _SUBGENUS.match(canonical):
        subgenus = found[2]
        canonical = f"{found[1]} {canonical[found.end() :]}"
    item = " ".join(each for each in (canonical, authorship, qualifier) if each)
    return Name(item=item, asked=canonical, authorship=authorship, qualifier=qualifier, subgenus=subgenus)


def key(text: str) -> str:
    """What a name is compared by, see `Name.item`.

    :raises ValueError: it holds no letter.
    """
    return parse(text).item


def _cased(name: str) -> str:
    """A name all in capitals as it is written otherwise: the first word's first letter alone is one."""
    letters = [each for each in name if each.isalpha()]
    return name.capitalize() if len(letters) > 1 and all(each.isupper() for each in letters) else name


def _split(name: str) -> tuple[str, str | None]:
    """The canonical name, and who gave it: all from the first word that is no epithet, sign, rank or subgenus."""
    words = name.split(" ")
    end = 1 if words[0] != HYBRID else 2
    while end < len(words) and (
        _is_epithet(words[end])
        or words[end] == HYBRID
        or (words[end].lower() in _RANKS and end + 1 < len(words) and _is_epithet(words[end + 1]))
        or (end == 1 and re.fullmatch(r"\([A-Z][\w-]+\)", words[1]) and len(words) > 2 and _is_epithet(words[2]))
    ):
        end += 1
    return " ".join(words[:end]), " ".join(words[end:]) or None


def _is_epithet(word: str) -> bool:
    return bool(_EPITHET.fullmatch(word)) and word.islower() and word not in _NO_EPITHETS
