"""Which names fit a pattern, and in which order they are read."""

from __future__ import annotations

import pytest

from sluiceway.tables.patterns import fits, fitting, fixed_part, is_uri_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "a.CSV", False),
        ("*.csv", "x/a.csv", False),
        ("*.csv", ".csv", False),
        ("a?.csv", "ab.csv", True),
        ("a?.csv", "a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/a.csv", True),
        ("**/*.csv", "x/.y/a.csv", False),
        ("x/**/a.csv", "x/a.csv", True),
        ("a[1].csv", "a[1].csv", True),
        ("a[1].csv", "a1.csv", False),
        ("a+(b)*.csv", "a+(b) c.csv", True),
        ("*", "a\nb", True),
    ],
)
def test_what_fits(pattern: str, name: str, fit: bool) -> None:
    assert fits(pattern, name) is fit


def test_numbers_in_names_count_by_their_size_and_no_two_names_are_alike() -> None:
    names = ["p10", "p2", "P2", "p02", "2024-1", "2023-12", "q"]
    assert fitting("*", names) == ["2023-12", "2024-1", "P2", "p02", "p2", "p10", "q"]
    assert fitting("*", reversed(names)) == fitting("*", names)
    # more digits than Python makes a number of
    assert fitting("*", ["9" * 5_000, "0" * 5_000 + "1", "10"]) == ["0" * 5_000 + "1", "10", "9" * 5_000]


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("data/*.csv", True),
        ("data/a?.csv", True),
        ("data/a[1].csv", False),
        ("file:///data/*.csv", True),
        ("package://flights/data/*.csv", True),
        ("s3://bucket/*.csv", True),
        ("s3://bucket/what?.csv", False),
        ("gs://bucket/**/a.csv", True),
        ("https://example.org/query?outFields=*", False),
    ],
)
def test_which_uris_stand_for_several_files(uri: str, found: bool) -> None:
    assert is_uri_pattern(uri) is found


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [("a/b/*.csv", "a/b/"), ("*.csv", ""), ("a/b*/c.csv", "a/"), ("/x/**/*.csv", "/x/"), ("x/a?/b*", "x/")],
)
def test_the_folders_in_front_of_a_pattern(pattern: str, fixed: str) -> None:
    assert fixed_part(pattern) == fixed
