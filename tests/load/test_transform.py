"""A table's transform: what it gets, what it may return, and what its errors say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import SchemaDriftError, TransformError
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec

Rows = list[tuple[object, ...]]

TOML = """
description = "Cities"
key = "id"
source = { kind = "csv", uri = "city.csv" }
[columns]
id = "integer"
name = "text"
size_km2 = "double precision"
"""
CSV = "ID,Town,Acres\n1,Ulm,29344\n2,Aalen,36200\n3,Nowhere,\n"
TRANSFORM = """
def transform(batch):
    batch = batch[batch["Acres"].notna()]
    return batch.assign(id=batch["ID"], name=batch["Town"].str.upper(), size_km2=batch["Acres"].astype(float) / 250)
"""


@pytest.fixture
def load(tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[..., object]:
    """Loads the table with this transform; the run's id is its number."""

    def run(transform: str, run_id: str = "r1", toml: str = TOML) -> object:
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "transforms").mkdir(exist_ok=True)
        (tmp_path / "tables" / "city.csv").write_text(CSV)
        (tmp_path / "tables" / "city.toml").write_text(toml)
        (tmp_path / "transforms" / "city.py").write_text(transform)
        return load_table(read_spec(tmp_path / "tables" / "city.toml"), warehouse_url, run=open_run(run_id))

    return run


def test_a_transform_makes_the_columns(load: Callable[..., object], query: Callable[..., Rows]) -> None:
    load(TRANSFORM)
    assert query("SELECT id, name, size_km2 FROM city ORDER BY id") == [(1, "ULM", 117.376), (2, "AALEN", 144.8)]


def test_a_changed_transform_loads_an_unchanged_source(load: Callable[..., object], query: Callable[..., Rows]) -> None:
    load(TRANSFORM)
    load(TRANSFORM, "r2")
    load(TRANSFORM.replace("upper", "lower"), "r3")
    assert query("SELECT run_id, status, updated FROM etl.table_run ORDER BY run_id") == [
        ("r1", "loaded", 0),
        ("r2", "unchanged", 0),
        ("r3", "loaded", 2),
    ]


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        ("def transform(batch):\n    return batch['Towm']", "city: city.py: KeyError: 'Towm'"),
        ("def transform(batch):\n    return None", "city: city.py: transform returned NoneType; it must return a"),
        ("def convert(batch):\n    return batch", "city.py: has no function transform(batch)"),
        ("import no_such_module", "city.py: cannot be imported: ModuleNotFoundError: No module named"),
    ],
)
def test_a_broken_transform_fails_by_name(
    load: Callable[..., object], query: Callable[..., Rows], transform: str, sentence: str
) -> None:
    with pytest.raises(TransformError) as caught:
        load(transform)
    assert sentence in str(caught.value)
    assert query("SELECT to_regclass('public.city'), (SELECT status FROM etl.table_run)") == [(None, "failed")]


def test_a_column_that_the_transform_does_not_make_is_drift(load: Callable[..., object]) -> None:
    with pytest.raises(SchemaDriftError, match=r"in what city\.py returned, column 'size_km2' is missing"):
        load("def transform(batch):\n    return batch.assign(id=batch['ID'], name=batch['Town'])")


def test_a_value_that_cannot_be_cast_after_the_transform_is_a_reject(
    load: Callable[..., object], query: Callable[..., Rows]
) -> None:
    load(
        "def transform(batch):\n"
        "    return batch.assign(id=batch['ID'], name=batch['Town'], size_km2=[1.5, 'much', None])",
        toml=TOML + "[checks]\nmax_rejects = 1\n",
    )
    assert query("SELECT row_number, column_name, reason FROM etl.reject") == [
        (2, "size_km2", "size_km2: 'much' is no double precision")
    ]


def test_of_several_files_a_transform_sees_where_its_rows_are_from_and_rejects_say_it(
    tmp_path: Path, load: Callable[..., object], query: Callable[..., Rows]
) -> None:
    (tmp_path / "tables").mkdir()
    for name, lines in {"a": "1,Ulm,5\n", "b": "7,Bonn,\n8,Celle,\n", "c": "2,Aalen,x\n3,Jena,6\n"}.items():
        (tmp_path / "tables" / f"part_{name}.csv").write_text(f"ID,Town,Acres\n{lines}")
    toml = TOML.replace("city.csv", "part_*.csv").replace(
        "[columns]", '[columns]\nfile = { source = "$file", type = "text" }'
    )
    twice = """
import pandas as pd

def transform(batch):
    batch = batch[batch["Acres"].notna()].rename(columns={"Town": "name", "Acres": "size_km2"})
    return pd.concat([batch.assign(id=batch["ID"]), batch.assign(id="10" + batch["ID"])])
"""
    result = load(twice, toml=toml + "[checks]\nmax_rejects = 2\n")
    assert (result.extracted, result.rejected) == (6, 2)  # type: ignore[attr-defined]
    assert query("SELECT id, file FROM city ORDER BY 1") == [
        *((1, "part_a.csv"), (3, "part_c.csv"), (101, "part_a.csv"), (103, "part_c.csv"))
    ]
    assert query("SELECT row_number, reason FROM etl.reject ORDER BY 1") == [
        (3, "size_km2: 'x' is no double precision (part_c.csv)"),
        (5, "size_km2: 'x' is no double precision (part_c.csv)"),
    ]
    assert query("SELECT name, rows FROM etl.loaded_file ORDER BY 1") == [
        ("part_a.csv", 2),
        ("part_b.csv", 0),
        ("part_c.csv", 4),
    ]
