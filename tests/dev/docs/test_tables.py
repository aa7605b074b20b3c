"""docs/reference/tables.md: its tables are those of the models, and what they show can be written into a file."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from dev.docs.keys import toml
from dev.docs.tables import MODELS, TABLES
from sluiceway.errors import ConfigError
from sluiceway.tables.expression import FUNCTIONS, SPOKEN
from sluiceway.tables.source_spec import SOURCE_KINDS

FILE = {"uri": "a.csv"}
NEEDED: dict[str, dict[str, Any]] = {
    "TableSpec": {
        "name": "city",
        "description": "Cities",
        "key": "content",
        "source": {"kind": "csv", **FILE},
        "columns": {"country": "text", "year": "integer", "geoid": "text"},
    },
    "Column": {"type": "text"},
    "Geometry": {"type": "Point"},
    "LocatedSource": FILE,
    "CsvSource": {"kind": "csv", **FILE},
    "JsonSource": {"kind": "json", **FILE},
    "ParquetSource": {"kind": "parquet", **FILE},
    "ExcelSource": {"kind": "excel", **FILE},
    "SqliteSource": {"kind": "sqlite", "table": "t", **FILE},
    "VectorSource": {"kind": "vector", **FILE},
    "SqlSource": {"kind": "sql", "connection": "c", "table": "t"},
    "BigQuerySource": {"kind": "bigquery", "table": "a.b.c"},
    "HttpJsonSource": {"kind": "http_json", "uri": "https://example.org"},
    "GSheetSource": {"kind": "gsheet", "spreadsheet": "x"},
    "Paging": {"type": "page", "param": "p"},
}
"""What a model needs beside the key that is looked at."""
TOGETHER: dict[tuple[str, str], dict[str, Any]] = {
    ("TableSpec", "split"): {"source": {"kind": "vector", "uri": "cities.gpkg"}},
    ("Geometry", "x"): {"y": "lat"},
    ("Geometry", "y"): {"x": "lon"},
    ("Column", "scale"): {"type": "numeric"},
    ("Column", "accounting"): {"type": "numeric"},
    ("Column", "decimal"): {"type": "numeric"},
    ("Column", "thousands"): {"type": "numeric"},
    ("ColumnChecks", "failing"): {"unique": True},
    ("RowCheck", "failing"): {"holds": "a > b"},
    ("TextValues", "thousands"): {"decimal": "."},
    ("SqlSource", "query"): {"table": None},
    ("HttpJsonSource", "connection"): {"key_param": "key"},
    ("HttpJsonSource", "key_param"): {"connection": "c"},
    ("HttpJsonSource", "key_header"): {"connection": "c"},
    ("Paging", "type"): {"next": "n"},
}
"""Keys that belong together."""


def fields() -> list[tuple[str, str]]:
    return [(name, key) for name, model in MODELS.items() for key in TABLES.keys(model)]


def parsed(name: str, key: str, example: object) -> BaseModel:
    value = tomllib.loads(f"value = {toml(example)}")["value"]
    others = {**NEEDED.get(name, {}), **TOGETHER.get((name, key), {})}
    return MODELS[name].model_validate(
        {name_: each for name_, each in others.items() if each is not None} | {key: value}
    )


def test_the_document_is_up_to_date() -> None:
    text = TABLES.path.read_text(encoding="utf-8")
    assert TABLES.written(text) == text, "run python -m dev.docs"


def test_a_changed_table_is_found() -> None:
    text = TABLES.path.read_text(encoding="utf-8")
    assert TABLES.written(text.replace("| `decimal` |", "| `decimals` |")) == text


def test_every_model_has_its_table_in_the_document() -> None:
    marks = set(re.findall(r"<!-- keys of (\w+) -->", TABLES.path.read_text(encoding="utf-8")))
    assert marks == {name for name, model in MODELS.items() if TABLES.keys(model)}


def test_every_kind_of_source_is_a_model_of_the_document() -> None:
    assert set(SOURCE_KINDS.values()) <= set(MODELS.values())


def test_every_key_stands_in_a_table() -> None:
    for model in MODELS.values():
        inherited = {key for base in model.__mro__ if issubclass(base, BaseModel) for key in base.__annotations__}
        shown = {key for base in MODELS.values() if issubclass(model, base) for key in TABLES.keys(base)}
        sections = {key.split(".")[1] for key in TABLES.sections if key.split(".")[0] == model.__name__}
        assert set(model.model_fields) <= shown | TABLES.no_keys | sections
        assert shown <= inherited


@pytest.mark.parametrize(("model", "key"), fields(), ids=".".join)
def test_a_key_has_a_meaning_and_an_example_that_parses(model: str, key: str) -> None:
    field = MODELS[model].model_fields[key]
    assert field.description
    assert field.examples
    for example in field.examples:
        spec = parsed(model, key, example)
        assert getattr(spec, key) is not None


def test_an_example_that_is_none_is_found() -> None:
    with pytest.raises(ValidationError):
        parsed("Column", "type", "integr")
    with pytest.raises(ValidationError):
        parsed("Checks", "max_shrink", 2.0)


def test_a_mark_of_no_model_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'Checks'"):
        TABLES.written("<!-- keys of Check -->\n<!-- end -->")


def test_every_function_that_an_expression_may_call_stands_in_the_document() -> None:
    text = TABLES.path.read_text(encoding="utf-8")
    rows = re.search(r"\| functions \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    assert rows is not None
    assert sorted(re.findall(r"`(\w+)`", rows[1])) == sorted(FUNCTIONS | SPOKEN)
