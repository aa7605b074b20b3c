"""`sluiceway`: what it prints, and the exit code that a script can rely on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from bench.landiq_file import write_shapefile
from dev.environment import ROOT
from sluiceway.cli import console
from sluiceway.cli.app import app
from sluiceway.ledger.warehouse import LEDGER_REVISION
from tests.cli.commands import commands

Query = Callable[..., list[tuple[object, ...]]]
Setting = Callable[..., None]
Run = Callable[..., Result]

SPEC = """description = "Cities"
key = "id"
[source]
kind = "csv"
uri = "city.csv"
[columns]
id = "integer"
name = "text"
[checks]
max_rejects = 1
"""
UNREACHABLE = "postgresql://me:secret@127.0.0.1:1/none"


@pytest.fixture
def run() -> Run:
    """Runs one command in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path: Path, setting: Setting) -> Path:
    """A config of one deployed table, one of the quickstart, and one view."""
    for folder in ("tables", "sql"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tables" / "city.toml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "tables" / "demo.toml").write_text('group = "quickstart"\n' + SPEC, encoding="utf-8")
    (tmp_path / "tables" / "city.csv").write_text("id,name\n1,Ponce\n2,[bold]Caguas\nx,No\n", encoding="utf-8")
    (tmp_path / "sql" / "big.sql").write_text("-- description: x\n-- tables: city\nSELECT 1 AS n\n", encoding="utf-8")
    setting(config_dir=tmp_path)
    return tmp_path


@pytest.fixture
def wired(config: Path, warehouse_url: str, setting: Setting) -> Path:
    """The same config, with a warehouse."""
    setting(warehouse_url=warehouse_url)
    return config


def tables_of(result: Result) -> list[str]:
    return [entry["name"] for entry in json.loads(result.stdout)]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_that_command(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: sluiceway {' '.join(command)}" in " ".join(result.stdout.split())


def test_there_are_commands_to_look_at() -> None:
    assert {("trigger",), ("tables", "list"), ("tables", "run"), ("runs", "show"), ("ledger", "migrate")} <= set(
        commands()
    )


@pytest.mark.parametrize("arguments", [(), ("tables",), ("runs",), ("ledger",)])
def test_without_a_command_the_help_is_shown(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert "Usage:" in result.output
    assert result.exit_code == 2


def test_a_command_that_does_not_exist_is_a_usage_error(run: Run) -> None:
    assert run("tables", "lst").exit_code == 2


def test_the_list_shows_the_deployed_tables(run: Run, config: Path) -> None:
    assert tables_of(run("tables", "list", "--json")) == ["city"]
    assert tables_of(run("tables", "list", "--json", "--all")) == ["city", "demo"]
    shown = run("tables", "list")
    assert "Cities" in shown.stdout
    assert "demo" not in shown.stdout


CHECKS = """
[checks.columns.name]
pattern = "([A-Z]+"
references = "dem.name"
[[checks.rows]]
holds = "ids > 0"
[[checks.rows]]
holds = "id IN (SELECT 1)"
"""


def test_what_is_wrong_with_checks_of_values_is_a_sentence_each(run: Run, config: Path) -> None:
    path = config / "tables" / "city.toml"
    path.write_text(SPEC + CHECKS, encoding="utf-8")
    result = run("tables", "check", path)
    assert result.exit_code == 2
    assert " ".join(result.stderr.split()).replace(f"{path}: ", "") == (
        "error: checks.columns.name.pattern = '([A-Z]+': is no regular expression of RE2: missing ): ([A-Z]+; it has "
        "neither look-arounds nor back-references "
        "error: checks.rows.0.holds = 'ids > 0': names 'ids', which is no column of this table; did you mean 'id'? "
        "error: checks.rows.1.holds = 'id IN (SELECT 1)': holds a SELECT; a row is judged by its own columns alone "
        "error: checks.columns.name.references = 'dem.name': there is no table 'dem'; did you mean 'demo'?"
    )


def test_a_load_that_fails_a_check_says_which_rows(run: Run, wired: Path) -> None:
    path = wired / "tables" / "city.toml"
    path.write_text(f"{SPEC}[checks.columns.name]\naccepted = ['Ponce']\nfailing = 'fail'\n", encoding="utf-8")
    result = run("tables", "run", "city")
    assert result.exit_code == 1
    said = "city: 2 rows fail checks.columns.name.accepted (Ponce): row 2: '[bold]Caguas', row 3: 'No'. Nothing was"
    assert said in " ".join(result.stderr.split())


def test_an_empty_list_says_why(run: Run, config: Path, setting: Setting) -> None:
    setting(groups="nothing")
    result = run("tables", "list")
    assert "SLUICEWAY_GROUPS" in result.stderr
    assert (tables_of(run("tables", "list", "--json")), result.exit_code) == ([], 0)


def test_a_broken_file_hinders_no_other_in_the_list_and_its_sentence_ends_it_with_2(run: Run, config: Path) -> None:
    (config / "tables" / "town.toml").write_text(SPEC.replace("integer", "integr"), encoding="utf-8")
    result = run("tables", "list")
    assert (result.exit_code, "Cities" in result.stdout, "town" in result.stdout) == (2, True, False)
    assert "town.toml: columns.id.type = 'integr'" in result.stderr and "did you mean 'integer'?" in result.stderr
    assert tables_of(run("tables", "list", "--json")) == ["city"]


def test_a_list_of_broken_files_alone_holds_their_sentences(run: Run, config: Path) -> None:
    (config / "tables" / "city.toml").write_text("broken", encoding="utf-8")
    result = run("tables", "list")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "city.toml: is not valid TOML" in result.stderr and "SLUICEWAY_GROUPS" not in result.stderr


def test_a_broken_file_of_another_group_is_told_of_with_all_alone(run: Run, config: Path) -> None:
    (config / "tables" / "demo.toml").write_text('group = "quickstart"\nkey =', encoding="utf-8")
    assert run("tables", "list").exit_code == 0
    result = run("tables", "list", "--all")
    assert (result.exit_code, "demo.toml" in result.stderr) == (2, True)


def test_a_right_table_is_run_beside_a_broken_file(run: Run, wired: Path, query: Query) -> None:
    (wired / "tables" / "demo.toml").write_text("broken", encoding="utf-8")
    assert run("tables", "run", "city").exit_code == 0
    assert query("SELECT count(*) FROM city") == [(2,)]


def test_a_table_in_parts_is_run_in_one_and_the_command_says_so(run: Run, wired: Path, query: Query) -> None:
    write_shapefile(wired / "tables", 1_200)
    (wired / "tables" / "field.toml").write_text(
        'description = "Fields"\nkey = "id"\nsplit = "rows:1000"\n'
        'source = { kind = "vector", uri = "i15_crop_mapping.shp" }\n'
        'columns = { id = { source = "UniqueID", type = "text" } }\n',
        encoding="utf-8",
    )
    result = run("tables", "run", "field")
    assert result.exit_code == 0, result.output
    assert "field: split is for Airflow's workers; this process loads the table in one." in result.stderr
    assert query("SELECT (SELECT count(*) FROM field), (SELECT count(*) FROM etl.table_part)") == [(1_200, 0)]


def test_good_files_are_valid(run: Run, config: Path) -> None:
    result = run("tables", "check")
    assert (result.exit_code, result.stdout) == (0, "3 files are valid.\n")


def test_one_file_can_be_checked_alone(run: Run, config: Path) -> None:
    (config / "tables" / "demo.toml").write_text("broken", encoding="utf-8")
    assert run("tables", "check", config / "tables" / "city.toml").exit_code == 0


def test_every_problem_of_every_file_is_printed(run: Run, config: Path) -> None:
    (config / "tables" / "demo.toml").write_text(SPEC.replace("key =", "keey ="), encoding="utf-8")
    (config / "sql" / "big.sql").write_text("SELECT 1\n", encoding="utf-8")
    result = run("tables", "check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.removeprefix("error: ") for line in result.stderr.splitlines()] == [
        f"{config / 'tables' / 'demo.toml'}: key: is missing; add it",
        f"{config / 'tables' / 'demo.toml'}: keey: no such key; did you mean 'key'?",
        f"{config / 'sql' / 'big.sql'}: the first lines must say `-- description: ...`",
    ]


@pytest.mark.parametrize(
    ("name", "tables", "select", "said"),
    [
        (
            "city",
            "demo",
            "SELECT 1 AS n",
            "tables/city.toml makes a table 'city', and a view cannot have its name; rename",
        ),
        ("wide", "citty", "SELECT 1 AS n", "tables: there is no table or view 'citty'; did you mean 'city'?"),
        ("wide", "city, wide", "SELECT 1 AS n", "tables: there is no table or view 'wide'"),
        (
            "wide",
            "city",
            "SELECT 1 AS n FROM city, demo",
            "tables: the SELECT reads 'demo', which the line does not name",
        ),
        (
            "wide",
            "city",
            "SELECT 1 AS n FROM public.big",
            "tables: the SELECT reads 'big', which the line does not name",
        ),
        (
            "wide",
            "city",
            "SELECT 1; DROP TABLE city",
            "the SELECT holds more than one statement; it must be one SELECT",
        ),
        (
            "wide",
            "city",
            "WITH d AS (DELETE FROM city RETURNING 1) SELECT 1",
            "the SELECT holds DELETE; it must only read",
        ),
    ],
)
def test_a_view_that_cannot_be_published_is_refused_with_one_sentence(
    run: Run, config: Path, name: str, tables: str, select: str, said: str
) -> None:
    path = config / "sql" / f"{name}.sql"
    path.write_text(f"-- description: x\n-- tables: {tables}\n{select}\n", encoding="utf-8")
    result = run("tables", "check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {path}: {said}")
    assert len(result.stderr.splitlines()) == 1


def test_a_view_may_read_views_and_the_results_that_a_job_shows(run: Run, config: Path) -> None:
    (config / "jobs").mkdir()
    (config / "jobs" / "shout.py").write_text(
        "from sluiceway.jobs.definition import Job, Results\n"
        "RESULTS = Results(table='loud', columns={'said': 'text'}, public=('said',))\n"
        "JOB = Job(due=\"SELECT 'a' AS item\", work=lambda items: [], results=RESULTS)\n"
    )
    select = "WITH demo AS (SELECT 1 AS n) SELECT n FROM big, loud, demo"
    (config / "sql" / "wide.sql").write_text(f"-- description: x\n-- tables: big, loud\n{select}\n", encoding="utf-8")
    result = run("tables", "check")
    assert (result.exit_code, result.stdout) == (0, "4 files are valid.\n"), result.stderr


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1 AS id; DELETE FROM t", "source.query holds more than one statement; it must be one SELECT"),
        ("WITH d AS (DELETE FROM t RETURNING 1) SELECT 1", "source.query holds DELETE; it must only read"),
        ("SELECT TOP 3 [id] FROM t WITH (NOLOCK)", None),
    ],
)
def test_the_query_of_a_source_is_checked_before_anybody_runs_it(
    run: Run, config: Path, query: str, said: str | None
) -> None:
    path = config / "tables" / "city.toml"
    path.write_text(
        'description = "c"\nkey = "id"\ncolumns = { id = "integer" }\n'
        f'source = {{ kind = "sql", connection = "erp", query = "{query}" }}\n'
    )
    result = run("tables", "check", path)
    assert result.exit_code == (0 if said is None else 2)
    assert result.stderr == ("" if said is None else f"error: {path}: {said}\n")


@pytest.mark.parametrize("name", ["none.toml", "none.sql"])
def test_a_file_to_check_that_is_not_there_is_an_error(run: Run, config: Path, name: str) -> None:
    result = run("tables", "check", config / name)
    assert result.exit_code == 2
    assert f"{name}: there is no such file" in result.stderr


def test_a_table_is_run_by_its_name_and_by_its_file(run: Run, wired: Path, query: Query) -> None:
    by_name = run("tables", "run", "city")
    assert by_name.exit_code == 0, by_name.output
    assert by_name.stdout.startswith(
        "city: loaded, 3 extracted = 2 inserted + 0 updated + 0 unchanged + 1 rejected; 2 rows in the table;"
    )
    assert query("SELECT id, name FROM city ORDER BY id") == [(1, "Ponce"), (2, "[bold]Caguas")]
    [(run_id,)] = query("SELECT run_id FROM etl.run")
    assert by_name.stderr == f"Why rows were rejected: sluiceway runs show {run_id}\n"
    by_file = run("tables", "run", wired / "tables" / "city.toml")
    assert by_file.stdout.startswith("city: unchanged,")
    forced = run("tables", "run", "city", "--force")
    assert "0 inserted + 0 updated + 2 unchanged + 1 rejected" in forced.stdout
    assert query("SELECT status, trigger_kind FROM etl.run") == [("success", "cli")] * 3


def test_a_file_that_nobody_has_described_is_run_by_a_draft_that_is_shown(
    run: Run, wired: Path, tmp_path: Path, query: Query
) -> None:
    sheet = tmp_path / "Spend 2024.csv"
    sheet.write_text("parcel,county\n1,[bold]Yolo\n2,Kern\n", encoding="utf-8")
    seen = run("tables", "preview", sheet)
    assert (seen.exit_code, "of 2 rows 2 can be loaded" in seen.stdout) == (0, True), seen.output
    result = run("tables", "run", sheet)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("spend_2024: loaded, 2 extracted = 2 inserted")
    draft, kept, _ = result.stderr.partition("This draft is used once. To keep it: sluiceway tables infer")
    assert kept and tomllib.loads(draft)["key"] == "parcel"
    assert all(column in tomllib.loads(draft)["columns"] for column in ("parcel", "county"))
    assert query("SELECT parcel::int, county FROM spend_2024 ORDER BY 1") == [(1, "[bold]Yolo"), (2, "Kern")]
    again = run("tables", "run", sheet, "--json")
    assert json.loads(again.stdout)["status"] == "unchanged"
    missing = run("tables", "run", tmp_path / "none.csv")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "none.csv" in missing.stderr and "Traceback" not in missing.stderr


def test_json_of_a_run_holds_every_count(run: Run, wired: Path) -> None:
    found = json.loads(run("tables", "run", "city", "--json").stdout)
    assert found["run_id"].startswith("cli__")
    assert {name: found[name] for name in ("table_name", "status", "table_rows", "error", "repaired", "deleted")} == {
        "table_name": "city",
        "status": "loaded",
        "table_rows": 2,
        "error": None,
        "repaired": 0,
        "deleted": 0,
    }
    assert [found[name] for name in ("extracted", "inserted", "updated", "unchanged", "rejected")] == [3, 2, 0, 0, 1]
    assert found["bytes"] == (wired / "tables" / "city.csv").stat().st_size
    assert found["seconds"] > 0
    assert found["peak_rss_bytes"] > 10_000_000


def test_a_table_that_was_not_loaded_exits_with_1_and_its_json(run: Run, wired: Path, query: Query) -> None:
    (wired / "tables" / "city.csv").write_text("id,name\n", encoding="utf-8")
    result = run("tables", "run", "city", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error_type"] == "EmptyExtractionError"
    assert result.stderr == ("error: city: the source gave no rows, checks.min_rows is 1. Nothing was changed.\n")
    assert query("SELECT status FROM etl.run") == [("failed",)]


@pytest.mark.parametrize("json_option", [(), ("--json",)])
def test_a_name_or_file_that_is_wrong_exits_with_2_and_opens_no_run(
    run: Run, wired: Path, query: Query, json_option: tuple[str, ...]
) -> None:
    (wired / "bad.toml").write_text(SPEC.replace('"csv"', '"cvs"'), encoding="utf-8")
    for argument, sentence in (
        ("citty", "error: There is no table 'citty'; did you mean 'city'?"),
        (
            wired / "bad.toml",
            "source.kind = 'cvs': is not one of csv, json, parquet, excel, sqlite, vector, sql, bigquery, http_json, "
            "gsheet; did you mean 'csv'?",
        ),
        (wired / "none.toml", "none.toml: there is no such file."),
    ):
        result = run("tables", "run", argument, *json_option)
        assert (result.exit_code, result.stdout) == (2, "")
        assert sentence in result.stderr
    assert query("SELECT count(*) FROM etl.run") == [(0,)]


def test_without_a_warehouse_the_ways_to_name_one_are_shown(run: Run, config: Path) -> None:
    result = run("tables", "run", "city")
    assert result.exit_code == 2
    assert "pass --warehouse postgresql://USER@HOST/DB" in result.stderr


@pytest.mark.parametrize(
    "command",
    [("tables", "run", "city"), ("runs", "list"), ("runs", "show", "r1"), ("ledger", "migrate")],
    ids=" ".join,
)
def test_a_warehouse_that_does_not_answer_exits_with_1_and_keeps_the_password(
    run: Run, config: Path, command: tuple[str, ...]
) -> None:
    result = run(*command, "--warehouse", UNREACHABLE)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "127.0.0.1:1/none does not answer" in result.stderr
    assert "secret" not in result.output
    assert "Traceback" not in result.output


def test_a_url_that_is_no_url_exits_without_a_traceback(run: Run, config: Path) -> None:
    result = run("runs", "list", "--warehouse", "warehouse")
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, "--warehouse: the address has no scheme" in result.stderr) == (2, True)


def test_a_warehouse_named_on_the_command_line_gets_its_ledger(
    run: Run, config: Path, owner_url: str, query: Query
) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    result = run("tables", "run", "city", "--warehouse", owner_url)
    assert result.exit_code == 0, result.output
    assert query("SELECT count(*) FROM etl.run") == [(1,)]


def test_a_deployments_warehouse_is_migrated_by_its_owner_only(
    run: Run, wired: Path, owner_url: str, warehouse_url: str, setting: Setting
) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    result = run("tables", "run", "city")
    assert result.exit_code == 1
    assert "run `sluiceway ledger migrate`" in result.stderr
    setting(config_dir=wired, warehouse_url=warehouse_url, owner_url=owner_url)
    migrated = run("ledger", "migrate")
    assert (migrated.exit_code, migrated.stdout) == (0, f"The ledger is at revision {LEDGER_REVISION}.\n")
    assert run("tables", "run", "city").exit_code == 0


def test_runs_are_listed_newest_first(run: Run, wired: Path) -> None:
    first = json.loads(run("tables", "run", "city", "--json").stdout)["run_id"]
    second = json.loads(run("tables", "run", "city", "--json").stdout)["run_id"]
    found = json.loads(run("runs", "list", "--json").stdout)
    assert [entry["run_id"] for entry in found] == [second, first]
    assert [entry["status"] for entry in found] == ["success", "success"]
    assert len(json.loads(run("runs", "list", "--json", "--limit", "1").stdout)) == 1
    assert first in run("runs", "list").stdout


def test_a_run_is_shown_with_its_tables_and_rejects(run: Run, wired: Path) -> None:
    run_id = json.loads(run("tables", "run", "city", "--json").stdout)["run_id"]
    shown = run("runs", "show", run_id)
    assert shown.exit_code == 0
    assert f"{run_id}: success." in shown.stdout
    assert "  row 3: id: 'x' is no integer" in shown.stdout
    document = json.loads(run("runs", "show", run_id, "--json").stdout)
    assert (document["run_id"], [table["table_name"] for table in document["tables"]]) == (run_id, ["city"])


def test_memory_has_one_unit_in_what_a_load_says_in_its_run_and_on_its_page(run: Run, wired: Path) -> None:
    loaded = run("tables", "run", "city").stdout
    (said,) = re.findall(r", ([0-9]+ MiB)\n$", loaded)
    run_id = json.loads(run("runs", "list", "--json").stdout)[0]["run_id"]
    head, row = run("runs", "show", run_id).stdout.splitlines()[2:4]
    assert (head.split()[-1], row.split()[-2:]) == ("memory", said.split())


def test_the_error_of_a_failed_run_is_shown(run: Run, wired: Path) -> None:
    (wired / "tables" / "city.csv").write_text("id,title\n1,[red]x\n", encoding="utf-8")
    run_id = json.loads(run("tables", "run", "city", "--json").stdout)["run_id"]
    shown = run("runs", "show", run_id)
    assert "city: SchemaDriftError: city: adapt [columns] or the source" in " ".join(shown.stdout.split())


def test_a_run_that_the_ledger_does_not_know_is_a_usage_error(run: Run, wired: Path) -> None:
    result = run("runs", "show", "nobody")
    assert result.exit_code == 2
    assert "The ledger has no run 'nobody'" in result.stderr


def test_a_retry_without_an_airflow_says_how_to_name_one(run: Run, wired: Path) -> None:
    result = run("runs", "retry", "deploy__1")
    assert result.exit_code == 2
    assert "set SLUICEWAY_AIRFLOW_URL" in result.stderr


def test_a_retry_with_an_airflow_that_does_not_answer_exits_with_1(run: Run, setting: Setting) -> None:
    setting(airflow_url="http://127.0.0.1:1", airflow_username="admin", airflow_password="secret")
    result = run("runs", "retry", "deploy__1")
    assert result.exit_code == 1
    assert "Airflow at http://127.0.0.1:1 does not answer" in result.stderr
    assert "secret" not in result.output


def test_a_bug_is_not_dressed_up_as_a_sentence(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: object) -> str:
        raise ZeroDivisionError(text)

    monkeypatch.setattr(console, "plain", broken)
    result = run("tables", "run", "citty")
    assert isinstance(result.exception, ZeroDivisionError)


def test_the_program_itself_loads_a_table_into_a_pipe(config: Path, warehouse_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from sluiceway.cli.app import app; app()", "tables", "run", "city", "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "include"),
            "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", str(ROOT / ".local" / "pycache")),
            "SLUICEWAY_CONFIG_DIR": str(config),
            "SLUICEWAY_WAREHOUSE_URL": warehouse_url,
            "SLUICEWAY_ENV_FILE": os.environ["SLUICEWAY_ENV_FILE"],
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["inserted"] == 2


@pytest.mark.parametrize("command", [["tables", "list"], ["runs", "list"], ["status"], ["triggers", "list"]])
def test_every_command_names_a_variable_that_nobody_reads(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SLUICEWAY_GROUP", "x")
    result = run(*command)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: SLUICEWAY_GROUP: no such setting; did you mean 'SLUICEWAY_GROUPS'?")
    assert run(*command, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("upper(nme)", "columns.loud.expression: reads 'nme', which is no other column of [columns]; did you mean"),
        ("CASE WHEN name THEN", "columns.loud.expression: cannot be read as SQL: "),
        ("name name", "columns.loud.expression: is not one value; put an operator between two"),
    ],
)
def test_an_expression_that_is_none_is_refused_offline(run: Run, tmp_path: Path, expression: str, said: str) -> None:
    path = tmp_path / "city.toml"
    path.write_text(
        'description = "Cities"\nkey = "id"\nsource = { kind = "csv", uri = "city.csv" }\n[columns]\nid = "integer"\n'
        f'name = "text"\nloud = {{ type = "text", expression = \'{expression}\' }}\n',
        encoding="utf-8",
    )
    result = run("tables", "check", str(path))
    assert result.exit_code == 2
    assert f"{path}: {said}" in result.stderr
