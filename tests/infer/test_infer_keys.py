"""The key that a draft proposes: by the names and the values of a file's columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from tests.infer.drafted import Drafted, drafted

COUNTIES = 58
"""So few that a code of counties is unique by chance."""


def columns(*names: str, values: Callable[[int], str] = str) -> str:
    """A text with these columns, of which every value is unique."""
    rows = (",".join(values(number) for _ in names) for number in range(1, COUNTIES + 1))
    return "\n".join([",".join(names), *rows]) + "\n"


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (("county_code", "site_id", "depth"), "site_id"),
        (("county_code", "depth", "featureid"), "featureid"),
        (("COUNTY_CODE", "AREA", "PARCEL"), "parcel"),
        (("county_code", "area", "APN"), "apn"),
        (("county_code", "area", "parcel_no"), "parcel_no"),
        (("county_code", "area", "OBJECTID"), "objectid"),
        (("county_code", "area", "gml_id"), "gml_id"),
        (("OBJECTID", "county_code", "APN"), "apn"),
        (("fid", "gml_id"), "gml_id"),
        (("OBJECTID", "status_id", "GlobalID"), "global_id"),
        (("zip_code", "permit_number"), "permit_number"),
        (("owner_id", "asset_id"), "asset_id"),
        (("paid", "valid", "grid", "county_code"), "county_code"),
        (("name", "county_code"), "county_code"),
    ],
)
def test_what_names_a_thing_is_the_key_before_what_names_its_county(
    tmp_path: Path, names: tuple[str, ...], key: str
) -> None:
    assert drafted(tmp_path, "a.csv", columns(*names)).data["key"] == key


def test_a_number_of_the_row_names_what_else_would_do(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", columns("OBJECTID", "county_code"))
    assert "many programs number the rows anew" in draft.comment("key")
    assert draft.comment("key").endswith("county_code would do")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_whole_numbers_that_are_written_as_reals_may_be_the_key(
    tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey], name: str
) -> None:
    numbers = [float(number) for number in range(10_000, 10_000 + COUNTIES)]
    table = pa.table({"depth": [1.5] * COUNTIES, "well_id": numbers})
    if name == "a.csv":
        draft = drafted(tmp_path, name, "depth,well_id\n" + "".join(f"1.5,{number}\n" for number in numbers))
    else:
        pq.write_table(table, tmp_path / name)
        draft = Drafted(tmp_path / name, tmp_path / "drafted.toml")
    assert (draft.data["key"], draft.types["well_id"]) == ("well_id", "integer")
    assert draft.comment("well_id") == "whole numbers all of them, written as reals"
    assert load_table(draft.spec, warehouse_url, run=open_run("r1")).inserted == COUNTIES


@pytest.mark.parametrize("odd", ["7.5", "-1.0", "12345678901234567.0", "NaN"])
def test_reals_that_are_no_whole_numbers_are_no_key(tmp_path: Path, odd: str) -> None:
    content = "depth,well_id\n" + "".join(f"1.5,{number}.0\n" for number in range(COUNTIES)) + f"1.5,{odd}\n"
    draft = drafted(tmp_path, "a.csv", content)
    assert draft.data["key"] == "content"
    assert draft.types["well_id"] not in {"integer", "bigint"}


def test_a_quantity_of_whole_reals_is_no_key(tmp_path: Path) -> None:
    content = columns("depth", values=lambda number: f"{number}.0")
    assert drafted(tmp_path, "a.csv", content).data["key"] == "content"
