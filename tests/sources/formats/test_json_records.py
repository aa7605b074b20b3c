"""Records out of a JSON document, wherever the reading window happens to end."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from sluiceway.json_path import MOST_LEVELS
from sluiceway.sources.formats import json_records as module
from sluiceway.sources.formats.json_records import BrokenJsonError, CutJsonError, DeepJsonError, Document, read_records
from sluiceway.sources.formats.texts import json_text, text_array

TEXT = (
    '\ufeff {"n" : 12345.678e10, "meta":{"next":"tok\\u00e9n"},\n'
    '"d": {"items": [ {"a": "é,]}\\"", "b":[1.10 ]} , {},7]}}\n'
)


def read(text: bytes, document: Document | None = None, records: str | None = None, cursor: str | None = None) -> Any:
    found = read_records(io.BytesIO(text), document or Document(), records=records, cursor=cursor, largest=1 << 24)
    return [value for value, _ in found]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 1000])
def test_a_document_is_the_same_whatever_is_read_at_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", size)
    document = Document()
    assert read(TEXT.encode(), document, "d.items", "meta.next") == [{"a": 'é,]}"', "b": ["1.10"]}, {}, "7"]
    assert (document.found, document.cursor, document.other["n"]) == (True, "tokén", "12345.678e10")


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_every_document_that_breaks_off_is_an_error(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", size)
    whole = TEXT.rstrip().encode()
    for end in range(len(whole)):
        with pytest.raises(BrokenJsonError):
            read(whole[:end], None, "d.items")


def test_a_document_that_ends_before_its_time_is_told_from_a_broken_one() -> None:
    with pytest.raises(CutJsonError):
        read(b'[{"a": 1}, {"a": "x')
    with pytest.raises(BrokenJsonError) as caught:
        read(b'[{"a": 1}, {a: 2}]')
    assert not isinstance(caught.value, CutJsonError)


def test_a_document_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(BrokenJsonError, match="nested too deeply"):
        read(b"[" * 200_000)


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a": ', "}")])
def test_a_value_lies_no_deeper_than_it_can_be_spelled(opens: str, closes: str) -> None:
    text = opens * MOST_LEVELS + "0" + closes * MOST_LEVELS
    assert json_text(read(f"[{text}]".encode())[0]) == text
    for levels in (MOST_LEVELS + 1, 900):
        with pytest.raises(DeepJsonError, match="it is nested too deeply"):
            read(f"[{opens * levels}0{closes * levels}]".encode())
    assert len(read(f"[{'[[], {}], ' * MOST_LEVELS}[]]".encode())) == MOST_LEVELS + 1


def test_the_digest_is_that_of_the_records_only() -> None:
    digests = []
    for text in (b'{"took": 1, "d": [{"a": 1}]}', b'{"took": 2, "d": [{"a": 1}]}', b'{"took": 2, "d": [{"a": 2}]}'):
        document = Document()
        read(text, document, "d")
        digests.append(document.digest)
    assert digests[0] == digests[1] != digests[2]


def test_nested_numbers_keep_their_spelling_as_json() -> None:
    text = '{"a": [1.10, 1e5, -0, true, null, "x\\"é"], "b": {}}'
    assert json_text(read(f"[{text}]".encode())[0]) == text
    assert json.loads(json_text({"at": float("inf"), "raw": b"\x00\xff"})) == {"at": "inf", "raw": "00ff"}


def test_a_column_of_text_holds_what_it_was_given() -> None:
    values = ["a", None, "", "é\0", None, "b", "c", "d", "e", None]
    array = text_array(values)
    array.validate(full=True)
    assert (array.to_pylist(), array.null_count) == (values, 3)
    assert text_array([]).to_pylist() == []
