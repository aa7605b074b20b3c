"""From a uri to a file, and the fingerprint by which an unchanged source is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, SourceMissingError
from sluiceway.sources.locate import fingerprint, locate


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `citydata` that breaks when it is imported."""
    folder = tmp_path / "site" / "citydata"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "big city.csv").write_text("id\n1\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_a_package_uri_names_a_file_inside_it_without_importing_it(package: Path) -> None:
    assert locate("package://citydata/big%20city.csv") == package / "big city.csv"


def test_a_file_uri_and_a_path_name_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("x")
    assert locate((tmp_path / "a b.csv").as_uri()) == locate(str(tmp_path / "a b.csv")) == tmp_path / "a b.csv"


def test_an_unknown_scheme_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"packge://x/y\.csv: packge:// is no scheme .*; did you mean 'package'\?"):
        locate("packge://x/y.csv")
    with pytest.raises(ConfigError, match=r"ftp:// is no scheme Sluiceway reads"):
        locate("ftp://host/y.csv")


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(SourceMissingError, match="the Python package 'no_such_package' is not installed"):
        locate("package://no_such_package/y.csv")
    with pytest.raises(SourceMissingError, match="the Python package '' is not installed"):
        locate("package:///y.csv")


def test_a_missing_file_of_a_package_names_the_nearest(package: Path) -> None:
    with pytest.raises(SourceMissingError, match=r"there is no such file; did you mean 'big city\.csv'\?"):
        locate("package://citydata/bigcity.csv")


def test_a_missing_file_with_nothing_like_it_names_none(tmp_path: Path) -> None:
    (tmp_path / "unrelated.xlsx").write_text("x")
    with pytest.raises(SourceMissingError, match=r"city\.csv: there is no such file$"):
        locate(str(tmp_path / "city.csv"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match="there is no such file"):
        locate(str(tmp_path))


@pytest.mark.parametrize("suffix", [".shp", ".shx", ".dbf", ".prj", ".cpg"])
def test_a_fingerprint_changes_with_every_part_of_a_shapefile(tmp_path: Path, suffix: str) -> None:
    for part in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
        (tmp_path / f"park{part}").write_text(part)
    before, size = fingerprint(tmp_path / "park.shp")
    assert size == 20
    (tmp_path / f"park{suffix}").write_text("more" + suffix)
    assert fingerprint(tmp_path / "park.shp") != (before, size)
    assert fingerprint(tmp_path / "park.shp")[1] == 24


def test_a_part_that_is_gone_or_renamed_changes_the_fingerprint(tmp_path: Path) -> None:
    for part in (".shp", ".dbf", ".prj"):
        (tmp_path / f"park{part}").write_text("same")
    before = fingerprint(tmp_path / "park.shp")
    (tmp_path / "park.prj").rename(tmp_path / "park.cpg")
    renamed = fingerprint(tmp_path / "park.shp")
    (tmp_path / "park.cpg").unlink()
    assert len({before, renamed, fingerprint(tmp_path / "park.shp")}) == 3


def test_files_that_are_no_part_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "park.shp").write_text("x")
    before = fingerprint(tmp_path / "park.shp")
    (tmp_path / "park.txt").write_text("notes")
    (tmp_path / "parks.dbf").write_text("another layer")
    (tmp_path / "park.shp").touch()
    assert fingerprint(tmp_path / "park.shp") == before


def test_the_parts_of_an_upper_case_shapefile_count_too(tmp_path: Path) -> None:
    (tmp_path / "PARK.SHP").write_text("x")
    (tmp_path / "PARK.DBF").write_text("x")
    before = fingerprint(tmp_path / "PARK.SHP")
    (tmp_path / "PARK.DBF").write_text("y")
    assert fingerprint(tmp_path / "PARK.SHP") != before


def test_a_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("id\n1\n")
    assert fingerprint(tmp_path / "a.csv") == fingerprint(tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("id\n2\n")
    assert fingerprint(tmp_path / "a.csv") != fingerprint(tmp_path / "b.csv")
