"""Files that are cut off, lack a part, or whose parts do not fit: an error that says so, and never fewer rows."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from sluiceway.errors import SchemaDriftError, SluicewayError, SourceMissingError, SourceUnreadableError
from tests.sources.formats.vector.vector_cases import (
    ENDINGS,
    collection,
    features,
    frame,
    names,
    park,
    parts,
    rows,
    write_dbf,
    zipped,
)


@pytest.fixture
def shapefile(tmp_path: Path) -> Path:
    frame().to_file(tmp_path / "park.shp")
    return tmp_path / "park.shp"


@pytest.mark.parametrize("ending", [".shp", ".shx", ".dbf"])
@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.8, 0.99])
def test_a_part_of_a_shapefile_that_is_cut_off_is_an_error(ending: str, share: float, shapefile: Path) -> None:
    part = shapefile.with_suffix(ending)
    whole = part.read_bytes()
    part.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceUnreadableError):
        rows(park(shapefile))


def test_each_byte_at_which_a_dbf_can_be_cut_off_is_noticed(shapefile: Path) -> None:
    whole = shapefile.with_suffix(".dbf").read_bytes()
    # its last byte says that it ends, and is often missing
    for size in range(len(whole) - 1):
        shapefile.with_suffix(".dbf").write_bytes(whole[:size])
        with pytest.raises(SourceUnreadableError):
            rows(park(shapefile))
    shapefile.with_suffix(".dbf").write_bytes(whole[:-1])
    assert len(rows(park(shapefile))) == 3


def test_a_shapefile_without_its_shx_says_so(shapefile: Path) -> None:
    shapefile.with_suffix(".shx").unlink()
    with pytest.raises(SourceUnreadableError, match=r"there is no \.shx beside it; a shapefile is \.shp, \.shx and \."):
        rows(park(shapefile))


def test_a_shapefile_without_its_dbf_says_so(shapefile: Path) -> None:
    shapefile.with_suffix(".dbf").unlink()
    with pytest.raises(SchemaDriftError, match=r"column 'id' is missing, like all others: there is no \.dbf beside it"):
        rows(park(shapefile))


def test_a_shapefile_whose_prj_is_cut_off_says_so(shapefile: Path) -> None:
    prj = shapefile.with_suffix(".prj")
    prj.write_bytes(prj.read_bytes()[:60])
    with pytest.raises(SourceUnreadableError, match=r"what it says of its CRS is broken .*\.prj"):
        rows(park(shapefile))


def set_header(path: Path, offset: int, form: str, value: int) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, value)
    path.write_bytes(content)


@pytest.mark.parametrize("words", [0, 5, 5_000_000])
def test_a_shp_whose_header_lies_about_its_length_is_read_in_full(words: int, shapefile: Path) -> None:
    set_header(shapefile, 24, ">i", words)
    assert len(rows(park(shapefile))) == 3


@pytest.mark.parametrize("words", [50, 54, 58, 66, 4050])
def test_a_shx_whose_header_lies_about_its_length_is_an_error(words: int, shapefile: Path) -> None:
    set_header(shapefile.with_suffix(".shx"), 24, ">i", words)
    said = r"its \.shx says there (is 1 shape|are [\d,]+ shapes), and its \.dbf 3 rows"
    with pytest.raises(SourceUnreadableError, match=said):
        rows(park(shapefile))


@pytest.mark.parametrize("count", [0, 2, 4, 20])
def test_a_dbf_whose_header_lies_about_its_rows_is_an_error(count: int, shapefile: Path) -> None:
    set_header(shapefile.with_suffix(".dbf"), 4, "<I", count)
    with pytest.raises(SourceUnreadableError, match=r"do not belong together|park\.dbf is cut off"):
        rows(park(shapefile))


@pytest.mark.parametrize("endings", [(".dbf",), (".shp", ".shx")])
def test_parts_of_two_shapefiles_that_were_mixed_up_are_an_error(
    endings: tuple[str, ...], shapefile: Path, tmp_path: Path
) -> None:
    frame(2).to_file(tmp_path / "other.shp")
    for ending in endings:
        shutil.copy(tmp_path / f"other{ending}", shapefile.with_suffix(ending))
    with pytest.raises(SourceUnreadableError, match="they do not belong together"):
        rows(park(shapefile))


def test_rows_that_are_marked_as_deleted_are_left_out(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "park.shp")
    write_dbf(tmp_path / "park.dbf", [b"a", b"b", b"c"], deleted={2})
    assert names(park(tmp_path / "park.shp")) == ["a", "c"]


def test_a_dbf_whose_rows_are_all_marked_as_deleted_has_none(tmp_path: Path) -> None:
    write_dbf(tmp_path / "park.dbf", [b"a", b"b"], deleted={1, 2})
    assert rows(park(tmp_path / "park.dbf", geometry={})) == []


def test_a_dbf_without_shapes_is_a_table(tmp_path: Path) -> None:
    write_dbf(tmp_path / "park.dbf", [b"a", b"b"])
    assert rows(park(tmp_path / "park.dbf", geometry={})) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    with pytest.raises(SchemaDriftError, match=r"park\.dbf, layer park has no geometry"):
        rows(park(tmp_path / "park.dbf"))
    whole = (tmp_path / "park.dbf").read_bytes()
    (tmp_path / "park.dbf").write_bytes(whole[:-10])
    with pytest.raises(SourceUnreadableError, match=r"park\.dbf is cut off: its 2 rows need"):
        rows(park(tmp_path / "park.dbf", geometry={}))


@pytest.mark.parametrize("like", ["Park.SHP", "PARK.SHP", "park.Shp"])
def test_endings_in_capitals_are_those_of_a_shapefile(like: str, shapefile: Path, tmp_path: Path) -> None:
    folder = tmp_path / "capitals"
    folder.mkdir()
    stem, _, ending = like.partition(".")
    for part in ENDINGS:
        shutil.copy(shapefile.with_suffix(part), folder / (stem + (part if ending == "Shp" else part.upper())))
    if ending == "Shp":
        (folder / "park.shp").rename(folder / like)
    assert len(rows(park(folder / like))) == 3


def test_parts_that_differ_in_the_capitals_of_their_names_are_found(shapefile: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(shapefile, folder / "park.shp")
    for part in ENDINGS[1:]:
        shutil.copy(shapefile.with_suffix(part), folder / f"PARK{part.upper()}")
    assert names(park(folder / "park.shp")) == ["Müller", "O'Higgins", "Ωmega"]


def test_multipatches_are_refused_with_a_sentence(shapefile: Path) -> None:
    set_header(shapefile, 32, "<i", 31)
    with pytest.raises(
        SourceUnreadableError, match=r"holds MultiPatches, surfaces in space, which are not loaded; make"
    ):
        rows(park(shapefile))


def test_each_byte_at_which_a_geojson_can_be_cut_off_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    whole = collection({"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    for size in range(len(whole)):
        path.write_text(whole[:size])
        with pytest.raises(SluicewayError):
            rows(park(path))
    path.write_text(whole)
    assert names(park(path)) == ["a", "b"]


def test_a_large_geojson_that_ends_behind_a_feature_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    whole = collection(*({"id": number, "name": "x" * 400} for number in range(20_000)))
    path.write_text(whole[: whole.rindex(', {"type": "Feature"')])
    with pytest.raises(SourceUnreadableError, match=r"park\.geojson cannot be read"):
        rows(park(path))


@pytest.mark.parametrize("ending", [".geojson", ".geojsonl", ".json"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_features_one_a_line_are_all_read(ending: str, mark: str, tmp_path: Path) -> None:
    path = tmp_path / f"park{ending}"
    lines = [
        json.dumps(feature) for feature in features(*({"id": number, "name": str(number)} for number in (1, 2, 3)))
    ]
    path.write_text(mark + "\n".join(lines), encoding="utf-8")
    assert names(park(path)) == ["1", "2", "3"]
    path.write_text(mark + "\n".join(lines)[:-30], encoding="utf-8")
    with pytest.raises(SourceUnreadableError, match="says it holds 3 features and gave 2"):
        rows(park(path))


def test_features_behind_record_separators_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "park.geojsons"
    records = [json.dumps(feature, indent=1) for feature in features({"id": 1, "name": "a"}, {"id": 2, "name": "b"})]
    path.write_text("".join(f"\x1e{record}\n" for record in records))
    assert names(park(path)) == ["a", "b"]
    path.write_text("".join(f"\x1e{record}\n" for record in records)[:-40])
    with pytest.raises(SourceUnreadableError):
        rows(park(path))


@pytest.mark.parametrize("between", ["", "\n", " \n\n "])
def test_a_second_document_in_the_same_file_is_not_passed_over(between: str, tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "a"}) + between + collection({"id": 2, "name": "b"}))
    with pytest.raises(SourceUnreadableError):
        rows(park(path))
    indented = [json.dumps(feature, indent=1) for feature in features({"id": 1, "name": "a"}, {"id": 2, "name": "b"})]
    path.write_text(between.join(indented))
    with pytest.raises(SourceUnreadableError):
        rows(park(path))


def test_a_value_that_looks_like_a_feature_is_none(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "a", "more": {"type": "Feature", "text": '\\"}]}'}}) + "\n\n")
    assert names(park(path)) == ["a"]


def test_one_page_of_a_services_answer_is_not_taken_for_the_layer(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "a"}, properties={"exceededTransferLimit": True}))
    with pytest.raises(SourceUnreadableError, match="it is one page of more, and not the whole layer"):
        rows(park(path))
    path.write_text(collection({"id": 1, "name": "a", "exceededTransferLimit": True}))
    assert names(park(path)) == ["a"]


@pytest.mark.parametrize("ending", [".gml", ".kml"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_xml_that_breaks_off_is_an_error(ending: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"park{ending}"
    frame().to_file(path, driver=ending[1:].upper())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceUnreadableError, match="cannot be read"):
        rows(park(path, {"name": ("Name", "text")}))


@pytest.mark.parametrize("part", ["a00000001.gdbtable", "a00000009.gdbtable", "a00000009.gdbtablx"])
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
@pytest.mark.filterwarnings("ignore:Field id of type")
def test_a_table_of_a_file_geodatabase_that_is_cut_off_is_an_error(part: str, share: float, tmp_path: Path) -> None:
    frame(4000).to_file(tmp_path / "park.gdb", driver="OpenFileGDB", layer="park")
    members = [
        (f"park.gdb/{each.name}", each.read_bytes()[: int(each.stat().st_size * share)] if each.name == part else each)
        for each in (tmp_path / "park.gdb").iterdir()
    ]
    with pytest.raises(SluicewayError):
        rows(park(zipped(tmp_path / "park.zip", members)))


@pytest.mark.filterwarnings("ignore:Field id of type")
def test_a_table_of_a_file_geodatabase_without_its_index_is_an_error(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "park.gdb", driver="OpenFileGDB", layer="park")
    members = [
        (f"park.gdb/{each.name}", each) for each in (tmp_path / "park.gdb").glob("*") if each.suffix != ".gdbtablx"
    ]
    with pytest.raises(SourceUnreadableError, match=r"there is no \w+\.gdbtablx beside"):
        rows(park(zipped(tmp_path / "park.zip", members)))


def test_a_zip_that_is_cut_off_or_damaged_is_an_error(shapefile: Path, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "park.zip", parts(shapefile)).read_bytes()
    (tmp_path / "park.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceUnreadableError, match=r"park\.zip is no zip archive, or a broken one"):
        rows(park(tmp_path / "park.zip"))
    damaged = bytearray(whole)
    damaged[60] ^= 0xFF
    (tmp_path / "park.zip").write_bytes(damaged)
    with pytest.raises((SourceUnreadableError, SourceMissingError)):
        rows(park(tmp_path / "park.zip"))


def test_what_gdal_quotes_of_a_file_is_cut_to_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "a"}).replace('"id": 1', f'"id": {"9-" * 10_000}'))
    with pytest.raises(SourceUnreadableError, match="Unrecognized number: 9-9-") as caught:
        rows(park(path))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("computed", [True, False])
def test_a_name_of_a_geopackage_that_is_no_text_is_one_sentence(tmp_path: Path, computed: bool) -> None:
    path = tmp_path / "park.gpkg"
    frame().to_file(path, layer="park")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE VIEW xyz AS {'SELECT 1 AS one' if computed else 'SELECT 1 FROM xyz'}")
    path.write_bytes(path.read_bytes().replace(b"xyz", b"\xff\xff\xff").replace(b"1 FROM", b"1 FORM"))
    with pytest.raises(SourceUnreadableError, match=r"park\.gpkg cannot be read: it holds a name that is no UTF-8"):
        rows(park(path))


@pytest.mark.parametrize("file", ["park.kml", "park.gml"])
@pytest.mark.parametrize("encoding", ["u_tf-8", "rot13", "utf-16-le", "shift_jis"])
def test_xml_in_an_encoding_that_its_parser_does_not_know_is_told(file: str, encoding: str, tmp_path: Path) -> None:
    root = {"park.kml": '<kml xmlns="http://www.opengis.net/kml/2.2"/>'}.get(
        file, '<x xmlns:gml="http://www.opengis.net/gml"/>'
    )
    (tmp_path / file).write_text(f'<?xml version="1.0" encoding="{encoding}"?>{root}')
    with pytest.raises(SourceUnreadableError, match=f"{file} cannot be read: no whole XML: "):
        rows(park(tmp_path / file))
