"""From a uri to a file, and the fingerprint by which an unchanged source is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, SourceMissingError
from sluiceway.sources.hashing import fingerprint
from sluiceway.sources.local import locate
from sluiceway.sources.place import without_secrets


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


@pytest.mark.parametrize(
    "path", ["../../secret.csv", "x/../../../secret.csv", "%2e%2e/%2e%2e/secret.csv", "//../../secret.csv"]
)
def test_a_path_that_leads_out_of_its_package_is_refused(package: Path, path: str) -> None:
    (package.parent.parent / "secret.csv").write_text("id\n1\n")
    with pytest.raises(ConfigError, match=r"leads out of the package 'citydata'; name a file inside it$"):
        locate(f"package://citydata/{path}")


def test_a_link_that_leads_out_of_its_package_is_refused(package: Path) -> None:
    (package.parent.parent / "secret.csv").write_text("id\n1\n")
    (package / "inside.csv").symlink_to(package.parent.parent / "secret.csv")
    with pytest.raises(ConfigError, match=r"is a link that leads out of the package 'citydata'"):
        locate("package://citydata/inside.csv")


@pytest.mark.parametrize("name", ["..", ".", "a..b", "citydata@x", "citydata:80", "a b", "%2e%2e"])
def test_what_is_no_name_of_a_package_is_a_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is no name of a Python package; write package://<import name>/<path>"):
        locate(f"package://{name}/x")


@pytest.mark.parametrize("name", ["__main__", "no.such", "citydata.none"])
def test_a_package_that_python_cannot_find_is_a_sentence_and_none_is_run(package: Path, name: str) -> None:
    with pytest.raises(SourceMissingError, match=f"the Python package '{name}' is not installed"):
        locate(f"package://{name}/x")


def test_a_package_within_another_is_found_without_running_either(package: Path) -> None:
    (package / "more").mkdir()
    (package / "more" / "town.csv").write_text("id\n1\n")
    assert locate("package://citydata.more/town.csv") == package / "more" / "town.csv"


@pytest.mark.parametrize("uri", ["/proc/self/environ", "file:///proc/self/environ", "/dev/../proc/self/environ"])
def test_what_the_system_says_of_processes_is_no_data(uri: str, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("/proc/self/environ")
    for each in (uri, str(tmp_path / "link.csv")):
        with pytest.raises(ConfigError, match="is no file of data but the system's own"):
            locate(each)


def test_a_file_uri_that_names_a_machine_is_refused_and_says_what_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"names the machine 'etc'; file:///etc/passwd names a file here$"):
        locate("file://etc/passwd")


def test_files_are_read_from_declared_folders_alone_and_from_that_of_the_tables(
    tmp_path: Path, setting: Callable[..., None]
) -> None:
    for folder in ("data", "config/tables", "other"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.csv").write_text("id\n1\n")
    (tmp_path / "data" / "link.csv").symlink_to(tmp_path / "other" / "a.csv")
    assert locate(str(tmp_path / "other" / "a.csv"))
    setting(file_roots=f"{tmp_path / 'data'}, /srv", config_dir=tmp_path / "config")
    for good in ("data/a.csv", "config/tables/a.csv"):
        assert locate(str(tmp_path / good)) == tmp_path / good
    for bad in ("other/a.csv", "data/link.csv", "data/../other/a.csv"):
        with pytest.raises(ConfigError, match=r"lies in none of the folders .* SLUICEWAY_FILE_ROOTS"):
            locate((tmp_path / bad).as_uri() if ".." not in bad else str(tmp_path / bad))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sftp://anna:geheim@host/a.csv", "sftp://host/a.csv"),
        ("sftp://anna:ge@heim@host:22/a.csv", "sftp://host:22/a.csv"),
        ("sftp://anna:ge/hei#m?@host/a@b.csv", "sftp://b.csv"),
        ("https://host/a.csv?sig=geheim#geheim", "https://host/a.csv"),
        ("https://host:8443/@anna/a.csv", "https://host:8443/@anna/a.csv"),
        ("https://[::1]:8443/a.csv?geheim", "https://[::1]:8443/a.csv"),
        ("https://host?geheim", "https://host"),
        ("https://anna:geheim@[bad/a.csv", "https://[bad/a.csv"),
        ("data/a@b?c#d.csv", "data/a@b?c#d.csv"),
    ],
)
def test_an_address_is_shown_without_who_logs_in_and_what_is_asked(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown


def test_a_password_in_an_address_stands_in_no_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^sftp://host/a\.csv: sftp:// is no scheme") as caught:
        locate("sftp://anna:geheim@host/a.csv?key=geheim")
    assert "geheim" not in str(caught.value)
