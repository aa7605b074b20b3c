"""The page of a table: in every state in which a table can be, and for whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest

from sluiceway.ledger import store
from sluiceway.ledger.rejects import Reject, write_rejects
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec
from tests.on_airflow.web.conftest import logged_in
from tests.on_airflow.web.door import Door

CITY = """
description = "Cities & towns"
key = "id"
fresh_within = "26h"
[source]
kind = "csv"
uri = "../data/city.csv"
[columns]
id = "integer"
people = { type = "bigint", source = "population", description = "Residents <in 2020>" }
[geometry]
type = "Point"
x = "lon"
y = "lat"
source_crs = "EPSG:4326"
"""
SECRET = """
description = "A table behind a key"
key = "id"
[source]
kind = "csv"
uri = "https://me:hunter2@example.org/data.csv?token=hunter3"
connection = "open_data"
[columns]
id = "integer"
"""
FILES = {
    "tables/pt_city.toml": CITY,
    "tables/pt_secret.toml": SECRET,
    "tables/pt_broken.toml": 'description = "x"\nkeyy = "hunter4"\n',
    "sql/pt_people.sql": "-- description: People\n-- tables: pt_city\nSELECT sum(people) AS people FROM pt_city\n",
    "flows/shop.toml": 'tables = ["pt_city"]\n',
    "data/city.csv": "id,population,lon,lat\n1,10,-120,38\n2,20,-121,39\n3,x,-122,40\n",
}


@pytest.fixture(scope="module", autouse=True)
def config(door: Door) -> Iterator[Path]:
    """The config of the API server, with tables."""
    yield from _with_files(door)


def _with_files(door: Door) -> Iterator[Path]:
    folder = door.home / "config"
    made = [name for name in {Path(each).parent for each in FILES} if not (folder / name).exists()]
    for name in made:
        (folder / name).mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    yield folder
    for name in FILES:
        (folder / name).unlink()
    for name in made:
        (folder / name).rmdir()


@pytest.fixture(scope="module")
def city(door: Door, config: Path) -> RunKey:
    """A run that has loaded the cities, but for one that was rejected."""
    key = RunKey("shop", "manual__2026-08-03T14:02:09+00:00/é")
    spec = read_spec(config / "tables" / "pt_city.toml").model_copy(update={"checks": _lenient()})
    with connect(door.warehouse) as session:
        store.open_run(session, key, commit_sha="c0ffee" * 6 + "abcd", trigger_kind="manual")
    load_table(spec, door.warehouse, run=key)
    with connect(door.warehouse) as session:
        store.close_run(session, key, "success", "1 of 1 table loaded.")
    return key


def _lenient() -> object:
    from sluiceway.tables.spec import Checks

    return Checks(max_rejects=5)


def test_a_table_that_was_loaded_tells_all_of_it(reader: httpx.Client, city: RunKey) -> None:
    answer = reader.get("/sluiceway/tables/pt_city")
    assert answer.status_code == 200
    text = answer.text
    assert "<b>Fresh</b>: looked at" in text and "1 d 2 h are promised" in text
    assert "Cities &amp; towns" in text and "Residents &lt;in 2020&gt;" in text
    assert "geometry(Point,4326)" in text and "<code>../data/city.csv</code>" in text
    assert f'href="/sluiceway/runs/shop/{quote(city.run_id, safe="")}"' in text
    assert "<b>pt_people</b>" in text and 'href="/dags/shop"' in text and 'href="/dags/master_etl"' in text
    assert "1 of 3 rows" in text and "people: … is no bigint" in text
    assert text.count('<svg viewBox="0 0 100 40"') == 4
    assert '<path class="newest"' in text and "brought or changed by the last load" in text
    assert "<code>c0ffeec0ff</code>" in text


def test_its_rejects_are_those_that_the_page_of_the_run_shows(reader: httpx.Client, city: RunKey) -> None:
    of_run = reader.get(f"/sluiceway/runs/shop/{quote(city.run_id, safe='')}").text
    of_table = reader.get("/sluiceway/tables/pt_city").text
    samples = [re.findall(r'<p class="sample mono">.*?</p>', text) for text in (of_run, of_table)]
    assert len(samples[0]) == 1 and samples[0] == samples[1]


def test_a_run_whose_maps_are_on_another_disk_says_so_and_names_the_tables(reader: httpx.Client, city: RunKey) -> None:
    text = reader.get(f"/sluiceway/runs/shop/{quote(city.run_id, safe='')}").text
    assert "The maps of this run are not here" in text
    assert '<a href="/sluiceway/tables/pt_city">pt_city</a>.' in text


def test_no_page_needs_what_its_policy_forbids(reader: httpx.Client, city: RunKey) -> None:
    answer = reader.get("/sluiceway/tables/pt_city")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe-inline" not in policy
    assert not re.search(r"<[^>]* (style|on\w+)=", answer.text)
    assert not re.search(r'(src|href)="(https?:)?//', answer.text)


def test_a_table_that_was_never_loaded_has_its_file_alone(reader: httpx.Client) -> None:
    answer = reader.get("/sluiceway/tables/pt_secret")
    assert answer.status_code == 200
    assert "<b>Unknown</b>: no green run has ever loaded it" in answer.text
    assert "No run that you may read has loaded it" in answer.text
    assert "nothing" in answer.text and "Where the rows are" not in answer.text


def test_its_source_is_told_without_a_secret(reader: httpx.Client) -> None:
    text = reader.get("/sluiceway/tables/pt_secret").text
    assert "<code>https://example.org/data.csv</code>" in text and "<code>open_data</code>" in text
    assert "hunter" not in text


def test_a_table_whose_file_is_wrong_says_what_is_wrong(reader: httpx.Client) -> None:
    answer = reader.get("/sluiceway/tables/pt_broken")
    assert answer.status_code == 200 and 'href="/dags/master_etl"' in answer.text
    assert "<b>Unknown</b>" in answer.text
    assert "keyy: no such key; did you mean &#39;key&#39;?" in answer.text
    assert "hunter" not in answer.text  # what an unknown key holds may be a secret


def test_a_table_without_a_file_has_its_history(reader: httpx.Client, door: Door) -> None:
    key = RunKey("shop", "pt_old")
    with connect(door.warehouse) as session:
        store.open_run(session, key, None, "manual")
        store.write_table_run(
            session,
            TableRun(**key._asdict(), table_name="pt_gone", status="loaded", table_rows=7, extracted=7, inserted=7),
        )
        store.close_run(session, key, "success", None)
    answer = reader.get("/sluiceway/tables/pt_gone")
    assert answer.status_code == 200
    assert "It has no file any more" in answer.text and "pt_old" in answer.text


def test_a_table_that_does_not_exist_names_the_nearest(reader: httpx.Client) -> None:
    answer = reader.get("/sluiceway/tables/pt_citty")
    assert answer.status_code == 404
    assert "There is no table &#39;pt_citty&#39; that you may see; did you mean &#39;pt_city&#39;?" in answer.text


@pytest.mark.parametrize(
    "name", ["%00", "%FF", "%ED%A0%80", "%3Cscript%3Ex", "..%2F..%2Fpasswords", "'; DROP TABLE x", "x" * 3000]
)
def test_a_hostile_name_is_no_table_and_no_error(reader: httpx.Client, name: str) -> None:
    answer = reader.get(f"/sluiceway/tables/{name}")
    assert answer.status_code == 404 and "<script>x" not in answer.text


def test_a_failed_load_is_told_with_its_error_and_renews_nothing(
    reader: httpx.Client, door: Door, city: RunKey
) -> None:
    key = RunKey("master_etl", "pt_red")
    try:
        with connect(door.warehouse) as session:
            store.open_run(session, key, None, "manual")
            failed = TableRun(
                **key._asdict(),
                table_name="pt_city",
                status="failed",
                error_type="EmptyExtractionError",
                error="<none>",
            )
            store.write_table_run(session, failed)
            store.close_run(session, key, "failed", "no")
        text = reader.get("/sluiceway/tables/pt_city").text
        assert "the last try failed in master_etl/pt_red: EmptyExtractionError: &lt;none&gt;" in text
        assert "failed: renews nothing" in text and '<rect class="failed"' in text
        assert "<b>Fresh</b>" in text
    finally:
        with psycopg.connect(door.warehouse) as ledger:
            ledger.execute("DELETE FROM etl.run WHERE run_id = 'pt_red'")


@pytest.mark.parametrize("address", ["/sluiceway/tables/pt_city", "/sluiceway/tables/nothing"])
def test_nobody_without_a_token_or_a_role_learns_anything(
    server: str, stranger: httpx.Client, address: str, city: RunKey
) -> None:
    assert httpx.get(f"{server}{address}").status_code == 401
    refused = stranger.get(address)
    assert refused.status_code == 403 and "Cities" not in refused.text


def test_without_the_ledger_there_is_one_sentence(without_ledger: str, reader: httpx.Client) -> None:
    with httpx.Client(base_url=without_ledger, cookies=reader.cookies, headers={"Accept": "text/html"}) as client:
        for address in ("tables/pt_city", "tables/nothing", "runs/compare?a=shop/a&b=shop/b"):
            answer = client.get(f"/sluiceway/{address}")
            assert answer.status_code == 503, address
            assert "The ledger does not answer." in answer.text and "Traceback" not in answer.text


def browser(fab: Door, user: str) -> Iterator[httpx.Client]:
    yield from logged_in(fab.url, user)


@pytest.fixture(scope="module")
def kept_apart(fab: Door) -> Iterator[None]:
    """A table that both DAGs load, and one of the master's alone; the shop's load of it has a reject."""
    for _ in _with_files(fab):
        for key, tables in (
            (RunKey("master_etl", "pt_m"), ("pt_city", "pt_secret")),
            (RunKey("shop", "pt_s"), ("pt_city",)),
        ):
            with connect(fab.warehouse) as session:
                store.open_run(session, key, None, "manual")
                for name in tables:
                    store.begin_table(session, key, name, 1)
                    write_rejects(
                        session,
                        key,
                        name,
                        1,
                        [Reject(row_number=1, column_name="id", reason=f"of {key.dag_id}", row={})],
                    )
                    tried = TableRun(
                        **key._asdict(), table_name=name, status="loaded", extracted=2, rejected=1, inserted=1,
                        error_type="E", error=f"said of {key.dag_id}",
                    )  # fmt: skip
                    store.write_table_run(session, tried)
                store.close_run(session, key, "failed" if key.dag_id == "shop" else "success", None)
        yield


@pytest.mark.usefixtures("kept_apart")
def test_a_user_sees_of_a_table_the_loads_of_the_dags_whose_runs_he_may_read(fab: Door) -> None:
    for user, seen, hidden in (("master", "master_etl", "shop"), ("shopper", "shop", "master_etl")):
        for client in browser(fab, user):
            answer = client.get("/sluiceway/tables/pt_city")
            assert answer.status_code == 200
            assert f"of {seen}" in answer.text and hidden not in answer.text, user


@pytest.mark.usefixtures("kept_apart")
def test_a_table_of_another_dag_is_answered_like_none(fab: Door) -> None:
    for client in browser(fab, "shopper"):
        real, made_up = client.get("/sluiceway/tables/pt_secret"), client.get("/sluiceway/tables/pt_sacret")
        assert real.status_code == made_up.status_code == 404
        assert real.text.replace("pt_secret", "x") == made_up.text.replace("pt_sacret", "x")
        assert "pt_city" in client.get("/sluiceway/tables/pt_citty").text


@pytest.mark.usefixtures("kept_apart")
def test_a_load_of_the_command_line_is_the_masters(fab: Door) -> None:
    key = RunKey("cli", "cli__pt")
    with connect(fab.warehouse) as session:
        store.open_run(session, key, None, "cli")
        told = TableRun(**key._asdict(), table_name="pt_city", status="loaded", note="by hand <here>")
        store.write_table_run(session, told)
    for user, is_told in (("master", True), ("shopper", False)):
        for client in browser(fab, user):
            shown = client.get("/sluiceway/tables/pt_city").text
            assert ("by hand &lt;here&gt;" in shown) == is_told
            assert ('href="/sluiceway/runs/cli/cli__pt"' in shown) == is_told
            page = client.get("/sluiceway/runs/cli/cli__pt")
            assert (page.status_code, "by hand &lt;here&gt;" in page.text) == (200 if is_told else 403, is_told)
