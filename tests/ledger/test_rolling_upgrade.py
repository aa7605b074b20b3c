"""A rolling deploy: for a while old code meets the new ledger, or new code the old one. Each says so in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from alembic import command

from dev.cluster import Cluster
from dev.environment import ROOT
from sluiceway.errors import LedgerMissingError
from sluiceway.ledger.migrate import _config, migrate
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import LEDGER_REVISION
from sluiceway.run import steps
from sluiceway.run.opening import Opening

OLD_REVISION = "0005"
OLD_CODE = "ac884573d769ff8e605238fa2523660795e668a4"
"""The last commit whose code needs that revision."""
OLD_RUN = """
import json, sys
from pathlib import Path
from sluiceway import steps
from sluiceway.errors import SluicewayError
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec

url, what = sys.argv[1], sys.argv[2]
said = []
try:
    if what == "begin":
        steps.open_ledger(url, run_id="r1", dag_id="master_etl", commit_sha=None, trigger_kind="test")
        with connect(url) as session:
            store.plan_tables(session, "r1", ["city"])
    if what == "load":
        load_table(read_spec(Path(sys.argv[3])), url, run_id="r1")
except SluicewayError as error:
    said.append(f"{type(error).__name__}: {error}")
if what == "load":
    said.append(steps.close_ledger(url, "r1", {"sub.load_table_0": "failed"}).sentence)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the library of before."""
    found = subprocess.run(["git", "archive", OLD_CODE, "include"], cwd=ROOT, capture_output=True, check=False)
    # a checkout without its history, as CI systems make them by default, has no old code to test with
    if found.returncode:
        pytest.skip("the checkout has no history: fetch it (git fetch --unshallow)")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=BytesIO(found.stdout)) as archive:
        archive.extractall(folder)  # of this very repository
    return folder / "include"


@pytest.fixture
def old_ledger(spare: str, postgres: Cluster) -> str:
    """The name of a warehouse whose ledger is of the revision before."""
    _go_to(postgres.url("sluiceway_owner", spare), OLD_REVISION)
    return spare


def _go_to(url: str, revision: str) -> None:
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"))
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


@pytest.fixture
def say(old_code: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """What old code says when it does a part of a run."""
    (tmp_path / "city.csv").write_text("id\n1\n")
    table = tmp_path / "city.toml"
    table.write_text(
        'description = "c"\nkey = "id"\nsource = { kind = "csv", uri = "city.csv" }\ncolumns = { id = "integer" }\n'
    )

    def run(url: str, what: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", OLD_RUN, url, what, str(table)],
            env={**os.environ, "PYTHONPATH": str(old_code)},
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[str] = json.loads(done.stdout)
        return found

    return run


def test_old_code_begins_no_run_on_the_new_ledger_and_says_why(
    warehouse_url: str, say: Callable[..., list[str]], query: Callable[..., list[tuple[object, ...]]]
) -> None:
    (said,) = say(warehouse_url, "begin")
    assert said == (
        f"LedgerMissingError: The warehouse's ledger is at revision {LEDGER_REVISION} and this code needs "
        f"{OLD_REVISION}; run `sluiceway ledger migrate`."
    )
    assert query("SELECT count(*) FROM etl.run") == [(0,)]


def test_a_run_of_old_code_during_which_the_ledger_is_migrated_ends_red_and_is_closed(
    postgres: Cluster, old_ledger: str, say: Callable[..., list[str]]
) -> None:
    url = postgres.url("sluiceway_loader", old_ledger)
    assert say(url, "begin") == []
    migrate(postgres.url("sluiceway_owner", old_ledger))
    refused, verdict = say(url, "load")
    assert refused.startswith(f"LedgerMissingError: The warehouse's ledger is at revision {LEDGER_REVISION}")
    assert verdict.startswith("1 of 1 tables never reported: city")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT dag_id, run_id, status FROM etl.run").fetchall() == [
            ("master_etl", "r1", "failed")
        ]


def test_new_code_begins_no_run_on_the_old_ledger_and_says_what_to_do(postgres: Cluster, old_ledger: str) -> None:
    url = postgres.url("sluiceway_loader", old_ledger)
    opening = Opening(RunKey("master_etl", "r1"), None, "test", None)
    sentence = f"is at revision {OLD_REVISION} and this code needs {LEDGER_REVISION}; run `sluiceway ledger migrate`"
    for act in (lambda: steps.open_ledger(url, opening), lambda: steps.close_ledger(url, opening, {})):
        with pytest.raises(LedgerMissingError, match=sentence):
            act()


def test_a_run_that_the_old_code_has_loaded_is_the_base_of_the_new(
    postgres: Cluster, old_ledger: str, say: Callable[..., list[str]]
) -> None:
    url = postgres.url("sluiceway_loader", old_ledger)
    say(url, "begin")
    (verdict,) = say(url, "load")
    assert "failed tasks: sub.load_table_0" in verdict, "the table itself is good"
    migrate(postgres.url("sluiceway_owner", old_ledger))
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT dag_id, table_name, try_number, status, inserted FROM etl.table_run")
        assert found.fetchall() == [("master_etl", "city", 1, "loaded", 1)]
