"""The pages that are made from the code are those that the code makes now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.docs.__main__ import PAGES
from dev.docs.cli import commands
from dev.docs.environments import ENVIRONMENTS
from dev.docs.ledger import LEDGER, TABLES, TYPES
from dev.docs.page import DOCS, Page, cell
from dev.docs.schemas import SCHEMAS, Schema
from dev.docs.settings import variables
from sluiceway.deploy.spec import CloudRunEnvironment, HttpEnvironment
from sluiceway.errors import ConfigError
from sluiceway.settings import Settings, load_settings

Rows = list[tuple[object, ...]]
NEEDED = {
    HttpEnvironment: {"name": "staging", "kind": "http", "url": "https://example.org"},
    CloudRunEnvironment: {
        "name": "staging",
        "kind": "cloud_run",
        "project": "p",
        "region": "r",
        "service": "s",
        "connection": "c",
        "commit_from": "image_tag",
    },
}


@pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])
def test_a_page_is_what_the_code_makes(page: Page) -> None:
    text = page.path.read_text(encoding="utf-8")
    assert "<!-- " in text
    assert page.written(text) == text, "run python -m dev.docs"


@pytest.mark.parametrize("schema", SCHEMAS, ids=[schema.path.name for schema in SCHEMAS])
def test_a_schema_is_that_of_its_model(schema: Schema) -> None:
    text = schema.path.read_text(encoding="utf-8")
    assert schema.written("") == text, "run python -m dev.docs"


def test_a_page_that_is_not_current_is_found() -> None:
    text = LEDGER.path.read_text(encoding="utf-8")
    assert LEDGER.written(text.replace("| `published_at` |", "| `publisht_at` |")) == text


def test_a_mark_of_no_part_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tables'"):
        LEDGER.written("<!-- written: table -->\n<!-- end -->")


def test_every_mark_of_a_page_is_written_by_a_program() -> None:
    marked = {path for path in DOCS.rglob("*.md") if "<!-- end -->" in path.read_text(encoding="utf-8")}
    assert marked == {page.path for page in PAGES}


def test_what_stands_in_code_keeps_its_angle_brackets_and_other_text_makes_no_tag() -> None:
    assert cell("a <b> `<c>` | d") == "a &lt;b> `<c>` \\| d"


def test_the_ledger_has_the_columns_of_the_page(query: Callable[..., Rows]) -> None:
    found: dict[str, dict[str, str]] = {}
    columns = """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY c.relname, a.attnum
    """
    for table, column, kind in query(columns):
        found.setdefault(str(table), {})[str(column)] = str(kind)
    found.pop("alembic_version", None)
    shown = {
        name: {column: TYPES.get(kind, kind) for column, (kind, _) in each.columns.items()}
        for name, each in TABLES.items()
    }
    assert shown == found


def test_the_ledger_has_the_keys_of_the_page(query: Callable[..., Rows]) -> None:
    keys = """
        SELECT c.relname, array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
        WHERE c.relnamespace = 'etl'::regnamespace AND i.indisprimary GROUP BY c.relname
    """
    found = {str(table): tuple(columns) for table, columns in query(keys) if table != "alembic_version"}  # type: ignore[arg-type]
    assert {name: each.key for name, each in TABLES.items()} == found


@pytest.mark.parametrize("name", variables())
def test_a_setting_has_a_meaning_and_an_example_that_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field = variables()[name]
    assert field.description
    for example in field.examples or []:
        monkeypatch.setenv(name, str(example))
        load_settings.cache_clear()
        found = getattr(load_settings(), name.removeprefix("SLUICEWAY_").lower())
        assert found == (Path(str(example)) if isinstance(found, Path) else example)
    load_settings.cache_clear()


def test_every_setting_is_a_variable_of_the_page() -> None:
    assert len(variables()) == len(Settings.model_fields)


@pytest.mark.parametrize("model", NEEDED)
def test_a_key_of_an_environment_has_a_meaning_and_an_example_that_parses(
    model: type[HttpEnvironment] | type[CloudRunEnvironment],
) -> None:
    shown = {key for name in ENVIRONMENTS.models for key in ENVIRONMENTS.keys(ENVIRONMENTS.models[name])}
    assert set(model.model_fields) <= shown | ENVIRONMENTS.no_keys
    for key, field in model.model_fields.items():
        assert field.description
        for example in field.examples or []:
            assert getattr(model.model_validate({**NEEDED[model], key: example}), key) == example


def test_every_command_has_an_example() -> None:
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    for words in commands():
        section = text.split(f" sluiceway {words}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert f"\nsluiceway {words}" in section.split("```bash")[1], words
