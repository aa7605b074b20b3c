"""Loads into BigQuery: what is not loaded again, what is refused, and what becomes of a load that does not end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from psycopg import sql

from dev.environment import ROOT
from sluiceway.errors import (
    SettingsError,
    ShrunkExtractionError,
    TargetMismatchError,
    TooManyRejectsError,
    WarehouseError,
    WarehouseUnavailableError,
)
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.bigquery import dataset as module
from sluiceway.load.bigquery import merge as merging
from sluiceway.load.bigquery.staged import write_staged
from sluiceway.load.session import BulkSession, bulk_session
from sluiceway.load.stage_table import create_stage, stage_table
from sluiceway.load.table import load_table
from sluiceway.sources.connections import Connection
from sluiceway.tables.spec import TableSpec
from tests.stand_ins import bigquery as stand_in
from tests.stand_ins.bigquery import BigQuery, refusal
from tests.waiting import wait_until

WriteSpec = Callable[..., TableSpec]
Load = Callable[..., TableRun]
Query = Callable[..., list[tuple[object, ...]]]
CITY = """
target = "bigquery"
description = "Cities"
key = "id"
on_missing = "delete"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", name = "text" }
"""
CSV = "id,name\n1,Mayagüez\n2,Ponce\n3,NA\n"
ROWS = [(1, "Mayagüez"), (2, "Ponce"), (3, "NA")]


@pytest.fixture
def city(write_spec: WriteSpec) -> TableSpec:
    return write_spec("city", CITY, city__csv=CSV)


def counts(result: TableRun) -> tuple[int, ...]:
    return result.extracted, result.inserted, result.updated, result.unchanged, result.deleted


def merges(dataset: BigQuery) -> int:
    return sum(each.startswith("MERGE") for each in dataset.statements)


def test_a_source_that_is_unchanged_is_not_read_again_unless_the_rows_in_bigquery_are_gone(
    city: TableSpec, load: Load, dataset: BigQuery
) -> None:
    assert load(city).status == "loaded"
    assert dataset.tables["own.warehouse.city"].resource["description"] == "Cities"
    assert load(city).status == "unchanged"
    assert merges(dataset) == 1
    del dataset.tables["own.warehouse.city"].rows[0]
    assert counts(load(city)) == (3, 1, 0, 2, 0)
    del dataset.tables["own.warehouse.city"]
    assert counts(load(city)) == (3, 3, 0, 0, 0)
    assert dataset.rows("city", ["id", "name"]) == ROWS


def test_only_rows_that_differ_are_written_and_carry_the_run(
    city: TableSpec, load: Load, dataset: BigQuery, tmp_path: Path
) -> None:
    load(city)
    (tmp_path / "city.csv").write_text("id,name\n1,Mayagüez\n2,Ponse\n3,NA\n4,Adjuntas\n")
    assert counts(load(city)) == (4, 1, 1, 2, 0)
    assert [row[1] for row in dataset.rows("city", ["id", "etl_run_id"])] == [
        "master_etl/r1",
        "master_etl/r2",
        "master_etl/r1",
        "master_etl/r2",
    ]


def test_no_rows_are_taken_away_when_they_are_too_many(
    city: TableSpec, load: Load, dataset: BigQuery, tmp_path: Path
) -> None:
    load(city)
    dataset.tables["own.warehouse.city"].rows += [
        {"id": number, "name": "by hand", "etl_run_id": "x"} for number in range(10, 20)
    ]
    (tmp_path / "city.csv").write_text(CSV.replace("Ponce", "Ponse"))
    with pytest.raises(ShrunkExtractionError, match="take away 10 of 13 rows"):
        load(city)
    assert dataset.rows("city", ["id", "name"])[1] == (10, "by hand")
    assert (2, "Ponce") in dataset.rows("city", ["id", "name"])
    assert dataset.left_over == []


def test_a_table_gains_columns_and_another_shape_is_refused(
    write_spec: WriteSpec, city: TableSpec, load: Load, dataset: BigQuery
) -> None:
    load(city)
    dates = "id,name\n1,2024-01-01\n2,2024-01-02\n3,2024-01-03\n"
    with pytest.raises(TargetMismatchError, match=r"column 'name' is STRING in BigQuery and DATE in the spec"):
        load(write_spec("city", CITY.replace('name = "text"', 'name = "date"'), city__csv=dates))
    with pytest.raises(TargetMismatchError, match=r"the key is \(id\) in BigQuery and \(name\) in the spec"):
        load(write_spec("city", CITY.replace('key = "id"', 'key = "name"'), city__csv=CSV))
    wider = CITY.replace('name = "text"', 'name = "text", area = { type = "numeric(10,2)", required = true }')
    result = load(write_spec("city", wider, city__csv="id,name,area\n1,Mayagüez,1.5\n2,Ponce,2\n3,NA,3\n"))
    assert counts(result) == (3, 0, 3, 0, 0)
    assert [str(row[0]) for row in dataset.rows("city", ["area"])] == ["1.50", "2.00", "3.00"]


def test_a_key_of_the_whole_content_and_an_increment_need_nothing_else(
    write_spec: WriteSpec, load: Load, dataset: BigQuery
) -> None:
    spec = write_spec("city", CITY.replace('key = "id"', 'key = "content"'), city__csv=CSV)
    assert counts(load(spec)) == (3, 3, 0, 0, 0)
    assert counts(load(spec, force=True)) == (3, 0, 0, 3, 0)
    assert len(dataset.rows("city", ["content_key"])) == 3


def test_rows_that_are_alike_in_full_are_kept_where_the_tables_file_says_so(
    write_spec: WriteSpec, load: Load, dataset: BigQuery
) -> None:
    toml = CITY.replace('key = "id"', 'key = "content"\nduplicates = "keep"')
    assert counts(load(write_spec("city", toml, city__csv=f"{CSV}2,Ponce\n2,Ponce\n"))) == (5, 5, 0, 0, 0)
    assert counts(load(write_spec("city", toml, city__csv=f"{CSV}2,Ponce\n2,Ponce\n"), force=True)) == (5, 0, 0, 5, 0)
    assert dataset.rows("city", ["id", "name"]).count((2, "Ponce")) == 3


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (refusal(404, "notFound", "Not found: Dataset own:warehouse"), SettingsError, "bq mk --dataset own:warehouse"),
        (refusal(403, "accessDenied", "Access Denied"), WarehouseError, "BigQuery Data Editor"),
        (refusal(401, "authError", "Invalid Credentials"), SettingsError, "credentials of connection 'bigquery'"),
        (refusal(403, "quotaExceeded", "Quota exceeded"), WarehouseUnavailableError, "try again later"),
        (refusal(400, "invalid", "No such thing"), WarehouseError, "refuses: .*No such thing"),
    ],
)
def test_what_google_refuses_is_one_sentence_and_leaves_a_row_in_the_ledger(
    fault: object, error: type[Exception], sentence: str, city: TableSpec, load: Load, dataset: BigQuery, query: Query
) -> None:
    dataset.refuses["GET /datasets/warehouse$"] = fault
    with pytest.raises(error, match=sentence) as raised:
        load(city)
    assert "\n" not in str(raised.value)
    assert query("SELECT status, error_type FROM etl.table_run") == [("failed", error.__name__)]


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_that_is_refused_for_the_moment_is_sent_again(
    status: int, city: TableSpec, load: Load, dataset: BigQuery
) -> None:
    reason = "rateLimitExceeded" if status == 429 else "backendError"
    dataset.faults = [refusal(status, reason, "later"), refusal(status, reason, "later")]
    assert counts(load(city)) == (3, 3, 0, 0, 0)


@pytest.mark.parametrize(
    ("loaded_before", "which"),
    [
        (False, "GET /tables/city$"),
        (False, "POST /tables$"),
        (True, "POST /tables$"),
        (True, "PATCH /tables/city$"),
        (True, "DELETE /tables/etl_stage"),
    ],
)
def test_a_request_about_a_table_is_sent_again_for_as_long_as_patience_lasts(
    loaded_before: bool,
    which: str,
    write_spec: WriteSpec,
    city: TableSpec,
    load: Load,
    dataset: BigQuery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if loaded_before:
        load(city)
        wider = CITY.replace('name = "text"', 'name = "text", more = "text"')
        city = write_spec("city", wider, city__csv="id,name,more\n1,a,b\n2,a,b\n3,a,b\n")
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.2)
    dataset.refuses = {which: refusal(503, "backendError", "later")}
    said = "does not answer: Timeout of 0.2s exceeded"
    if which.startswith("DELETE"):
        load(city)
        assert said in caplog.text
    else:
        with pytest.raises(WarehouseUnavailableError, match=said):
            load(city)


@pytest.mark.parametrize("lost", ["POST /jobs$", "PUT /upload", "POST /tables$", "DELETE /tables/etl_stage"])
def test_a_lost_answer_loads_nothing_twice(
    lost: str, city: TableSpec, load: Load, dataset: BigQuery, caplog: pytest.LogCaptureFixture
) -> None:
    dataset.lost = [lost]
    assert counts(load(city)) == (3, 3, 0, 0, 0)
    assert dataset.lost == []
    assert merges(dataset) == 1
    assert dataset.left_over == []
    assert "is left for a day" not in caplog.text


def test_a_job_that_fails_fails_the_load_and_its_staging_table_goes(
    city: TableSpec, load: Load, dataset: BigQuery
) -> None:
    dataset.job_errors = [None, None, {"reason": "resourcesExceeded", "message": "Resources exceeded"}]
    with pytest.raises(WarehouseError, match=r"refuses: .*Resources exceeded"):
        load(city)
    assert dataset.left_over == []
    dataset.job_errors = [{"reason": "backendError", "message": "Error encountered during execution"}]
    with pytest.raises(WarehouseUnavailableError, match="try again later"):
        load(city)
    assert counts(load(city)) == (3, 3, 0, 0, 0)


def test_a_staging_table_that_cannot_be_dropped_is_told_of_and_lasts_for_a_day(
    city: TableSpec, load: Load, dataset: BigQuery, caplog: pytest.LogCaptureFixture
) -> None:
    dataset.refuses = {"DELETE /tables/etl_stage": refusal(403, "accessDenied", "Permission denied")}
    assert counts(load(city)) == (3, 3, 0, 0, 0)
    (left,) = dataset.left_over
    (told,) = [each for each in caplog.messages if "is left for a day" in each]
    assert told.startswith(f"city: the staging table {left} is left for a day: ") and "Permission denied" in told
    lasts = int(dataset.tables[left].resource["expirationTime"]) / 1000 - time.time()
    assert 86_000 < lasts <= 86_400


def test_postgresql_hears_of_the_loads_own_session_both_times_that_bigquery_works(
    city: TableSpec, load: Load, dataset: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    stirred: list[object] = []
    real = merging._stirred

    def stir(session: BulkSession) -> AbstractContextManager[None]:
        stirred.append(session)
        return real(session)

    monkeypatch.setattr(merging, "_stirred", stir)
    load(city)
    first, second = stirred
    assert first is second
    assert isinstance(first, BulkSession)


def test_a_job_of_which_nobody_says_what_it_has_done_fails_the_load(
    city: TableSpec, load: Load, dataset: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "_changed", lambda _: {"numDmlAffectedRows": "3"})
    said = r"^city: BigQuery does not say what job \S+ has done to own\.warehouse\.city$"
    with pytest.raises(WarehouseError, match=said):
        load(city)
    assert dataset.left_over == []


def test_a_shape_that_only_bigquery_refuses_fails_the_table(
    write_spec: WriteSpec, load: Load, dataset: BigQuery
) -> None:
    toml = CITY.replace(
        'name = "text" }', 'name = "text" }\ngeometry = { type = "Point", source = "wkt", source_crs = "EPSG:4326" }'
    )
    spec = write_spec("city", toml, city__csv='id,name,wkt\n1,North,"POINT (0 95)"\n')
    with pytest.raises(WarehouseError, match=r"Latitude must be between.*mend the shape at its source"):
        load(spec)
    assert dataset.rows("city") == []


def test_whoever_has_lost_the_turn_merges_nothing(
    city: TableSpec, load: Load, dataset: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_session: LockedSession) -> None:
        raise WarehouseUnavailableError("gone")

    monkeypatch.setattr(LockedSession, "check_held", lost)
    with pytest.raises(WarehouseUnavailableError, match="gone"):
        load(city)
    assert merges(dataset) == 0
    assert dataset.rows("city") == []


def test_loads_of_one_table_take_turns(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey], connections: object, dataset: BigQuery
) -> None:
    dataset.job_looks = 2
    runs = [open_run("a"), open_run("b")]
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(
            lambda run: load_table(city, warehouse_url, run=run, force=True, connections=connections),  # type: ignore[arg-type]
            runs,
        )
    assert sorted([first.inserted, second.inserted]) == [0, 3]
    assert dataset.most_running == 1
    assert dataset.rows("city", ["id", "name"]) == ROWS


KILLED = """
import sys
from pathlib import Path
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec
load_table(read_spec(Path(sys.argv[1])), sys.argv[2], run=RunKey("master_etl", "killed"))
"""


def test_the_next_load_waits_for_the_job_of_a_load_that_was_killed(
    write_spec: WriteSpec,
    load: Load,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    dataset: BigQuery,
    tmp_path: Path,
) -> None:
    city = write_spec("city", CITY.replace('on_missing = "delete"', ""), city__csv=CSV)
    open_run("killed")
    dataset.job_looks = 1_000_000
    connection = f'{{"conn_type": "google_cloud_platform", "extra": {{"rest_endpoint": "{dataset.uri}"}}}}'
    environment = os.environ | {"PYTHONPATH": str(ROOT / "include"), "AIRFLOW_CONN_BIGQUERY": connection}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "city.toml"), warehouse_url], env=environment
    ) as process:
        try:
            wait_until(lambda: len(dataset.jobs) == 1)
            # the upload ends, the MERGE goes on
            next(iter(dataset.jobs.values())).looks = 1
            wait_until(lambda: any("MERGE" in str(job.resource) for job in dataset.jobs.values()))
        finally:
            process.send_signal(signal.SIGKILL)
    merge = next(job for job in dataset.jobs.values() if "MERGE" in str(job.resource))
    assert not merge.is_done
    (left,) = dataset.left_over
    assert int(dataset.tables[left].resource["expirationTime"]) < (time.time() + 2 * 86_400) * 1000
    dataset.job_looks, merge.looks = 0, 3
    result = load(city)
    assert merge.is_done
    assert counts(result) == (3, 0, 0, 3, 0)
    assert dataset.rows("city", ["id", "name"]) == ROWS
    assert dataset.left_over == [left]


def test_a_load_that_breaks_off_cancels_its_job(
    city: TableSpec, load: Load, dataset: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.job_looks = 1_000_000

    class StopError(BaseException):
        pass

    def stop(*_: object, **__: object) -> None:
        raise StopError

    monkeypatch.setattr("google.cloud.bigquery.job.LoadJob.result", stop)
    with pytest.raises(StopError):
        load(city)
    (job,) = dataset.jobs.values()
    assert job.error is not None
    assert job.error["reason"] == "stopped"


def test_a_deployment_that_names_no_dataset_is_told(
    city: TableSpec, load: Load, dataset: BigQuery, setting: Callable[..., None]
) -> None:
    setting(bigquery_dataset="")
    with pytest.raises(SettingsError, match=r"set SLUICEWAY_BIGQUERY_DATASET to project\.dataset"):
        load(city)


def test_credentials_do_not_travel_unencrypted(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey], dataset: BigQuery
) -> None:
    def elsewhere(conn_id: str) -> Connection:
        extra = {"rest_endpoint": "http://bigquery.example.org"}
        return Connection(conn_id=conn_id, conn_type="google_cloud_platform", extra=extra)

    with pytest.raises(SettingsError, match=r"unencrypted.*use https"):
        load_table(city, warehouse_url, run=open_run("r"), connections=elsewhere)


def test_rows_travel_in_parts(city: TableSpec, warehouse_url: str, tmp_path: Path) -> None:
    with bulk_session(warehouse_url) as session:
        create_stage(session, city)
        session.execute(
            sql.SQL(
                "INSERT INTO {} (etl_row_number, etl_remembered, id, name) "
                "SELECT n, false, n, repeat(md5(n::text), 8) FROM generate_series(1, 200000) AS n"
            ).format(stage_table(city))
        )
        with (tmp_path / "rows.parquet").open("wb") as file:
            write_staged(session, city, file, with_rejects=False)
    with pq.ParquetFile(tmp_path / "rows.parquet") as found:
        sizes = [found.metadata.row_group(n).total_byte_size for n in range(found.num_row_groups)]
        assert found.metadata.num_rows == 200_000
    assert len(sizes) >= 3
    assert max(sizes) < 32 << 20


def test_postgresql_hears_of_the_session_while_bigquery_works(
    warehouse_url: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "STIR_SECONDS", 0.05)
    heard, answered = threading.Event(), threading.Event()
    with bulk_session(warehouse_url) as session:
        real = session.execute

        def execute(*arguments: object) -> object:
            heard.set()
            found = real(*arguments)  # type: ignore[arg-type]
            time.sleep(0.2)
            answered.set()
            return found

        session.execute = execute  # type: ignore[method-assign,assignment]
        with merging._stirred(session):
            assert heard.wait(10)
        assert answered.is_set(), "nobody else may use the session before"


IMPORTS = """
import sys
from pathlib import Path
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.run import publishing, steps
from sluiceway.tables.registry import read_spec
run = RunKey("master_etl", "r")
assert load_table(read_spec(Path(sys.argv[1])), sys.argv[2], run=run).inserted == 3
assert not {"google.auth", "google.cloud.bigquery", "sluiceway.load.bigquery"} & set(sys.modules)
"""


def test_a_table_of_postgresql_imports_nothing_of_google(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], tmp_path: Path
) -> None:
    write_spec("city", CITY.replace('target = "bigquery"', ""), city__csv=CSV)
    open_run("r")
    subprocess.run(
        [sys.executable, "-c", IMPORTS, str(tmp_path / "city.toml"), warehouse_url],
        env=os.environ | {"PYTHONPATH": str(ROOT / "include")},
        check=True,
    )


def test_of_several_files_only_the_new_one_is_read(
    write_spec: WriteSpec, load: Load, dataset: BigQuery, tmp_path: Path
) -> None:
    toml = CITY.replace("city.csv", "part*.csv").replace('"delete"', '"keep"')
    toml = toml.replace('name = "text"', 'name = "text", f = { type = "text", source = "$file" }')
    spec = write_spec("city", toml, part1__csv="id,name\n1,a\n2,b\n", part2__csv="id,name\n2,c\n")
    with pytest.raises(TooManyRejectsError, match=r"repeated by row 3 \(part2\.csv, row 1\), which is loaded \(part1"):
        load(spec)
    (tmp_path / "part2.csv").write_text("id,name\n3,c\n")
    assert load(spec).extracted == 3
    (tmp_path / "part3.csv").write_text("id,name\n4,d\n")
    result = load(spec)
    assert (result.extracted, result.inserted, result.table_rows, result.source_rows) == (1, 1, 4, 4)
