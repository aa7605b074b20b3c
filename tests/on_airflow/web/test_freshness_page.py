"""Who may see the page of freshness, what of it, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.freshness.ledgered import ran
from tests.on_airflow.web.conftest import logged_in
from tests.on_airflow.web.door import Door

PATH = "/sluiceway/"
TABLE = """
description = "A table"
key = "id"
fresh_within = "1h"
source = { kind = "csv", uri = "none.csv" }
columns = { id = "integer" }
"""


@pytest.fixture(autouse=True, scope="module")
def tables(fab: Door) -> Iterator[None]:
    """a and b, each loaded by a run of the master; b since then by a run of the shop, in which it failed."""
    folder = fab.home / "config" / "tables"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.toml").write_text(TABLE, encoding="utf-8")
    ran(fab.warehouse, "told", ago=timedelta(minutes=2), a="loaded", b="loaded")
    ran(fab.warehouse, "secret", ago=timedelta(minutes=1), dag_id="shop", status="failed", b="failed")
    yield
    with psycopg.connect(fab.warehouse) as connection:
        connection.execute("DELETE FROM etl.run")
    for file in folder.glob("*.toml"):
        file.unlink()
    folder.rmdir()


@pytest.fixture
def master(fab: Door) -> Iterator[httpx.Client]:
    """A browser of a user who may read the runs of master_etl."""
    yield from logged_in(fab.url, "master")


@pytest.fixture
def both(fab: Door) -> Iterator[httpx.Client]:
    """A browser of a user who may read the runs of both DAGs."""
    yield from logged_in(fab.url, "both")


@pytest.fixture
def shopper(fab: Door) -> Iterator[httpx.Client]:
    """A browser of a user who may read the runs of shop alone."""
    yield from logged_in(fab.url, "shopper")


def test_nobody_learns_anything_without_a_token(fab: Door) -> None:
    answer = httpx.get(fab.url + PATH)
    assert answer.status_code == 401 and answer.json() == {"detail": "Not authenticated"}
    browser = httpx.get(fab.url + PATH, headers={"Accept": "text/html"})
    assert browser.status_code == 303 and browser.headers["location"].endswith("next=%2Fsluiceway%2F")


def test_whoever_may_not_read_the_runs_of_the_master_does_not_see_the_page(shopper: httpx.Client) -> None:
    answer = shopper.get(PATH)
    assert answer.status_code == 403
    assert "You may not see this" in answer.text and "master_etl/told" not in answer.text


def test_of_a_dag_that_the_reader_may_not_read_no_run_and_no_error_is_shown(
    master: httpx.Client, both: httpx.Client
) -> None:
    seen = master.get(PATH)
    assert seen.status_code == 200
    assert "of a DAG that you may not read" in seen.text
    assert "EmptyExtractionError" not in seen.text and "shop" not in seen.text
    told = both.get(PATH).text
    assert "EmptyExtractionError: the source gave no rows" in told and "/runs/shop/secret" in told


def test_the_page_may_run_its_own_script_alone_and_fetch_nothing(master: httpx.Client) -> None:
    headers = master.get(PATH).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert "frame-ancestors 'self'" in policy
    assert headers["cache-control"] == "private, no-store"


def test_what_is_not_there_to_be_asked_for_is_refused_with_the_nearest(master: httpx.Client) -> None:
    answer = master.get(PATH, params={"sort": "age-of-it"})
    assert answer.status_code == 400 and "There is no sort" in answer.text


def after(master: httpx.Client, said: str) -> httpx.Response:
    """The page once it says that: what was asked of the ledger and read of files is kept for two seconds."""
    deadline = time.monotonic() + 30
    while said not in (answer := master.get(PATH)).text:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    return answer


def test_the_page_costs_few_questions_however_many_tables_there_are(
    master: httpx.Client, files: Callable[..., None]
) -> None:
    files(first=TABLE)
    before = int(after(master, "/tables/first").headers["x-statements"])
    files(**{f"more_{number}": TABLE for number in range(50)})
    assert int(after(master, "more_49").headers["x-statements"]) <= before


def test_a_wrong_file_of_a_table_makes_it_unknown_and_says_why(
    master: httpx.Client, files: Callable[..., None]
) -> None:
    files(wrong="descripton = 1")
    text = after(master, "descripton").text
    assert "<h1>Unknown</h1>" in text and "did you mean" in text


@pytest.fixture
def files(fab: Door) -> Iterator[Callable[..., None]]:
    """Writes tables' files, by name, for one test."""
    written: list[Path] = []

    def write(**texts: str) -> None:
        for name, text in texts.items():
            written.append(fab.home / "config" / "tables" / f"{name}.toml")
            written[-1].write_text(text, encoding="utf-8")

    yield write
    for file in written:
        file.unlink()
