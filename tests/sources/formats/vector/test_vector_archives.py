"""Vector files in archives: in folders, in capitals, several of them, among other files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sluiceway.errors import SchemaDriftError, SourceMissingError, SourceUnreadableError
from tests.sources.formats.vector.vector_cases import frame, names, park, parts, rows, zipped

pytestmark = pytest.mark.filterwarnings("ignore:Field id of type")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shapefiles park (3 rows) and road (2), and park in other formats."""
    path = tmp_path_factory.mktemp("unpacked")
    frame().to_file(path / "park.shp")
    frame(2).to_file(path / "road.shp")
    frame().to_file(path / "park.gpkg", layer="park")
    frame().to_file(path / "park.gml", driver="GML")
    frame().to_file(path / "doc.kml", driver="KML")
    frame().to_file(path / "park.gdb", driver="OpenFileGDB", layer="park")
    frame(2).to_file(path / "park.gdb", driver="OpenFileGDB", layer="road", mode="a")
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "park.zip"


def geodatabase(folder: Path, prefix: str) -> list[tuple[str, Path]]:
    return [(prefix + each.name, each) for each in sorted((folder / "park.gdb").iterdir())]


@pytest.mark.parametrize("prefix", ["", "data/", "Data 2020/Été/x/", "dir\\"])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("stem", ["park", "PARK", "cb_2016 (1)", "a!b #?%é"])
def test_a_shapefile_is_found_wherever_it_lies(
    prefix: str, upper: bool, stem: str, folder: Path, archive: Path
) -> None:
    zipped(archive, parts(folder / "park.shp", prefix, stem=stem, upper=upper))
    assert names(park(archive)) == ["Müller", "O'Higgins", "Ωmega"]


def test_parts_whose_names_differ_in_capitals_belong_together(folder: Path, archive: Path) -> None:
    stems = {".shp": "Park", ".shx": "park", ".dbf": "PARK", ".prj": "park", ".cpg": "pArK"}
    zipped(archive, [(stem + ending, folder / f"park{ending}") for ending, stem in stems.items()])
    assert names(park(archive)) == ["Müller", "O'Higgins", "Ωmega"]


def test_of_several_shapefiles_one_is_named_as_member_or_as_layer(folder: Path, archive: Path) -> None:
    zipped(archive, parts(folder / "park.shp", "a/") + parts(folder / "road.shp", "b/"))
    listed = r"park\.zip holds 2 files: a/park\.shp, b/road\.shp; name one as source\.member"
    with pytest.raises(SourceMissingError, match=listed):
        rows(park(archive))
    assert len(rows(park(archive, member="b/road.shp"))) == 2
    # as GDAL calls them
    assert len(rows(park(archive, layer="road"))) == 2
    with pytest.raises(SourceMissingError, match=listed):
        rows(park(archive, layer="raod"))
    with pytest.raises(SourceMissingError, match=r"has no member 'b/raod\.shp'; did you mean 'b/road\.shp'\?"):
        rows(park(archive, member="b/raod.shp"))
    with pytest.raises(SourceMissingError, match=r"has no layer 'park'; known: road"):
        rows(park(archive, member="b/road.shp", layer="park"))


def test_shapefiles_of_one_name_in_two_folders_are_told_apart_by_member_only(folder: Path, archive: Path) -> None:
    zipped(archive, parts(folder / "park.shp", "a/") + parts(folder / "road.shp", "b/", stem="park"))
    with pytest.raises(SourceMissingError, match=r"holds 2 files: a/park\.shp, b/park\.shp; name one as source\.memb"):
        rows(park(archive, layer="park"))
    assert len(rows(park(archive, member="a/park.shp"))) == 3
    assert len(rows(park(archive, member="b/park.shp"))) == 2


def test_what_macos_and_gis_programs_add_is_passed_over(folder: Path, archive: Path) -> None:
    added = ["__MACOSX/._park.shp", "._park.shp", ".DS_Store", "park.shp.xml", "park.sbn", "park.qix", "readme.txt"]
    zipped(archive, [*parts(folder / "park.shp"), *((name, b"\0\0\x27\x0a") for name in added), ("meta.json", b"{}")])
    assert len(rows(park(archive))) == 3


@pytest.mark.parametrize(
    ("missing", "error", "message"),
    [
        (".shx", SourceUnreadableError, r"park\.zip, x/park\.shp cannot be read: there is no \.shx beside it"),
        (".dbf", SchemaDriftError, r"column 'id' is missing, like all others: there is no \.dbf beside it"),
    ],
)
def test_a_part_that_is_not_in_the_archive_is_named(
    missing: str, error: type[Exception], message: str, folder: Path, archive: Path
) -> None:
    zipped(archive, [part for part in parts(folder / "park.shp", "x/") if not part[0].endswith(missing)])
    with pytest.raises(error, match=message):
        rows(park(archive))


def test_a_dbf_beside_a_shapefile_is_read_when_it_is_named(folder: Path, archive: Path) -> None:
    zipped(archive, [*parts(folder / "park.shp"), ("code.dbf", folder / "road.dbf")])
    assert len(rows(park(archive, geometry={}, member="code.dbf", encoding="utf-8"))) == 2
    zipped(archive, [("code.dbf", folder / "road.dbf")])
    assert len(rows(park(archive, geometry={}, encoding="utf-8"))) == 2


@pytest.mark.parametrize("prefix", ["park.gdb/", "x/y/Park.GDB/", ""])
def test_layers_of_a_zipped_file_geodatabase_are_listed_and_one_is_named(
    prefix: str, folder: Path, archive: Path
) -> None:
    zipped(archive, geodatabase(folder, prefix))
    with pytest.raises(SourceMissingError, match=r"holds 2 layers: park, road; name one as source\.layer"):
        rows(park(archive))
    with pytest.raises(SourceMissingError, match=r"has no layer 'raod'; did you mean 'road'\?"):
        rows(park(archive, layer="raod"))
    assert len(rows(park(archive, layer="road"))) == 2
    assert names(park(archive, layer="park")) == ["Müller", "O'Higgins", "Ωmega"]


def test_of_several_file_geodatabases_one_is_named(folder: Path, archive: Path) -> None:
    zipped(archive, geodatabase(folder, "a/park.gdb/") + geodatabase(folder, "b/park.gdb/"))
    with pytest.raises(
        SourceMissingError, match=r"holds 2 files: a/park\.gdb, b/park\.gdb; name one as source\.member"
    ):
        rows(park(archive, layer="park"))
    for member in ("b/park.gdb", "b/park.gdb/"):
        assert len(rows(park(archive, layer="park", member=member))) == 3


def test_files_of_other_formats_are_read_out_of_an_archive(folder: Path, archive: Path) -> None:
    zipped(archive, [("x/park.gpkg", folder / "park.gpkg"), ("y/other.gpkg", folder / "park.gpkg")])
    assert len(rows(park(archive, member="y/other.gpkg", layer="park"))) == 3
    zipped(archive, [("x/park.gml", folder / "park.gml"), ("x/park.xsd", folder / "park.xsd")])
    assert len(rows(park(archive))) == 3
    kmz = zipped(archive.with_suffix(".kmz"), [("doc.kml", folder / "doc.kml"), ("files/other.kml", b"<kml/>")])
    assert len(rows(park(kmz, {"name": ("Name", "text")}))) == 3


@pytest.mark.parametrize(
    ("members", "held"), [([], "nothing"), ([("a.txt", b"x"), ("b.zip", b"PK")], r"a\.txt, b\.zip")]
)
def test_an_archive_without_a_vector_file_says_what_it_holds(
    members: list[tuple[str, bytes]], held: str, archive: Path
) -> None:
    with pytest.raises(SourceMissingError, match=f"holds no vector file; it holds {held}$"):
        rows(park(zipped(archive, members)))


@pytest.mark.parametrize("name", ["../park.gpkg", "/park.gpkg", "C:\\park.gpkg", "a\\..\\..\\park.gpkg"])
def test_an_archive_that_points_outside_of_itself_is_refused(name: str, folder: Path, archive: Path) -> None:
    with pytest.raises(SourceUnreadableError, match="points outside of the archive; the archive is refused"):
        rows(park(zipped(archive, [(name, folder / "park.gpkg")])))


@pytest.mark.parametrize("file", ["data.bin", "park", "park.geopackage", "park.zip"])
def test_a_file_is_known_by_its_content_where_its_name_says_nothing(file: str, folder: Path, tmp_path: Path) -> None:
    if file.endswith(".zip"):
        zipped(tmp_path / "park.bin", parts(folder / "park.shp"))
        assert len(rows(park(tmp_path / "park.bin"))) == 3
    else:
        shutil.copy(folder / "park.gpkg", tmp_path / file)
        assert len(rows(park(tmp_path / file))) == 3


@pytest.mark.parametrize(
    ("content", "file"), [("park.shp", "park.gpkg"), ("park.gpkg", "park.json"), ("park.gml", "x.shp")]
)
def test_a_file_that_is_not_what_its_name_says_is_an_error(
    content: str, file: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / content, tmp_path / file)
    with pytest.raises(SourceUnreadableError, match="cannot be read: it does not begin as a"):
        rows(park(tmp_path / file))
