"""One is called as one, and bytes have one unit everywhere."""

from __future__ import annotations

import pytest

from sluiceway.amounts import counted, size


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_234_567, "1,234,567 rows")])
def test_one_is_called_as_one(count: int, said: str) -> None:
    assert counted(count, "row") == said


def test_what_is_counted_may_have_its_verb() -> None:
    assert [counted(count, "item is", "items are") for count in (0, 1, 2)] == [
        "0 items are",
        "1 item is",
        "2 items are",
    ]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_024, "1.0 KiB"),
        (10_188, "9.9 KiB"),
        (10_190, "10 KiB"),
        (300 << 20, "300 MiB"),
        ((1 << 30) - 1, "1.00 GiB"),
        (3 << 29, "1.50 GiB"),
        (2_048 << 30, "2,048.00 GiB"),
    ],
)
def test_bytes_are_said_in_the_units_that_a_tables_file_declares(count: int, said: str) -> None:
    assert size(count) == said
