"""Archives and compressed files that are hostile, broken or not what they say: refused whole, by name."""

from __future__ import annotations

import gzip
import io
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from sluiceway.errors import SluicewayError, SourceMissingError, SourceUnreadableError
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.sources.formats.archive import MAX_RATIO, SMALL_BYTES, check_archive, open_bytes
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Write = Callable[[str, bytes], Path]

CSV = b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n * 7919) for n in range(2000))
MUCH = 1 << 30


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return file


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def read(path: Path, member: str | None = None, max_bytes: int = MUCH) -> bytes:
    with open_bytes(path, member, max_bytes) as content:
        return content.read()


# Names


@pytest.mark.parametrize(
    "name",
    [
        "../city.csv",
        "data/../../city.csv",
        "..\\city.csv",
        "data\\..\\..\\city.csv",
        "/etc/city.csv",
        "\\city.csv",
        "\\\\server\\share\\city.csv",
        "C:\\city.csv",
        "C:city.csv",
        "c:/city.csv",
    ],
)
def test_a_member_that_points_outside_refuses_the_whole_archive(write: Write, name: str) -> None:
    path = write("city.zip", zipped(("good.csv", CSV), (name, CSV)))
    with pytest.raises(SourceUnreadableError, match=r"^city\.zip: .* points outside of the archive; the archive is r"):
        read(path, "good.csv")


@pytest.mark.parametrize("name", ["data/city.csv", "a..b.csv", "data/..city.csv", "Los Ángeles (2024).csv"])
def test_a_name_that_only_looks_strange_is_read(write: Write, name: str) -> None:
    assert read(write("city.zip", zipped((name, CSV)))) == CSV


def test_a_member_without_a_name_refuses_the_archive(write: Write) -> None:
    path = write("city.zip", zipped(("good.csv", CSV), ("@@@@", b"")).replace(b"@@@@", b"\0\0\0\0"))
    with pytest.raises(SourceUnreadableError, match=r"^city\.zip: '' has no name; the archive is refused"):
        read(path, "good.csv")


def test_names_of_any_length_make_no_long_sentence(write: Write) -> None:
    """A name may have 65,535 characters."""
    name = "x" * 60_000
    for members, member in (
        ((("../" + name, CSV),), None),
        (((name, CSV), (name[:-1], CSV)), None),
        ((("a.csv", CSV),), name),
    ):
        with pytest.raises(SluicewayError) as caught:
            read(write("city.zip", zipped(*members)), member)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_link_or_a_device_refuses_the_whole_archive(write: Write, kind: int) -> None:
    link = zipfile.ZipInfo("link.csv")
    link.create_system = 3
    link.external_attr = (kind | 0o777) << 16
    path = write("city.zip", zipped(("good.csv", CSV), (link, b"/etc/passwd")))
    with pytest.raises(SourceUnreadableError, match=r"'link\.csv' is a link, or no file at all"):
        read(path, "good.csv")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_refuses_the_archive(write: Write) -> None:
    with pytest.raises(SourceUnreadableError, match=r"'city\.csv' is there twice"):
        read(write("city.zip", zipped(("city.csv", CSV), ("city.csv", b"id,name\n1,other\n"))))


def test_what_macos_and_windows_add_is_no_data(write: Write) -> None:
    extras = ("__MACOSX/._city.csv", "__MACOSX/data/._x", ".DS_Store", "data/.DS_Store", "data/._city.csv", "Thumbs.db")
    members = [*((name, b"extra") for name in extras), ("data/", b""), ("data/city.csv", CSV)]
    path = write("city.zip", zipped(*members))
    assert check_archive(path, MUCH) == ["data/city.csv"]
    assert read(path) == CSV


# Which member


def test_several_members_are_listed(write: Write) -> None:
    path = write("city.zip", zipped(("a.csv", CSV), ("b/c.csv", CSV)))
    with pytest.raises(SourceMissingError, match=r"holds 2 files: a\.csv, b/c\.csv; name one as source\.member"):
        read(path)
    assert read(path, "b/c.csv") == CSV


def test_of_many_members_the_first_are_listed(write: Write) -> None:
    path = write("city.zip", zipped(*((f"{n:03}.csv", b"x") for n in range(100))))
    with pytest.raises(SourceMissingError, match=r"holds 100 files: 000\.csv, .*, 011\.csv, \.\.\.; name one"):
        read(path)


def test_a_missing_member_names_the_nearest(write: Write) -> None:
    with pytest.raises(SourceMissingError, match=r"has no member 'City\.csv'; did you mean 'city\.csv'\?"):
        read(write("city.zip", zipped(("city.csv", CSV), ("b.csv", CSV))), "City.csv")


@pytest.mark.parametrize("members", [(), (("data/", b""), (".DS_Store", b"x"))])
def test_an_archive_without_data_says_so(write: Write, members: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(SourceMissingError, match=r"city\.zip holds no file"):
        read(write("city.zip", zipped(*members)))


@pytest.mark.parametrize("name", ["city.csv", "city.csv.gz", "city.csv.zst"])
def test_a_member_of_what_is_no_zip_is_wrong(write: Write, name: str) -> None:
    with pytest.raises(SourceMissingError, match=rf"{name} is no \.zip; remove source\.member = 'a\.csv'"):
        read(write(name, gzip.compress(CSV)), "a.csv")


# Encryption, and packing that is not known


def test_an_encrypted_member_refuses_the_archive(write: Write) -> None:
    content = bytearray(zipped(("city.csv", CSV)))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    with pytest.raises(SourceUnreadableError, match=r"'city\.csv' is encrypted"):
        read(write("city.zip", bytes(content)))


def test_a_method_that_python_cannot_unpack_is_named(write: Write) -> None:
    content = bytearray(zipped(("city.csv", CSV)))
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(signature) + at] = 9  # deflate64, as Windows packs more than 2 GB
    with pytest.raises(
        SourceUnreadableError, match=r"'city\.csv' cannot be unpacked: That compression method .*; pack it"
    ):
        read(write("city.zip", bytes(content)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_that_python_unpacks_is_read(write: Write, method: int) -> None:
    assert read(write("city.zip", zipped(("city.csv", CSV), method=method))) == CSV


@pytest.mark.parametrize(
    "inner", [zipped(("city.csv", CSV)), gzip.compress(CSV), zstandard.compress(CSV)], ids=["zip", "gz", "zst"]
)
@pytest.mark.parametrize("outer", ["zip", "gz", "zst"])
def test_an_archive_in_an_archive_is_refused(write: Write, outer: str, inner: bytes) -> None:
    pack = {"zip": lambda data: zipped(("inner", data)), "gz": gzip.compress, "zst": zstandard.compress}[outer]
    with pytest.raises(SourceUnreadableError, match="what is packed in it is packed again; one layer is unpacked"):
        read(write(f"city.{outer}", pack(inner)))


# Bombs


def bomb(size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("city.csv", "w") as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return packed.getvalue()


def test_a_bomb_is_known_by_its_directory(write: Write) -> None:
    size = SMALL_BYTES + (1 << 20)
    path = write("city.zip", bomb(size))
    assert path.stat().st_size * MAX_RATIO < size
    with pytest.raises(SourceUnreadableError, match=rf"unpacks to {size:,} bytes from .*, like a zip bomb"):
        read(path)


def test_members_are_larger_than_allowed_together(write: Write) -> None:
    path = write("city.zip", zipped(("a.csv", CSV), ("b.csv", CSV)))
    with pytest.raises(SourceUnreadableError, match=rf"unpacks to {2 * len(CSV):,} bytes and source\.max_bytes allows"):
        read(path, "a.csv", max_bytes=2 * len(CSV) - 1)
    assert read(path, "a.csv", max_bytes=2 * len(CSV)) == CSV


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_a_compressed_file_unpacks_to_no_more_than_allowed(write: Write, pack: Callable[[bytes], bytes]) -> None:
    path = write("city.csv.gz" if pack is gzip.compress else "city.csv.zst", pack(bytes(50 << 20)))
    assert path.stat().st_size < 60_000
    with pytest.raises(SourceUnreadableError, match=r"unpacks to more than source\.max_bytes = 1,000,000 bytes"):
        read(path, max_bytes=1_000_000)
    assert len(read(path, max_bytes=50 << 20)) == 50 << 20


@pytest.mark.parametrize("change", [-5, 5, 100_000], ids=["too small", "too large", "far too large"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_directory_that_lies_about_the_size_is_broken(write: Write, change: int, method: int) -> None:
    content = bytearray(zipped(("city.csv", CSV), method=method))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + at, len(CSV) + change)
    with pytest.raises(SourceUnreadableError, match=r"city\.zip is broken or cut off"):
        read(write("city.zip", bytes(content)))


def test_a_bomb_that_says_it_is_small_gives_no_more_than_it_says(write: Write) -> None:
    content = bytearray(bomb(SMALL_BYTES))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + at, 1000)
    got = 0
    with (
        pytest.raises(SourceUnreadableError, match=r"city\.zip is broken or cut off"),
        open_bytes(write("city.zip", bytes(content)), None, 10_000) as inner,
    ):
        while part := inner.read(100):
            got += len(part)
    assert got <= 1000


def test_too_many_members_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluiceway.sources.formats.archive.MAX_MEMBERS", 9)
    with pytest.raises(SourceUnreadableError, match="holds 10 files; at most 9 are unpacked"):
        read(write("city.zip", zipped(*((f"{n}.csv", b"x") for n in range(10)))), "1.csv")


# Broken files


PACKED = {
    "city.zip": zipped(("city.csv", CSV)),
    "city.csv.gz": gzip.compress(CSV),
    "city.csv.zst": zstandard.ZstdCompressor(write_checksum=True).compress(CSV),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("content", [b"", b"id,name\n1,Ponce\n", b"PK\x03\x04", b"\x1f\x8b", b"<html>Not found</html>"])
def test_a_file_that_is_not_what_its_name_says_is_unreadable(write: Write, name: str, content: bytes) -> None:
    path = write(name, content)
    if content == b"" and name != "city.zip":
        assert read(path) == b""  # no frame and no stream at all: an empty extraction further on
        return
    with pytest.raises(SourceUnreadableError, match=name):
        read(path)


@pytest.mark.parametrize("name", PACKED)
def test_a_file_that_is_cut_anywhere_is_unreadable(write: Write, name: str) -> None:
    whole = PACKED[name]
    for cut in {1, 2, 5, 10, 50, *range(100, len(whole), 301), len(whole) - 8, len(whole) - 1}:
        with pytest.raises(SourceUnreadableError, match=name):
            read(write(name, whole[:cut]))


@pytest.mark.parametrize("name", PACKED)
def test_a_file_with_a_flipped_bit_is_unreadable_or_the_same(write: Write, name: str) -> None:
    chance = random.Random(20260601)
    whole, refused = PACKED[name], 0
    for _ in range(400):
        content = bytearray(whole)
        # half of them in the first and last 100 bytes, where the headers are
        near = chance.choice([*range(100), *range(len(whole) - 100, len(whole))])
        content[near if chance.random() < 0.5 else chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        try:
            assert read(write(name, bytes(content)), max_bytes=2 * len(CSV)) == CSV
        except SluicewayError:
            refused += 1
    assert refused > 200


def test_a_zip_with_bytes_before_and_behind_is_read(write: Write) -> None:
    assert read(write("city.zip", b"#!/bin/sh\n" + PACKED["city.zip"])) == CSV


def test_a_gz_with_something_behind_it_is_unreadable(write: Write) -> None:
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz is broken or cut off: Not a gzipped file"):
        read(write("city.csv.gz", PACKED["city.csv.gz"] + b"<html>error</html>"))


def test_a_gz_with_a_wrong_checksum_is_unreadable(write: Write) -> None:
    packed = bytearray(PACKED["city.csv.gz"])
    struct.pack_into("<I", packed, len(packed) - 8, zlib.crc32(CSV) ^ 1)
    with pytest.raises(SourceUnreadableError, match="CRC check failed"):
        read(write("city.csv.gz", bytes(packed)))


@pytest.mark.parametrize("name", PACKED)
def test_nothing_of_a_cut_file_is_loaded(
    write_spec: WriteSpec, write: Write, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query, name: str
) -> None:
    write(name, PACKED[name][:-20])
    spec = write_spec(
        "city",
        f'description = "Cities"\nkey = "id"\ncolumns = {{ id = "integer", name = "text" }}\n'
        f'[source]\nkind = "csv"\nuri = "{name}"\n',
    )
    with pytest.raises(SourceUnreadableError, match=name):
        load_table(spec, warehouse_url, run=open_run("r1"))
    assert query("SELECT to_regclass('city')") == [(None,)]
    write(name, PACKED[name])
    assert load_table(spec, warehouse_url, run=open_run("r2")).extracted == 2000
