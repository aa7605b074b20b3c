"""A table's file that is put into its canonical form: the same table, as a whole, or left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiceway.errors import ConfigError
from sluiceway.tables import rewrite as module
from sluiceway.tables.rewrite import formatted

FILE = 'key="id"\ndescription = "Cities" # c\n[columns]\nid="integer"\nname="text"\n[source]\nuri="a.csv"\nkind="csv"\n'


@pytest.fixture
def city(tmp_path: Path) -> Path:
    path = tmp_path / "tables" / "city.toml"
    path.parent.mkdir()
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(city: Path) -> None:
    city.chmod(0o640)
    found = formatted(city)
    assert not found.is_canonical
    found.write()
    assert city.read_text(encoding="utf-8").startswith(
        'description = "Cities"  # c\nkey = "id"\n\n[source]\nkind = "csv"\n'
    )
    assert city.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in city.parent.iterdir()] == ["city.toml"]
    assert formatted(city).is_canonical


def test_a_link_stays_a_link(city: Path, tmp_path: Path) -> None:
    link = tmp_path / "city.toml"
    link.symlink_to(city)
    formatted(link).write()
    assert link.is_symlink()
    assert formatted(city).is_canonical


def test_a_file_that_is_wrong_is_left_as_it_is(city: Path) -> None:
    city.write_text(FILE.replace('"csv"', '"cvs"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean 'csv'"):
        formatted(city)


@pytest.mark.parametrize(
    "other",
    [
        FILE.replace("integer", "bigint"),
        FILE.replace('id="integer"\nname="text"', 'name="text"\nid="integer"'),
        FILE.replace("a.csv", "b.csv"),
    ],
    ids=["a type", "the order of columns", "the uri"],
)
def test_a_form_that_says_something_else_is_refused(city: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    monkeypatch.setattr(module, "canonical", lambda _text: other)
    with pytest.raises(ConfigError, match="no canonical form that says the same; it is left as it is"):
        formatted(city)


def test_columns_that_have_no_such_order_are_left_as_they_are(city: Path) -> None:
    # a column in brackets, which has a comment, stands before those that have a line each
    before = '[columns.id]\n# a number\ntype="integer"\n[columns]\nname="text"\n'
    city.write_text(FILE.replace('[columns]\nid="integer"\nname="text"\n', before), encoding="utf-8")
    with pytest.raises(ConfigError, match="no canonical form that says the same"):
        formatted(city)


def test_a_file_that_cannot_be_written_is_one_sentence(city: Path) -> None:
    found = formatted(city)
    city.unlink()
    city.parent.rmdir()
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory; it is as it was"):
        found.write()
