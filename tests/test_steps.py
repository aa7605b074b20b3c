"""The steps around the loading of tables: each notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dev.cluster import Cluster
from sluiceway import steps
from sluiceway.errors import (
    ConfigError,
    LedgerMissingError,
    NoTablesError,
    SourceMissingError,
    UnknownParamError,
    UnknownTableError,
    ValidationError,
)
from sluiceway.ledger import store
from sluiceway.ledger.store import TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.settings import Settings
from sluiceway.tables import registry

Query = Callable[..., list[tuple[object, ...]]]
Setting = Callable[..., None]
RUN = "deploy__1"


@pytest.fixture
def config(tmp_path: Path, setting: Setting) -> Path:
    """Three tables whose sources have 1, 100 and 10 rows, and one of another group."""
    for folder in ("tables", "sql"):
        (tmp_path / folder).mkdir()
    for name, rows, group in (("a", 1, ""), ("b", 100, ""), ("c", 10, ""), ("demo", 5, 'group = "quickstart"')):
        (tmp_path / "tables" / f"{name}.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(rows)))
        (tmp_path / "tables" / f"{name}.toml").write_text(
            f'description = "Table {name}"\n{group}\nkey = "id"\nsource = {{ kind = "csv", uri = "{name}.csv" }}\n'
            'columns = { id = "integer" }\n'
        )
    setting(config_dir=tmp_path)
    return tmp_path


@pytest.fixture
def run_id(config: Path, warehouse_url: str) -> str:
    """An open run."""
    steps.open_ledger(warehouse_url, run_id=RUN, dag_id="master_etl", commit_sha=None, trigger_kind="test")
    return RUN


@pytest.fixture
def loaded(run_id: str, warehouse_url: str) -> dict[str, TableRun]:
    """The run's tables, loaded."""
    return {
        name: load_table(registry.read_one(name), warehouse_url, run_id=run_id)
        for name in steps.plan(warehouse_url, run_id=run_id, only=[])
    }


def run_of(url: str, run_id: str) -> store.Run:
    with connect(url) as session:
        return store.runs(session, run_id=run_id)[0]


def test_opening_the_ledger_closes_a_run_that_never_ended(run_id: str, warehouse_url: str) -> None:
    steps.open_ledger(warehouse_url, run_id="next", dag_id="master_etl", commit_sha=None, trigger_kind="test")
    assert (run_of(warehouse_url, run_id).status, run_of(warehouse_url, "next").status) == ("abandoned", "running")


def test_a_warehouse_without_a_ledger_is_refused(owner_url: str, warehouse_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA etl CASCADE")
    with pytest.raises(LedgerMissingError, match="sluiceway ledger migrate"):
        steps.open_ledger(warehouse_url, run_id=RUN, dag_id="d", commit_sha=None, trigger_kind="test")
    with pytest.raises(LedgerMissingError, match="sluiceway ledger migrate"):
        steps.check_warehouse(warehouse_url)


def test_a_conf_key_that_is_no_param_names_the_nearest() -> None:
    params = ("commit_sha", "force", "tables")
    steps.check_conf({"tables": [], "force": True}, params)
    steps.check_conf({}, params)
    with pytest.raises(UnknownParamError, match=r"conf has a key 'table' that this DAG does not know; .* 'tables'"):
        steps.check_conf({"force": True, "table": "x"}, params)


def test_a_plan_puts_the_largest_source_first(run_id: str, warehouse_url: str) -> None:
    assert steps.plan(warehouse_url, run_id=run_id, only=[]) == ["b", "c", "a"]
    with connect(warehouse_url) as session:
        assert [(run.table_name, run.status) for run in store.table_runs(session, run_id)] == [
            ("a", "planned"),
            ("b", "planned"),
            ("c", "planned"),
        ]


def test_a_plan_of_some_tables_holds_these_only(run_id: str, warehouse_url: str) -> None:
    assert steps.plan(warehouse_url, run_id=run_id, only=["a", "c"]) == ["c", "a"]


@pytest.mark.parametrize("name", ["d", "demo"])
def test_a_plan_refuses_a_table_that_is_not_deployed(run_id: str, warehouse_url: str, name: str) -> None:
    with pytest.raises(UnknownTableError, match=f"There is no table '{name}'"):
        steps.plan(warehouse_url, run_id=run_id, only=["a", name])


def test_a_plan_of_no_table_is_an_error(run_id: str, warehouse_url: str, setting: Setting, config: Path) -> None:
    setting(groups="nothing")
    with pytest.raises(NoTablesError, match=r"No table to load: none under .*SLUICEWAY_GROUPS = 'nothing'"):
        steps.plan(warehouse_url, run_id=run_id, only=[])


def test_a_plan_of_a_broken_file_is_an_error(run_id: str, warehouse_url: str, config: Path) -> None:
    (config / "tables" / "c.toml").write_text("broken")
    with pytest.raises(ConfigError, match=r"c\.toml"):
        steps.plan(warehouse_url, run_id=run_id, only=["a"])


def test_a_table_whose_source_is_gone_is_planned_all_the_same(run_id: str, warehouse_url: str, config: Path) -> None:
    (config / "tables" / "b.csv").unlink()
    assert steps.plan(warehouse_url, run_id=run_id, only=[]) == ["c", "a", "b"]


def test_every_source_that_is_missing_is_named(run_id: str, warehouse_url: str, config: Path) -> None:
    steps.plan(warehouse_url, run_id=run_id, only=[])
    steps.check_sources(warehouse_url, run_id)
    (config / "tables" / "a.csv").unlink()
    (config / "tables" / "c.csv").unlink()
    with pytest.raises(SourceMissingError) as caught:
        steps.check_sources(warehouse_url, run_id)
    assert [line[:2] for line in str(caught.value).splitlines()] == ["a:", "c:"]


def test_a_missing_source_of_a_table_outside_the_run_is_nobodys_business(
    run_id: str, warehouse_url: str, config: Path
) -> None:
    steps.plan(warehouse_url, run_id=run_id, only=["b"])
    (config / "tables" / "a.csv").unlink()
    steps.check_sources(warehouse_url, run_id)


def test_a_source_with_an_unknown_scheme_is_named_with_its_table(run_id: str, warehouse_url: str, config: Path) -> None:
    steps.plan(warehouse_url, run_id=run_id, only=["a", "b"])
    path = config / "tables" / "a.toml"
    path.write_text(path.read_text().replace("a.csv", "ftp://host/a.csv"))
    with pytest.raises(ConfigError, match=r"a: ftp://host/a\.csv: ftp:// is no scheme"):
        steps.check_sources(warehouse_url, run_id)


def test_a_warehouse_in_which_the_role_can_work_is_fit(warehouse_url: str) -> None:
    steps.check_warehouse(warehouse_url)


@pytest.mark.parametrize(
    ("statement", "lacks"),
    [
        ("DROP EXTENSION postgis CASCADE", "the extension postgis"),
        ("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, sluiceway_loader", "the privilege TEMP"),
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC, sluiceway_loader", "the privilege CREATE on schema public"),
    ],
)
def test_what_the_role_that_loads_lacks_is_named(
    statement: str, lacks: str, warehouse_url: str, postgres: Cluster, database: str
) -> None:
    with psycopg.connect(postgres.url("postgres", database), autocommit=True) as admin:
        admin.execute(statement.format(database=database))
    with pytest.raises(ValidationError) as caught:
        steps.check_warehouse(warehouse_url)
    assert str(caught.value).startswith(f"The warehouse lacks {lacks}")
    assert str(caught.value).count(";") == 0


@pytest.fixture
def idle_loader(warehouse_url: str) -> psycopg.Connection:
    """A session of a lost worker: idle, inside a transaction."""
    connection = psycopg.connect(warehouse_url, application_name="sluiceway load city")
    connection.execute("CREATE TEMPORARY TABLE etl_stage (id integer)")
    return connection


def is_alive(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_a_session_that_a_lost_worker_left_is_ended(
    warehouse_url: str, idle_loader: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STALE_SESSION_HOURS", 0)
    assert steps.cleanup_staging(warehouse_url) == 1
    assert not is_alive(idle_loader)


def test_a_session_that_is_young_or_another_programs_is_left_alone(
    warehouse_url: str, idle_loader: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps.cleanup_staging(warehouse_url) == 0
    assert is_alive(idle_loader)
    idle_loader.commit()
    monkeypatch.setattr(steps, "STALE_SESSION_HOURS", 0)
    with psycopg.connect(warehouse_url, application_name="psql") as other:
        other.execute("SELECT 1")
        assert steps.cleanup_staging(warehouse_url) == 0
        assert is_alive(other)
    assert is_alive(idle_loader)
    idle_loader.close()


def test_a_session_of_another_warehouse_is_left_alone(
    warehouse_url: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # one server, two warehouses, one loading role: staging's clean-up must not end production's load
    monkeypatch.setattr(steps, "STALE_SESSION_HOURS", 0)
    other_url = postgres.url("sluiceway_loader", "warehouse")
    with psycopg.connect(other_url, application_name="sluiceway load city") as other:
        other.execute("SELECT 1")
        assert steps.cleanup_staging(warehouse_url) == 0
        assert is_alive(other)


def test_old_runs_and_their_reports_are_forgotten(
    loaded: dict[str, TableRun], warehouse_url: str, tmp_path: Path, query: Query
) -> None:
    settings = Settings(reports_dir=tmp_path / "reports", history_days=1)
    steps.write_report(warehouse_url, RUN, settings)
    steps.close_ledger(warehouse_url, RUN, {})
    assert steps.cleanup_history(warehouse_url, settings) == 0
    steps.open_ledger(warehouse_url, run_id="old", dag_id="d", commit_sha=None, trigger_kind="test")
    steps.close_unfinished(warehouse_url, "old", "x")
    query("UPDATE etl.run SET finished_at = now() - interval '2 days'")
    assert steps.cleanup_history(warehouse_url, settings) == 1
    assert query("SELECT run_id FROM etl.run") == [(RUN,)]


def test_a_warehouse_that_is_what_was_loaded_is_valid(loaded: dict[str, TableRun], warehouse_url: str) -> None:
    steps.validate(warehouse_url, RUN)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM b WHERE id = 7", "b holds 99 rows, the ledger says 100"),
        ("INSERT INTO a VALUES (99, 'x')", "a holds 2 rows, the ledger says 1"),
        ("DROP TABLE c", "c is not in the warehouse"),
        ("UPDATE etl.table_run SET status = 'failed' WHERE table_name = 'c'", "c is failed"),
        ("UPDATE etl.table_run SET status = 'planned' WHERE table_name = 'c'", "c is planned"),
    ],
)
def test_a_warehouse_that_is_not_what_was_loaded_is_noticed(
    loaded: dict[str, TableRun], warehouse_url: str, query: Query, statement: str, problem: str
) -> None:
    query(statement)
    with pytest.raises(ValidationError) as caught:
        steps.validate(warehouse_url, RUN)
    assert str(caught.value) == f"The warehouse is not what was loaded: {problem}."


def test_views_of_the_deployment_are_published(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    head = "-- description: x\n-- tables: b\n"
    (config / "sql" / "big.sql").write_text(f"{head}SELECT count(*) AS n FROM b")
    (config / "sql" / "demo.sql").write_text(f"{head}-- group: quickstart\nSELECT count(*) AS n FROM b")
    assert steps.aggregate(warehouse_url) == ["big"]
    assert query("SELECT n FROM big") == [(100,)]


def test_closing_the_ledger_writes_the_verdict(loaded: dict[str, TableRun], warehouse_url: str) -> None:
    verdict = steps.close_ledger(warehouse_url, RUN, {"plan": "success"})
    run = run_of(warehouse_url, RUN)
    assert (run.status, run.note) == (verdict.status, verdict.sentence) == ("success", verdict.sentence)
    steps.close_ledger(warehouse_url, RUN, {"final.aggregate": "failed"})
    assert run_of(warehouse_url, RUN).status == "failed"


def test_a_run_without_a_verdict_is_closed_as_failed_and_no_verdict_is_overwritten(
    run_id: str, warehouse_url: str
) -> None:
    steps.close_unfinished(warehouse_url, run_id, "timed out")
    assert (run_of(warehouse_url, run_id).status, run_of(warehouse_url, run_id).note) == ("failed", "timed out")
    steps.close_unfinished(warehouse_url, run_id, "later")
    assert run_of(warehouse_url, run_id).note == "timed out"
    steps.close_unfinished(warehouse_url, "nobody", "no such run is no error")


def test_a_report_is_written_for_a_run(loaded: dict[str, TableRun], warehouse_url: str, tmp_path: Path) -> None:
    steps.close_ledger(warehouse_url, RUN, {})
    path = steps.write_report(warehouse_url, RUN, Settings(config_dir=tmp_path, reports_dir=tmp_path / "reports"))
    page = path.read_text(encoding="utf-8")
    assert path.parent == tmp_path / "reports"
    assert all(text in page for text in (RUN, "Table b", "100"))


def test_a_report_is_written_although_a_tables_file_is_broken(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "tables" / "b.toml").write_text("broken")
    steps.close_ledger(warehouse_url, RUN, {})
    settings = Settings(config_dir=config, reports_dir=config / "reports")
    assert RUN in steps.write_report(warehouse_url, RUN, settings).read_text(encoding="utf-8")


def test_a_superseded_run_stays_superseded_when_its_row_is_closed_again(run_id: str, warehouse_url: str) -> None:
    steps.supersede(warehouse_url, run_id, "b" * 40, "Superseded: staging serves the newer commit b.")
    verdict = steps.close_ledger(warehouse_url, run_id, {"plan": "skipped", "deploy_gate": "success"})
    run = run_of(warehouse_url, run_id)
    assert (verdict.status, run.status, run.deployed_sha) == ("superseded", "superseded", "b" * 40)
    assert run.note == "Superseded: staging serves the newer commit b."


def test_a_repeated_run_forgets_that_it_was_superseded(run_id: str, warehouse_url: str) -> None:
    steps.supersede(warehouse_url, run_id, "b" * 40, "Superseded.")
    steps.open_ledger(warehouse_url, run_id=run_id, dag_id="master_etl", commit_sha=None, trigger_kind="test")
    assert (run_of(warehouse_url, run_id).status, run_of(warehouse_url, run_id).deployed_sha) == ("running", None)
    assert steps.close_ledger(warehouse_url, run_id, {"plan": "skipped"}).status == "failed"
