"""The headers of a Parquet file's pages, byte by byte: whatever they say, reading them ends."""

from __future__ import annotations

import mmap
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluiceway.sources.formats.parquet_pages import Page, pages_of

MOST = 10
STOP = b"\0"


def number(field_step: int, value: int) -> bytes:
    """A field of 32 bits."""
    value, spelled = (value << 1) ^ (value >> 63), b""
    while value >= 0x80:
        spelled, value = spelled + bytes([value & 0x7F | 0x80]), value >> 7
    return bytes([field_step << 4 | 5]) + spelled + bytes([value])


def header(size: int, packed: int, more: bytes = b"") -> bytes:
    return number(1, 0) + number(1, size) + number(1, packed) + more + STOP


def pages(folder: Path, content: bytes) -> list[Page]:
    """At most MOST of them."""
    path = folder / "pages"
    path.write_bytes(content)
    chunk = SimpleNamespace(data_page_offset=0, has_dictionary_page=False, total_compressed_size=len(content))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return list(islice(pages_of(mapped, chunk), MOST))


def test_each_page_says_what_it_becomes(tmp_path: Path) -> None:
    # texts of 2 and of 70,000 bytes, as in a page's statistics
    short, long = b"\x2c\x18\x02\x19z" + STOP, b"\x18\xf0\xa2\x04" + b"x" * 70_000
    content = header(100, 3) + b"abc" + header(7, 0, short) + header(2**31 - 1, 2, long) + b"ab"
    assert pages(tmp_path, content) == [Page(100, 3), Page(7, 0), Page(2**31 - 1, 2)]


def test_the_pages_of_arrow_are_all_read_with_their_statistics(tmp_path: Path) -> None:
    texts = pa.array([f"{number:03}-" + "y" * (number % 50) for number in range(1_000)])
    pq.write_table(pa.table({"id": texts}), tmp_path / "a.parquet", data_page_size=1_000, use_dictionary=False)
    with pq.ParquetFile(tmp_path / "a.parquet") as file, (tmp_path / "a.parquet").open("rb") as opened:
        chunk = file.metadata.row_group(0).column(0)
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            found = list(pages_of(mapped, chunk))
    # each text has four bytes of length
    assert sum(page.size for page in found) >= 4 * len(texts) + sum(map(len, texts.to_pylist()))


@pytest.mark.parametrize(
    "broken",
    [
        b"\x1c" * 20_000,
        number(1, 0) + b"\x15\xfe" + b"\xff" * 12 + b"\x01" + number(1, 5) + STOP,
        header(-1, 5),
        header(5, -8),
        header(5, 1 << 40),
        b"\x18" + b"\xff" * 9 + b"\x01",
        header(5, 0, b"\x19"),
        b"\x15" * 100,
        b"",
    ],
    ids=[
        *("structs in each other", "a number that does not end", "a negative size", "a page that leads back"),
        *("a page beyond the end", "a text beyond the end", "a list", "no end", "nothing"),
    ],
)
def test_what_is_no_header_ends_the_pages(tmp_path: Path, broken: bytes) -> None:
    found = pages(tmp_path, header(100, 3) + b"abc" + broken)
    assert found[:1] == [Page(100, 3)]
    assert len(found) == 1 + (broken == header(5, 1 << 40))
