"""Views: made, refreshed and made anew in one transaction, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, WarehouseError
from sluiceway.ledger.warehouse import connect
from sluiceway.run import building, views
from sluiceway.run.views import View
from sluiceway.settings import Settings

Query = Callable[..., list[tuple[object, ...]]]

COUNT = "SELECT count(*) AS cities FROM city"


@pytest.fixture
def city(query: Query) -> None:
    """The loaded table that the views read."""
    query("CREATE TABLE city (id integer)")
    query("INSERT INTO city VALUES (1), (2)")


def view(name: str, select: str, *tables: str, description: str = "A view") -> View:
    return View(name=name, description=description, tables=tables or ("city",), select=select)


def refresh(url: str, *wanted: View) -> None:
    with connect(url) as session:
        building.publish(session, wanted)


@pytest.mark.usefixtures("city")
def test_a_view_is_made_when_its_tables_stand(warehouse_url: str, query: Query) -> None:
    refresh(warehouse_url, view("big", COUNT))
    assert query("SELECT cities FROM big") == [(2,)]


@pytest.mark.usefixtures("city")
def test_a_view_shows_new_rows_only_after_it_is_refreshed(warehouse_url: str, query: Query) -> None:
    refresh(warehouse_url, view("big", COUNT))
    query("INSERT INTO city VALUES (3)")
    assert query("SELECT cities FROM big") == [(2,)]
    refresh(warehouse_url, view("big", COUNT))
    assert query("SELECT cities FROM big") == [(3,)]


@pytest.mark.usefixtures("city")
def test_a_view_with_another_select_is_made_anew(warehouse_url: str, query: Query) -> None:
    refresh(warehouse_url, view("big", COUNT))
    refresh(warehouse_url, view("big", "SELECT max(id) AS largest FROM city"))
    assert query("SELECT largest FROM big") == [(2,)]


def test_a_run_feeds_the_views_over_its_tables_and_those_over_these_views() -> None:
    kept = [view("a", COUNT), view("b", COUNT, "a"), view("c", COUNT, "town"), view("d", COUNT, "b", "town")]
    fed = views.fed_by(kept, {"city", "lake", "town"})
    assert {each.name: tables for each, tables in fed.items()} == {
        "a": ["city"],
        "b": ["city"],
        "c": ["town"],
        "d": ["city", "town"],
    }
    assert [each.name for each in views.fed_by(kept, {"city", "lake"})] == ["a", "b", "d"]
    assert views.fed_by(kept, {"lake"}) == {}


@pytest.mark.usefixtures("city")
def test_when_one_view_fails_readers_keep_every_old_one(warehouse_url: str, query: Query) -> None:
    refresh(warehouse_url, view("a", COUNT))
    query("INSERT INTO city VALUES (3)")
    with pytest.raises(WarehouseError, match="division by zero"):
        refresh(warehouse_url, view("a", COUNT), view("b", COUNT), view("c", "SELECT 1 / 0 AS x"))
    assert query("SELECT cities FROM a") == [(2,)]
    assert query("SELECT to_regclass('b'), to_regclass('c')") == [(None, None)]


@pytest.mark.usefixtures("city")
def test_a_view_may_read_one_that_comes_before_it(warehouse_url: str, query: Query) -> None:
    chain = (view("a", COUNT), view("b", "SELECT cities + 1 AS more FROM a", "a"))
    refresh(warehouse_url, *chain)
    query("INSERT INTO city VALUES (3)")
    refresh(warehouse_url, *chain)
    assert query("SELECT more FROM b") == [(4,)]


@pytest.mark.usefixtures("city")
def test_a_view_that_another_reads_can_be_defined_anew(warehouse_url: str, query: Query) -> None:
    reader = view("b", "SELECT cities + 1 AS more FROM a", "a")
    refresh(warehouse_url, view("a", COUNT), reader)
    refresh(warehouse_url, view("a", COUNT + " WHERE id > 1"), reader)
    assert query("SELECT more FROM b") == [(2,)]


@pytest.mark.usefixtures("city")
def test_a_percent_sign_and_braces_of_a_select_mean_themselves(warehouse_url: str, query: Query) -> None:
    refresh(warehouse_url, view("big", "SELECT '100 % of {}' AS x, 7 % 4 AS y FROM city LIMIT 1"))
    assert query("SELECT x, y FROM big") == [("100 % of {}", 3)]


@pytest.mark.usefixtures("city")
def test_the_reader_can_read_a_view(warehouse_url: str, postgres, database: str) -> None:
    import psycopg

    refresh(warehouse_url, view("big", COUNT))
    with psycopg.connect(postgres.url("sluiceway_reader", database)) as connection:
        assert connection.execute("SELECT cities FROM big").fetchone() == (2,)


FILE = "-- description: Cities\n-- group: census\n-- tables: city, town\nSELECT 1 AS one;\n"


@pytest.fixture
def write_view(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str, name: str = "big.sql") -> Path:
        (tmp_path / "sql").mkdir(exist_ok=True)
        (tmp_path / "sql" / name).write_text(content, encoding="utf-8")
        return tmp_path / "sql" / name

    return write


def test_a_file_is_a_header_and_one_select(write_view: Callable[..., Path]) -> None:
    assert views.read_view(write_view(FILE)) == View(
        name="big", description="Cities", group="census", tables=("city", "town"), select="SELECT 1 AS one"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (FILE.replace("tables", "tabels"), "tabels: no such key; did you mean 'tables'?"),
        (FILE.replace("-- tables: city, town\n", ""), "the first lines must say `-- tables: ...`"),
        (FILE.replace("-- description: Cities\n", ""), "the first lines must say `-- description: ...`"),
        ("SELECT 1", "the first lines must say `-- description: ...`"),
        (
            FILE + "CREATE TABLE x (a integer); DELETE FROM etl.trigger_event; GRANT ALL ON x TO PUBLIC",
            "the SELECT holds more than one statement; it must be one SELECT",
        ),
        (
            FILE.replace("SELECT", "DELETE FROM x; SELECT"),
            "the SELECT holds more than one statement; it must be one SELECT",
        ),
        (FILE.replace("SELECT 1 AS one", "DROP TABLE x"), "the SELECT is DROP; it must be one SELECT"),
        (FILE.replace("SELECT", "WITH d AS (DELETE FROM x) SELECT"), "the SELECT holds DELETE; it must only read"),
        (
            FILE.replace("AS one", "AS one INTO x"),
            "the SELECT holds INTO, which writes what it selects; it must only read",
        ),
        (
            FILE.replace("1 AS", "pg_sleep(9) AS"),
            "the SELECT calls pg_sleep, which does more than read; it must only read",
        ),
        (
            FILE.replace("1 AS", "dblink('a') AS"),
            "the SELECT calls dblink, which does more than read; it must only read",
        ),
        ("-- key: on\n" + FILE, "key: the SELECT gives no column 'on'; did you mean 'one'?"),
        ("", "the first lines must say `-- description: ...`"),
    ],
)
def test_a_wrong_header_is_refused_with_a_sentence(
    content: str, sentence: str, write_view: Callable[..., Path]
) -> None:
    path = write_view(content)
    with pytest.raises(ConfigError) as caught:
        views.read_view(path)
    assert str(caught.value) == f"{path}: {sentence}"


@pytest.mark.parametrize(
    "content", [FILE.replace("town", "To wn"), FILE.replace("city, town", ""), FILE.replace("SELECT 1 AS one;", "")]
)
def test_a_file_that_makes_no_view_names_itself(content: str, write_view: Callable[..., Path]) -> None:
    path = write_view(content)
    with pytest.raises(ConfigError) as caught:
        views.read_view(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_deployment_keeps_the_views_of_its_groups(write_view: Callable[..., Path], tmp_path: Path) -> None:
    write_view(FILE, "b.sql")
    write_view(FILE.replace("-- group: census\n", ""), "a.sql")
    write_view(FILE.replace("census", "quickstart"), "c.sql")
    assert [view.name for view in views.deployed_views(Settings(config_dir=tmp_path))] == ["a", "b"]
    census = Settings(config_dir=tmp_path, groups="census")
    assert [view.name for view in views.deployed_views(census)] == ["b"]
