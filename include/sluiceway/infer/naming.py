"""Names for tables and columns from what files call them: plain, unique, and the same ones at every try."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from sluiceway.tables.spec import MAX_IDENTIFIER_BYTES, RESERVED_COLUMNS, SYSTEM_COLUMNS

_TAKEN = RESERVED_COLUMNS | SYSTEM_COLUMNS

# letters that do not fall apart into a plain letter and an accent
_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "TH",
        "ł": "l",
        "Ł": "L",
        "ı": "i",
        "ħ": "h",
        "Ħ": "H",
        "ŋ": "n",
        "µ": "u",
        "%": " percent ",
        "#": " number ",
        "&": " and ",
    }
)
_CYRILLIC = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґјљњћђџў",
        (
            *("a", "b", "v", "g", "d", "e", "e", "zh", "z", "i", "i", "k", "l", "m", "n", "o", "p", "r", "s", "t"),
            *("u", "f", "kh", "ts", "ch", "sh", "shch", "", "y", "", "e", "yu", "ya", "i", "yi", "ye", "g"),
            *("j", "lj", "nj", "c", "dj", "dz", "u"),
        ),
        strict=True,
    )
)
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψω",
        (
            *("a", "v", "g", "d", "e", "z", "i", "th", "i", "k", "l", "m", "n", "x", "o", "p", "r", "s", "s", "t"),
            *("y", "f", "ch", "ps", "o"),
        ),
        strict=True,
    )
)
_OTHER_SCRIPTS = str.maketrans(_CYRILLIC | _GREEK)
# popEst has two words, IRR_TYP1PA has none that begins with a capital
_WORD_STARTS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[a-z]\d)(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


def plain_name(text: str) -> str:
    """`text` in lower-case ASCII letters, digits and _; empty when nothing of it can be said so.

    Accents go, Cyrillic and Greek are spelled out, popEst becomes pop_est. May begin with a digit, and be too long.
    """
    latin = text.translate(_LETTERS)
    if not latin.isascii():
        # й is a letter of its own: spelled out before the accents go
        latin = "".join(char if char.isascii() else char.lower().translate(_OTHER_SCRIPTS) for char in latin)
        apart = unicodedata.normalize("NFKD", latin).lower() if not latin.isascii() else latin
        latin = "".join(char for char in apart.translate(_OTHER_SCRIPTS) if not unicodedata.combining(char))
    return _NOT_PLAIN.sub("_", _WORD_STARTS.sub("_", latin).lower()).strip("_")


def column_names(sources: Sequence[str], *, taken: Iterable[str] = ()) -> list[str]:
    """A target name for each source column, in order.

    An empty name, or one without any letter or digit, becomes column_<position>. A name that Sluiceway or PostgreSQL
    needs becomes source_<name>. Of equal names the first one keeps it, the next are <name>_2, <name>_3.

    :param taken: names that no column may have, such as the geometry column's.
    """
    needed = _TAKEN | set(taken)
    wanted = [_legal(name, needed, f"column_{position}") for position, name in enumerate(sources, 1)]
    # a column that has its name by itself keeps it, whatever stands before it
    wished, found = set(wanted), set[str]()
    names = []
    for name in wanted:
        unique, number = name, 1
        while unique in found or (number > 1 and unique in wished):
            number += 1
            ending = f"_{number}"
            unique = name[: MAX_IDENTIFIER_BYTES - len(ending)] + ending
        found.add(unique)
        names.append(unique)
    return names


def table_name(text: str) -> str:
    """A legal name of a table; `loaded_file` when nothing of `text` can be said in ASCII."""
    return _legal(text, frozenset(), "loaded_file")


def _legal(text: str, needed: Iterable[str], otherwise: str) -> str:
    name = plain_name(text) or otherwise
    if name[0].isdigit():
        name = f"n_{name}"
    if name in needed:
        name = f"source_{name}"
    if len(name) <= MAX_IDENTIFIER_BYTES:
        return name
    # whole words, where that does not cost half of the name
    cut = name[: MAX_IDENTIFIER_BYTES + 1].rpartition("_")[0]
    return cut if len(cut) > MAX_IDENTIFIER_BYTES // 2 else name[:MAX_IDENTIFIER_BYTES]
