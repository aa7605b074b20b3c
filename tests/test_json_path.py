"""JSON that somebody sent: no document is deeper than whatever walks through it can follow."""

from __future__ import annotations

import pytest

from sluiceway.json_path import MOST_LEVELS, parse

HALF = r"\ud83d"
"""Half of a character: pydantic refuses it, and Python's own parser reads the whole document then."""


@pytest.mark.parametrize("text", ["x", HALF])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_document_lies_200_levels_deep_at_most(text: str, opens: str, closes: str, as_bytes: bool) -> None:
    def nested(levels: int) -> str | bytes:
        found = f'["{text}", {opens * (levels - 1)}0{closes * (levels - 1)}]'
        return found.encode() if as_bytes else found

    assert parse(nested(MOST_LEVELS))[0] is not None
    for levels in (MOST_LEVELS + 1, 900, 100_000):
        with pytest.raises(ValueError, match=r"recursion limit|nested too deeply"):
            parse(nested(levels))


@pytest.mark.parametrize("text", [b"", b"<html>", b"\xff", "é".encode("latin-1"), b"9" * 5000, b'"\x00"', b"[1,]"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # what it says is each parser's own
        parse(text)
