"""The steps around the loading of tables: each notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bench.landiq_file import write_shapefile
from dev.cluster import Cluster
from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    LedgerMissingError,
    NoTablesError,
    SettingsError,
    SourceMissingError,
    UnknownParamError,
    UnknownTableError,
    ValidationError,
)
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import PsycopgSession, connect
from sluiceway.load.table import load_table
from sluiceway.run import parts, publishing, steps, watching
from sluiceway.run.reconcile import Seen
from sluiceway.run.truth import truths_of
from sluiceway.settings import Settings
from sluiceway.tables import registry
from tests.run.runs import OTHER, RUN, opening, run_of

Query = Callable[..., list[tuple[object, ...]]]
Setting = Callable[..., None]


def test_two_dags_may_have_runs_of_one_id(loaded: dict[str, TableRun], warehouse_url: str) -> None:
    steps.open_ledger(warehouse_url, opening(OTHER))
    steps.plan(warehouse_url, OTHER, only=["a"])
    load_table(registry.read_one("a"), warehouse_url, run=OTHER)
    assert run_of(warehouse_url, RUN).dag_id == "master_etl"
    with connect(warehouse_url) as session:
        assert [each.table_name for each in store.table_runs(session, RUN)] == ["a", "b", "c"]
        assert [(each.table_name, each.status) for each in store.table_runs(session, OTHER)] == [("a", "unchanged")]
    steps.close_ledger(warehouse_url, opening(OTHER), {"plan": "failed"})
    assert (run_of(warehouse_url, OTHER).status, run_of(warehouse_url, RUN).status) == ("failed", "running")


def test_a_warehouse_without_a_ledger_is_refused(owner_url: str, warehouse_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    with pytest.raises(LedgerMissingError, match="sluiceway ledger migrate"):
        steps.open_ledger(warehouse_url, opening(RUN))
    with pytest.raises(LedgerMissingError, match="sluiceway ledger migrate"):
        steps.check_warehouse(warehouse_url)


def test_a_conf_key_that_is_no_param_names_the_nearest() -> None:
    params = ("commit_sha", "force", "tables")
    steps.check_conf({"tables": [], "force": True}, params)
    steps.check_conf({}, params)
    with pytest.raises(UnknownParamError, match=r"conf has a key 'table' that this DAG does not know; .* 'tables'"):
        steps.check_conf({"force": True, "table": "x"}, params)


def test_a_plan_puts_the_largest_source_first(run: RunKey, warehouse_url: str) -> None:
    assert steps.plan(warehouse_url, run, only=[]) == ["b", "c", "a"]
    with connect(warehouse_url) as session:
        assert [(each.table_name, each.status) for each in store.table_runs(session, RUN)] == [
            ("a", "planned"),
            ("b", "planned"),
            ("c", "planned"),
        ]


def test_a_table_whose_queue_has_a_task_of_its_own_is_planned_by_all_and_handed_out_there(
    run: RunKey, warehouse_url: str, config: Path
) -> None:
    for name, queue in (("b", "heavy"), ("c", "new")):
        path = config / "tables" / f"{name}.toml"
        path.write_text(f'queue = "{queue}"\n{path.read_text()}')
    assert steps.groups() == ["heavy", "new"]
    # the DAG was read before anybody wrote `new`: its table is loaded with the others
    assert steps.plan(warehouse_url, run, only=[], groups=["heavy"]) == ["c", "a"]
    assert steps.plan_group("heavy", only=[], groups=["heavy"]) == ["b"]
    assert steps.plan(warehouse_url, run, only=["b"], groups=["heavy"]) == []
    assert steps.plan_group("heavy", only=["a"], groups=["heavy"]) == []
    with connect(warehouse_url) as session:
        assert [each.table_name for each in store.table_runs(session, RUN)] == ["b"]


@pytest.mark.parametrize(
    ("in_graph", "handed_out"),
    [
        (["heavy", "heavy-4GiB", "pod-4GiB-0_5cpu"], {"heavy": ["c"], "heavy-4GiB": ["b"], "pod-4GiB-0_5cpu": ["a"]}),
        (["heavy"], {"heavy": ["b", "c"], None: ["a"]}),
        ([], {None: ["b", "c", "a"]}),
    ],
)
def test_a_table_is_handed_out_once_whichever_groups_the_graph_has(
    run: RunKey, warehouse_url: str, config: Path, in_graph: list[str], handed_out: dict[str | None, list[str]]
) -> None:
    """With pods what a table needs of memory and processors parts the groups, elsewhere its queue alone."""
    asked = {"a": 'memory = "4GiB"\ncpu = 0.5', "b": 'queue = "heavy"\nmemory = "4GiB"', "c": 'queue = "heavy"'}
    for name, lines in asked.items():
        path = config / "tables" / f"{name}.toml"
        path.write_text(f"{lines}\n{path.read_text()}")
    assert steps.groups() == ["heavy", "heavy-4GiB", "pod-4GiB-0_5cpu"]
    found = {group: steps.plan_group(group, only=[], groups=in_graph) for group in in_graph}
    rest = steps.plan(warehouse_url, run, only=[], groups=in_graph)
    assert {**found, **({None: rest} if rest else {})} == handed_out


def test_a_table_in_parts_is_planned_by_all_and_handed_out_elsewhere(
    run: RunKey, warehouse_url: str, config: Path
) -> None:
    write_shapefile(config / "tables", 3_000)
    for name, uri in (("b", "i15_crop_mapping.shp"), ("c", "none.shp")):
        (config / "tables" / f"{name}.toml").write_text(
            f'description = "Fields"\nkey = "id"\nsplit = "rows:1000"\nmemory = "4GiB"\n'
            f'source = {{ kind = "vector", uri = "{uri}" }}\n'
            'columns = { id = { source = "UniqueID", type = "text" } }\n'
        )
    assert parts.split_tables(only=[]) == ["b", "c"]
    assert parts.split_tables(only=["a", "c"]) == ["c"]
    assert steps.plan_group("pod-4GiB", only=[], groups=["pod-4GiB"]) == [], "also where others need as much"
    # the DAG was read before anybody wrote `split`: the table is loaded with the others
    assert steps.plan(warehouse_url, run, only=[]) == ["b", "a", "c"]
    assert steps.plan(warehouse_url, run, only=[], elsewhere=["b", "c"]) == ["a"]
    planned = parts.plan_parts(warehouse_url, run, only=[])
    assert planned == [{"table": "b", "part": number, "of": 3} for number in (1, 2, 3)], "the load of c says why"


def test_a_second_plan_in_another_order_overwrites_no_try_and_the_newest_one_stands(
    run: RunKey, warehouse_url: str, config: Path
) -> None:
    source = config / "tables" / "b.csv"
    good = source.read_text()
    source.write_text("id\n")
    assert steps.plan(warehouse_url, run, only=["a", "b"]) == ["a", "b"]
    load_table(registry.read_one("a"), warehouse_url, run=run, try_number=1)
    for try_number in (1, 2, 3):
        with pytest.raises(EmptyExtractionError):
            load_table(registry.read_one("b"), warehouse_url, run=run, try_number=try_number)
    source.write_text(good)
    assert steps.plan(warehouse_url, run, only=["a", "b"]) == ["b", "a"]
    # Airflow counts the tries of a map index: b now has the one that a had
    load_table(registry.read_one("b"), warehouse_url, run=run, try_number=2)
    with connect(warehouse_url) as session:
        assert {each.table_name: each.status for each in store.table_runs(session, run)} == {
            "a": "loaded",
            "b": "loaded",
        }
        tries = [(each.table_name, each.try_number, each.status) for each in store.table_tries(session, run)]
    assert tries == [
        *(("a", 0, "planned"), ("a", 1, "loaded"), ("b", 0, "planned")),
        *(("b", 1, "failed"), ("b", 2, "failed"), ("b", 3, "failed"), ("b", 4, "loaded")),
    ]


def test_a_table_that_a_second_plan_drops_is_no_fault_of_the_run_and_is_named(
    run: RunKey, warehouse_url: str, config: Path
) -> None:
    source = config / "tables" / "b.csv"
    source.write_text("id\n")
    steps.plan(warehouse_url, run, only=["a", "b", "c"])
    for name in "ac":
        load_table(registry.read_one(name), warehouse_url, run=run)
    with pytest.raises(EmptyExtractionError):
        load_table(registry.read_one("b"), warehouse_url, run=run)
    assert steps.plan(warehouse_url, run, only=["a"]) == ["a"]
    steps.validate(warehouse_url, run)
    publishing.aggregate(warehouse_url, run)
    verdict = steps.close_ledger(warehouse_url, opening(run), {"plan": "success", "sub.load_table_1": "removed"})
    assert verdict.status == "success"
    assert "2 of 2 tables loaded" in verdict.sentence, "what was loaded before stays in the warehouse, and is counted"
    assert "No longer planned: b, which had failed" in verdict.sentence
    steps.plan(warehouse_url, run, only=["a", "b"])
    with pytest.raises(ValidationError, match="b is failed"):
        steps.validate(warehouse_url, run)


def test_a_plan_of_some_tables_holds_these_only(run: RunKey, warehouse_url: str) -> None:
    assert steps.plan(warehouse_url, run, only=["a", "c"]) == ["c", "a"]


@pytest.mark.parametrize("name", ["d", "demo"])
def test_a_plan_refuses_a_table_that_is_not_deployed(run: RunKey, warehouse_url: str, name: str) -> None:
    with pytest.raises(UnknownTableError, match=f"There is no table '{name}'"):
        steps.plan(warehouse_url, run, only=["a", name])


def test_a_plan_of_no_table_is_an_error(run: RunKey, warehouse_url: str, setting: Setting, config: Path) -> None:
    setting(groups="nothing")
    with pytest.raises(NoTablesError, match=r"No table to load: none under .*SLUICEWAY_GROUPS = 'nothing'"):
        steps.plan(warehouse_url, run, only=[])


def test_a_table_whose_source_is_gone_is_planned_all_the_same(run: RunKey, warehouse_url: str, config: Path) -> None:
    (config / "tables" / "b.csv").unlink()
    assert steps.plan(warehouse_url, run, only=[]) == ["c", "a", "b"]


def test_every_source_that_is_missing_is_named(run: RunKey, warehouse_url: str, config: Path) -> None:
    steps.plan(warehouse_url, run, only=[])
    steps.check_sources(warehouse_url, run)
    (config / "tables" / "a.csv").unlink()
    (config / "tables" / "c.csv").unlink()
    with pytest.raises(SourceMissingError) as caught:
        steps.check_sources(warehouse_url, run)
    assert [line[:2] for line in str(caught.value).splitlines()] == ["a:", "c:"]


def test_a_pattern_that_no_file_fits_is_a_source_that_is_missing(run: RunKey, warehouse_url: str, config: Path) -> None:
    steps.plan(warehouse_url, run, only=["a", "b"])
    path = config / "tables" / "a.toml"
    path.write_text(path.read_text().replace("a.csv", "a*.tsv"))
    with pytest.raises(SourceMissingError, match=r"^a: .*a\*\.tsv: no file fits"):
        steps.check_sources(warehouse_url, run)


def test_a_missing_source_of_a_table_outside_the_run_is_nobodys_business(
    run: RunKey, warehouse_url: str, config: Path
) -> None:
    steps.plan(warehouse_url, run, only=["b"])
    (config / "tables" / "a.csv").unlink()
    steps.check_sources(warehouse_url, run)


def test_nothing_is_planned_where_a_setting_is_none(
    run: RunKey, warehouse_url: str, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    monkeypatch.setenv("SLUICEWAY_GROUP", "x")
    with pytest.raises(SettingsError, match="SLUICEWAY_GROUP: no such setting; did you mean 'SLUICEWAY_GROUPS'"):
        steps.plan(warehouse_url, run, only=[])
    assert query("SELECT count(*) FROM etl.table_run") == [(0,)]


def test_a_source_with_an_unknown_scheme_is_named_with_its_table(run: RunKey, warehouse_url: str, config: Path) -> None:
    steps.plan(warehouse_url, run, only=["a", "b"])
    path = config / "tables" / "a.toml"
    path.write_text(path.read_text().replace("a.csv", "ftp://host/a.csv"))
    with pytest.raises(ConfigError, match=r"a: ftp://host/a\.csv: ftp:// is no scheme"):
        steps.check_sources(warehouse_url, run)


def test_a_warehouse_in_which_the_role_can_work_is_fit(warehouse_url: str) -> None:
    steps.check_warehouse(warehouse_url)


@pytest.mark.parametrize(
    ("statement", "lacks"),
    [
        ("DROP EXTENSION postgis CASCADE", "the extension postgis"),
        ("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, sluiceway_loader", "the privilege TEMP"),
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC, sluiceway_loader", "the privilege CREATE on schema public"),
        (
            "REVOKE CREATE ON SCHEMA etl_staging FROM sluiceway_loader",
            "the privileges USAGE and CREATE on schema etl_s",
        ),
        ("REVOKE USAGE ON SCHEMA etl_staging FROM sluiceway_loader", "the privileges USAGE and CREATE on schema etl_s"),
    ],
)
@pytest.mark.parametrize("needs", ["split", "view"])
def test_what_the_role_that_loads_lacks_is_named(
    statement: str, lacks: str, needs: str, warehouse_url: str, postgres: Cluster, database: str, config: Path
) -> None:
    if needs == "view":
        (config / "sql" / "of_a.sql").write_text("-- description: x\n-- tables: a\nSELECT count(*) AS n FROM a")
    if "etl_staging" in statement:
        with psycopg.connect(postgres.url("postgres", database), autocommit=True) as admin:
            admin.execute("REVOKE ALL ON SCHEMA etl_staging FROM PUBLIC")
        # nobody misses it before the file of a table says `split`, or there is a view
        path = config / "tables" / "a.toml"
        path.write_text(f'split = "rows:1000"\n{path.read_text()}' if needs == "split" else path.read_text())
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
    steps.close_ledger(warehouse_url, opening(RUN), {})
    assert steps.cleanup_history(warehouse_url, settings) == 0
    steps.close_ledger(warehouse_url, opening(OTHER), {})
    query("UPDATE etl.run SET finished_at = now() - interval '2 days'")
    assert steps.cleanup_history(warehouse_url, settings) == 1
    assert query("SELECT dag_id, run_id FROM etl.run") == [tuple(RUN)]


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


def test_what_another_run_has_loaded_since_is_no_fault_of_this_one(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "tables" / "a.csv").write_text("id\n1\n2\n3\n")
    steps.open_ledger(warehouse_url, opening(OTHER))
    load_table(registry.read_one("a"), warehouse_url, run=OTHER)
    steps.validate(warehouse_url, RUN)


def test_closing_the_ledger_writes_the_verdict_and_what_it_saw(loaded: dict[str, TableRun], warehouse_url: str) -> None:
    publishing.aggregate(warehouse_url, RUN)
    verdict = steps.close_ledger(warehouse_url, opening(RUN), {"plan": "success"})
    run = run_of(warehouse_url, RUN)
    assert (run.status, run.note) == ("success", verdict.sentence)
    assert run.judged == {"plan": "success"}
    steps.close_ledger(warehouse_url, opening(RUN), {"final.aggregate": "failed"})
    assert run_of(warehouse_url, RUN).status == "failed"


def test_a_run_whose_row_nobody_could_open_is_closed_by_its_verdict(warehouse_url: str, config: Path) -> None:
    steps.close_ledger(warehouse_url, opening(RUN), {"deploy_gate": "failed"})
    assert run_of(warehouse_url, RUN).status == "failed"


def test_what_became_of_a_run_in_airflow_is_written_once(loaded: dict[str, TableRun], warehouse_url: str) -> None:
    publishing.aggregate(warehouse_url, RUN)
    steps.close_ledger(warehouse_url, opening(RUN), {"plan": "success"})
    seen = Seen(state="success", tasks={"plan": "failed"})
    truth = watching.reconcile_run(warehouse_url, run_of(warehouse_url, RUN), seen)
    assert truth is not None and truth.status == "failed"
    run = run_of(warehouse_url, RUN)
    assert (run.status, run.remark, run.judged) == ("failed", truth.remark, {"plan": "failed"})
    assert watching.reconcile_run(warehouse_url, run, seen) is None


def test_a_load_that_ends_after_the_verdict_has_the_run_judged_again_although_airflow_shows_it_as_before(
    run: RunKey, warehouse_url: str
) -> None:
    names = steps.plan(warehouse_url, run, only=["a", "b"])
    load_table(registry.read_one(names[0]), warehouse_url, run=run)
    states = {"plan": "success", "sub.load_table_1": "success"}
    before = steps.close_ledger(warehouse_url, opening(run), states)
    assert "1 of 2 tables never reported: a" in before.sentence
    seen = Seen(state="failed", tasks=dict(states))
    assert watching.reconcile_run(warehouse_url, run_of(warehouse_url, run), seen) is None
    assert {each.run.run_id: each.wrote_since for each in watching.watched_runs(warehouse_url, newest=5)} == {
        run.run_id: False
    }
    load_table(registry.read_one("a"), warehouse_url, run=run)
    ((_, wrote_since),) = watching.watched_runs(warehouse_url, newest=5)
    assert wrote_since
    with connect(warehouse_url) as session:
        (shown,) = truths_of(session, [(run_of(warehouse_url, run), seen)])
    truth = watching.reconcile_run(warehouse_url, run_of(warehouse_url, run), seen)
    assert truth is not None and "never reported" not in truth.text
    assert shown == truth, "who asks is told so before it is written"
    assert truth.remark == "A task that went on after the verdict has written into the ledger since."
    assert watching.reconcile_run(warehouse_url, run_of(warehouse_url, run), seen) is None, "once"
    publishing.aggregate(warehouse_url, run)
    truth = watching.reconcile_run(warehouse_url, run_of(warehouse_url, run), seen)
    assert truth is not None and (truth.status, "2 of 2 tables loaded" in truth.text) == ("success", True)


def test_a_run_that_goes_on_while_airflow_is_asked_is_left_alone(run: RunKey, warehouse_url: str) -> None:
    before = run_of(warehouse_url, run)
    steps.close_ledger(warehouse_url, opening(run), {"plan": "success"})
    assert watching.reconcile_run(warehouse_url, before, Seen(state="running", tasks={})) is None
    assert run_of(warehouse_url, run).status == "failed", "as its verdict has said, of no table"


def test_a_load_that_goes_on_keeps_nobody_from_comparing_its_run(run: RunKey, warehouse_url: str) -> None:
    """Its transaction holds the key of the run's row: what looks at runs every 30 s waited for it."""
    steps.plan(warehouse_url, run, only=["a"])
    before = run_of(warehouse_url, run)
    with psycopg.connect(warehouse_url) as load:
        store.begin_table(PsycopgSession(load), run, "a", 1)
        impatient = psycopg.conninfo.make_conninfo(warehouse_url, options="-c lock_timeout=1s")
        assert watching.reconcile_run(impatient, before, Seen(state="running", tasks={})) is None
        truth = watching.reconcile_run(impatient, before, Seen(state=None))
        load.rollback()
    assert truth is not None and run_of(warehouse_url, run).status == "abandoned"


def test_runs_that_are_open_are_watched_however_old_and_those_of_the_command_line_never(
    run: RunKey, warehouse_url: str
) -> None:
    for number in range(3):
        steps.close_ledger(warehouse_url, opening(RunKey("shop", f"r{number}")), {})
    steps.open_ledger(warehouse_url, opening(RunKey(store.CLI, "cli__1")))
    assert {each.run.run_id for each in watching.watched_runs(warehouse_url, newest=2)} == {"deploy__1", "r2"}


def test_a_report_is_written_for_a_run(loaded: dict[str, TableRun], warehouse_url: str, tmp_path: Path) -> None:
    steps.close_ledger(warehouse_url, opening(RUN), {})
    path = steps.write_report(warehouse_url, RUN, Settings(config_dir=tmp_path, reports_dir=tmp_path / "reports"))
    page = path.read_text(encoding="utf-8")
    assert path.is_relative_to(tmp_path / "reports")
    assert all(text in page for text in (RUN.run_id, "Table b", "100"))


def test_a_report_is_written_although_a_tables_file_is_broken(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "tables" / "b.toml").write_text("broken")
    steps.close_ledger(warehouse_url, opening(RUN), {})
    settings = Settings(config_dir=config, reports_dir=config / "reports")
    page = steps.write_report(warehouse_url, RUN, settings).read_text(encoding="utf-8")
    assert RUN.run_id in page and "Table a" in page and "Table b" not in page


def test_a_superseded_run_stays_superseded_when_a_part_of_it_runs_again(run: RunKey, warehouse_url: str) -> None:
    note = "Superseded: staging serves the newer commit b."
    steps.supersede(warehouse_url, run, "b" * 40, note)
    steps.open_ledger(warehouse_url, opening(run))
    verdict = steps.close_ledger(warehouse_url, opening(run), {"plan": "skipped", "deploy_gate": "success"})
    found = run_of(warehouse_url, run)
    assert (verdict.status, found.status, found.deployed_sha) == ("superseded", "superseded", "b" * 40)
    assert found.note == note


def test_a_run_that_the_gate_lets_through_after_all_is_no_longer_superseded(run: RunKey, warehouse_url: str) -> None:
    steps.supersede(warehouse_url, run, "b" * 40, "Superseded.")
    steps.record_deployed(warehouse_url, run, "a" * 40)
    assert run_of(warehouse_url, run).outcome is None
    assert steps.close_ledger(warehouse_url, opening(run), {"plan": "skipped"}).status == "failed"
