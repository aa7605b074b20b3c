"""What stands below the rows of a sheet or a text: totals and notes, and a doubt where it looks like rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sluiceway.amounts import counted

SHOWN = 3
TOTAL = r"^\s*(grand |sub)?-?(totals?|totale|gesamt|summe|somme|suma|insgesamt)\b"
_TOTAL = re.compile(TOTAL, re.IGNORECASE)
_NOTE = re.compile(
    r"(?i)\s*([*†‡©]|\(?[0-9a-z]\)|\[[0-9a-z]\]|(prepared by|as of|data as of|last updated)\b|https?:"
    r"|((foot)?notes?|sources?|quelle|anm|hinweis|stand|fuente|nota|fonte|bron|kilde)(\s+\d+)?\s*[:.])"
)
_LONGEST_SHOWN = 60


def begins_as_total(text: str) -> bool:
    """Whether the first word of a record is one for a sum."""
    return bool(_TOTAL.match(text))


def begins_as_note(text: str) -> bool:
    """Whether a text says of itself that it is a note."""
    return bool(_NOTE.match(text))


def quoted(texts: Sequence[str]) -> str:
    """A few of them, cut."""
    few = ", ".join(repr(text[:_LONGEST_SHOWN]) for text in texts[:SHOWN])
    return f"{few}, ..." if len(texts) > SHOWN else few


def doubts(left_out: Sequence[Sequence[Any]], width: int) -> dict[str, str]:
    """A note of what `skip_footer` has left out, where some looks like rows: the next file may have no footer.

    :param left_out: their values; None or a blank text for what is empty.
    :param width: how many values a row has.
    """
    shown = []
    for record in left_out:
        filled = [text for value in record if (text := str(value).strip() if value is not None else "")]
        if 2 * len(filled) > width and not begins_as_total(filled[0]) and not begins_as_note(filled[0]):
            shown.append(", ".join(filled))
    if not shown:
        return {}
    which = counted(len(shown), "record that looks like a row", "records that look like rows")
    return {"footer": f"skip_footer has left out {which}: {quoted(shown)}; set it to less if the source ends with rows"}
