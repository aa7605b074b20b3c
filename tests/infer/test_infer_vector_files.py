"""Vector files in the forms in which they lie on agencies' servers: packed, as folders, and of MapInfo."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sluiceway.errors import SluicewayError, SourceMissingError, SourceUnreadableError
from sluiceway.ledger.store import TableRun
from tests.infer.drafted import Drafted, drafted, zipped
from tests.sources.formats.vector.vector_cases import frame

Query = Callable[..., list[tuple[Any, ...]]]
Load = Callable[..., TableRun]


# packed alone


@pytest.mark.parametrize(
    "name", ["a.geojson.gz", "a.json.gz", "a.gpkg.gz", "a.fgb.zst", "a.GEOJSON.gz", "a.geojson.zst"]
)
def test_a_vector_file_that_is_compressed_alone_is_loaded(load: Load, tmp_path: Path, query: Query, name: str) -> None:
    inner = tmp_path / Path(name).with_suffix("").name.lower().replace(".json", ".geojson")
    frame().to_file(inner)
    pack = gzip.compress if name.endswith(".gz") else zstandard.compress
    assert load(name, pack(inner.read_bytes())).inserted == 3
    assert query("SELECT name, ST_Area(geom) FROM drafted ORDER BY id LIMIT 1") == [("Müller", 1.0)]


def test_a_compressed_file_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    from sluiceway.infer.preview import preview
    from sluiceway.tables.registry import read_spec

    frame().to_file(tmp_path / "b.geojson")
    packed = gzip.compress((tmp_path / "b.geojson").read_bytes())
    draft = drafted(tmp_path, "a.geojson.gz", packed)
    draft.out.write_text(draft.text.replace("[columns]", "max_bytes = 100\n\n[columns]"), encoding="utf-8")
    with pytest.raises(SourceUnreadableError, match=r"unpacks to more than source\.max_bytes = 100 bytes"):
        preview(read_spec(draft.out))


def test_a_compressed_file_that_is_cut_off_is_one_sentence(tmp_path: Path) -> None:
    frame(200).to_file(tmp_path / "b.geojson")
    with pytest.raises(SourceUnreadableError, match=r"a\.geojson\.gz is broken or cut off"):
        drafted(tmp_path, "a.geojson.gz", gzip.compress((tmp_path / "b.geojson").read_bytes())[:-20])


# a folder


@pytest.fixture
def geodatabase(tmp_path: Path) -> Path:
    folder = tmp_path / "x.gdb"
    frame().rename(columns={"id": "number"}).to_file(folder, driver="OpenFileGDB", layer="parks")
    return folder


def test_a_file_geodatabase_is_loaded_as_the_folder_that_it_is(load: Load, geodatabase: Path, query: Query) -> None:
    found = load("x.gdb")
    size = sum(each.stat().st_size for each in geodatabase.iterdir())
    assert (found.inserted, found.bytes) == (3, size)
    assert query("SELECT name FROM drafted ORDER BY number LIMIT 1") == [("Müller",)]
    assert load("x.gdb").status == "unchanged"
    frame(4).rename(columns={"id": "number"}).to_file(geodatabase, driver="OpenFileGDB", layer="parks")
    assert load("x.gdb").inserted == 1


def test_the_object_id_of_a_file_geodatabase_is_a_column(tmp_path: Path) -> None:
    frame().drop(columns="id").to_file(tmp_path / "x.gdb", driver="OpenFileGDB", layer="parks")
    draft = Drafted(tmp_path / "x.gdb", tmp_path / "drafted.toml")
    assert draft.types == {"name": "text", "objectid": "integer"}
    assert draft.data["key"] == "objectid"
    assert "many programs number the rows anew" in draft.comment("key")


def test_a_link_within_a_file_geodatabase_leads_nowhere(geodatabase: Path, tmp_path: Path) -> None:
    table = max(geodatabase.glob("*.gdbtable"))
    table.rename(tmp_path / "secret")
    table.symlink_to(tmp_path / "secret")
    with pytest.raises(SluicewayError, match=r"x\.gdb"):
        Drafted(geodatabase, tmp_path / "drafted.toml")


def test_another_folder_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceMissingError, match="there is no such file but a folder, which is no FileGDB"):
        Drafted(tmp_path / "data", tmp_path / "drafted.toml")
    (tmp_path / "e.gdb").mkdir()
    with pytest.raises(SourceUnreadableError, match=r"e\.gdb cannot be read: the folder is no FileGDB"):
        Drafted(tmp_path / "e.gdb", tmp_path / "drafted.toml")


# MapInfo


@pytest.mark.parametrize("ending", [".mif", ".tab"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_mapinfo_file_is_loaded_by_its_parts(
    load: Load, tmp_path: Path, query: Query, ending: str, packed: bool
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    frame().to_crs(27700).to_file(made / f"parks{ending}", driver="MapInfo File", encoding="UTF-8")
    name = f"parks{ending}"
    if packed:
        parts = {each.name.replace(".", "__"): each.read_bytes() for each in made.iterdir()}
        (tmp_path / "a.zip").write_bytes(zipped(**parts))
        name = "a.zip"
    else:
        shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    assert load(name).inserted == 3
    assert query("SELECT id, name FROM drafted ORDER BY id LIMIT 2") == [(1, "Müller"), (2, "O'Higgins")]


@pytest.mark.parametrize(("ending", "missing"), [(".mif", ".mid"), (".tab", ".dat"), (".tab", ".map")])
def test_a_mapinfo_file_without_its_parts_is_one_sentence(tmp_path: Path, ending: str, missing: str) -> None:
    frame().to_file(tmp_path / f"parks{ending}", driver="MapInfo File")
    (tmp_path / f"parks{missing}").unlink()
    with pytest.raises(SourceUnreadableError, match=rf"there is no \{missing} beside it"):
        Drafted(tmp_path / f"parks{ending}", tmp_path / "drafted.toml")


@pytest.mark.parametrize(
    "text",
    [
        '!table\n!version 300\nOpen Table "/etc/passwd" Hide\nCreate View x As\nSelect a\nFrom b\n',
        '!table\n!version 300\nDefinition Table\n  File "/etc/passwd"\n  Type "RASTER"\n',
        '!table\n!version 300\nDefinition Table\n  Type DBF Charset "Neutral"\n',
    ],
)
def test_a_mapinfo_table_that_points_elsewhere_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceUnreadableError, match="it only points to other data"):
        drafted(tmp_path, "a.tab", text)


def test_a_mapinfo_file_that_announces_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    head = 'Version 300\nCharset "Neutral"\nDelimiter ","\nColumns 1\n  a Integer\nData\n\n'
    (tmp_path / "a.mid").write_text("1\n")
    with pytest.raises(SourceUnreadableError, match="it announces 999,999,999 points or parts, more than it can hold"):
        drafted(tmp_path, "a.mif", head + "Pline 999999999\n1 2\n3 4\n")


def test_a_text_with_tabs_is_no_mapinfo_table(tmp_path: Path) -> None:
    assert drafted(tmp_path, "a.tab", "id\tname\n1\tx\n2\ty\n").types == {"id": "integer", "name": "text"}
