"""What a run does around its loads, of a table in BigQuery: it counts the rows there, and publishes none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ValidationError
from sluiceway.infer.preview import standing
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.run import steps, views
from sluiceway.run.publishing import aggregate
from sluiceway.run.report.maps import draw_maps
from sluiceway.settings import Settings
from sluiceway.sources.connections import Connections
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec
from tests.load.bigquery.test_loads import CITY, CSV
from tests.stand_ins.bigquery import BigQuery

RUN = RunKey("master_etl", "r1")
Query = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def city(tmp_path: Path, dataset: BigQuery, setting: Callable[..., None]) -> TableSpec:
    for folder in ("tables", "sql"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tables" / "city.csv").write_text(CSV)
    (tmp_path / "tables" / "city.toml").write_text(CITY)
    (tmp_path / "sql" / "named.sql").write_text("-- description: x\n-- tables: city\nSELECT count(*) FROM city")
    setting(config_dir=tmp_path)
    return read_spec(tmp_path / "tables" / "city.toml")


def test_the_rows_are_counted_where_they_are(
    city: TableSpec, load: Callable[..., TableRun], warehouse_url: str, connections: Connections, dataset: BigQuery
) -> None:
    load(city)
    steps.validate(warehouse_url, RUN, connections)
    dataset.tables["own.warehouse.city"].rows.pop()
    with pytest.raises(ValidationError, match="city holds 2 rows, the ledger says 3"):
        steps.validate(warehouse_url, RUN, connections)
    del dataset.tables["own.warehouse.city"]
    with pytest.raises(ValidationError, match=r"city is not in BigQuery's dataset own\.warehouse"):
        steps.validate(warehouse_url, RUN, connections)


def test_a_view_that_reads_it_is_not_published_even_where_an_older_table_stands(
    city: TableSpec, load: Callable[..., TableRun], warehouse_url: str, query: Query
) -> None:
    query("CREATE TABLE city (id int)")
    load(city)
    assert aggregate(warehouse_url, RUN).views == []
    assert query("SELECT withheld FROM etl.publication") == [
        ("city goes to BigQuery (target), and a view reads what stands in PostgreSQL",)
    ]


def test_a_view_is_told_from_one_that_reads_postgresql(city: TableSpec, tmp_path: Path) -> None:
    settings = Settings(config_dir=tmp_path)
    (view,) = views.deployed_views(settings)
    assert views.reads_elsewhere(view, settings) is not None
    (tmp_path / "tables" / "city.toml").write_text(CITY.replace('target = "bigquery"', ""))
    assert views.reads_elsewhere(view, settings) is None


def test_a_preview_says_what_stands_there(
    city: TableSpec, load: Callable[..., TableRun], warehouse_url: str, connections: Connections
) -> None:
    said = standing(city, warehouse_url, connections)
    assert said == "BigQuery's dataset own.warehouse has no table city yet; a load makes it."
    load(city)
    assert standing(city, warehouse_url, connections) == (
        "BigQuery's dataset own.warehouse has 3 rows in its table city."
    )


def test_no_map_is_drawn_of_an_older_table_of_its_name(city: TableSpec, warehouse_url: str, query: Query) -> None:
    query("CREATE TABLE city (id int, geom geometry(Point, 4326))")
    query("INSERT INTO city VALUES (1, ST_Point(1, 2, 4326)), (2, ST_Point(2, 3, 4326))")
    query("GRANT SELECT ON city TO PUBLIC")
    shape = city.model_validate(city.model_dump() | {"geometry": {"type": "Point", "source": "wkt"}, "name": "city"})
    with connect(warehouse_url) as session:
        assert draw_maps(session, [shape]) == {}
        assert draw_maps(session, [shape.model_copy(update={"target": "postgresql"})]).keys() == {"city"}
