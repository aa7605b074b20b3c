"""`sluiceway triggers check` on wrong files: a sentence names file, key, value and the nearest valid one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.flows import spec
from sluiceway.flows.check import check
from sluiceway.ledger import store
from tests.flows.configured import CLI, DATABASE, ENVIRONMENT, FILE, HOOK, NIGHTLY, after, configured, flow

STOCK = flow(CLI)
WRONG: dict[str, tuple[str, str]] = {
    "is no TOML": ("flow_type =", "is not valid TOML: "),
    "has a type of flow that there is not": (
        'flow_type = "table"\ntables = ["us_state"]',
        "flow_type = 'table': is not one of tables, job, dag; did you mean 'tables'?",
    ),
    "has a key that there is not": (
        flow(head='descripton = "x"'),
        "descripton: no such key; did you mean 'descri",
    ),
    "has tags that are no list": (
        flow(head='tags = "shop"'),
        "tags = 'shop': is no list; write its values in brackets",
    ),
    "has another id than its file": (flow(head='id = "order"'), "id = 'order': a flow is named by its file, 'orders'"),
    "loads no table": ('flow_type = "tables"', "needs `tables`, the list of what it loads"),
    "loads tables in a DAG of another": ('flow_type = "dag"\ntables = ["us_state"]', 'a flow of type "dag" loads none'),
    "loads a table that there is not": (
        flow().replace("us_state", "us_stat"),
        "tables: there is no table 'us_stat'; did you mean 'us_state'?",
    ),
    "limits the loads of a job": ('flow_type = "job"\ncpu = 2', "cpu: only loads of tables are limited, and a job has"),
    "limits loads to too little": (
        flow(head='memory = "1MiB"'),
        "memory = '1MiB': 1MiB is less than a task has before",
    ),
    "loads a table twice": (flow().replace('"us_state"', '"us_state", "us_state"'), "'us_state' stands there twice"),
    "has triggers that are no list": (flow(head="triggers = 3"), "triggers: is no list of tables; begin each one with"),
    "has a trigger without an id": (flow('[[triggers]]\ntype = "cli"'), "triggers.1.id: is missing; add it"),
    "has a trigger whose id is none": (
        flow(CLI.replace("manual", "by hand")),
        "triggers.by hand.id = 'by hand': is no id; write letters, digits and _",
    ),
    "has a trigger without a type": (
        flow('[[triggers]]\nid = "manual"'),
        "triggers.manual.type: is missing; write one of cli, schedule, sensor, flow, api",
    ),
    "has a type of trigger that there is not": (
        flow(NIGHTLY.replace('type = "schedule"', 'type = "shedule"')),
        "triggers.nightly.type = 'shedule': is not one of cli, schedule, sensor, flow, api; did you mean 'schedule'?",
    ),
    "has a type of sensor that there is not": (
        flow(DATABASE.replace('"database"', '"databse"')),
        "triggers.rows.sensor_type = 'databse': is not one of ",
    ),
    "has a sensor without a type": (
        flow('[[triggers]]\nid = "x"\ntype = "sensor"'),
        "triggers.x.sensor_type: is missing; write one of database, ",
    ),
    "has a key of a trigger that there is not": (
        flow(FILE + 'event_typ = "created"'),
        "triggers.changed.event_typ: no such key; did you mean 'event_type'?",
    ),
    "calls a key as others do": (
        flow(NIGHTLY.replace("schedule =", "cron =")),
        "triggers.nightly.cron: no such key; did you mean 'schedule'?",
    ),
    "has a value that is no word of the list": (
        flow(FILE + 'event_type = "create"'),
        "triggers.changed.event_type = 'create': is not one of created, modified, deleted, all; did you mean 'created'",
    ),
    "has a text for a boolean": (
        flow(CLI + 'enabled = "yes"'),
        "triggers.manual.enabled = 'yes': is neither true nor false",
    ),
    "has a text for a number": (flow(FILE + 'poll_s = "often"'), "triggers.changed.poll_s = 'often': is no number"),
    "polls too often": (flow(FILE + "poll_s = 0.1"), "triggers.changed.poll_s = 0.1: must be at least"),
    "has two triggers of one id": (flow(CLI, CLI), "triggers.manual: two triggers have this id; rename one"),
    "has no timestamp_column": (
        flow(DATABASE.replace('timestamp_column = "created_at"\n', "")),
        "triggers.rows: detection_mode = 'timestamp_column' needs timestamp_column; add it",
    ),
    "has a table for a query": (
        flow(DATABASE.replace('detection_mode = "timestamp_column"', 'detection_mode = "custom_query"')),
        "triggers.rows: table_name says nothing to detection_mode = 'custom_query'",
    ),
    "has a password": (
        flow(DATABASE + 'password = "hunter2"'),
        "triggers.rows.password = ***: a password does not belong",
    ),
    "has a password in its engine": (
        flow(
            DATABASE.replace(
                'connection = "shop"', 'engine_config = { name = "postgres", config = { password = "hunter2" } }'
            )
        ),
        "triggers.rows.engine_config.config: password: a password does not belong into a flow's definition; put it "
        "into an Airflow connection, and write connection = ",
    ),
    "has an address for a connection": (
        flow(DATABASE.replace('"shop"', '"postgresql://me:hunter2@db/shop"')),
        "triggers.rows.connection = ***: is no connection's id",
    ),
    "has a bad hour": (
        flow(NIGHTLY.replace("30 2 ", "30 24 ")),
        "triggers.nightly.schedule = '30 24 * * *': hour '24' is wrong; write 0 to 23",
    ),
    "has six fields of cron": (
        flow(NIGHTLY.replace("30 2 ", "0 30 2 ")),
        "triggers.nightly.schedule = '0 30 2 * * *': has 6 fields and cron has five",
    ),
    "has a preset that there is not": (
        flow(NIGHTLY.replace("30 2 * * *", "@dayly")),
        "triggers.nightly.schedule = '@dayly': is no preset; did you mean '@daily'?",
    ),
    "has a day that never comes": (
        flow(NIGHTLY.replace("30 2 * * *", "0 0 31 2 *")),
        "triggers.nightly.schedule = '0 0 31 2 *': names no time that ever comes",
    ),
    "has a time zone that there is not": (
        flow(NIGHTLY.replace("Berlin", "Berln")),
        "triggers.nightly.timezone = 'Europe/Berln': is no time zone of the IANA database; did you mean 'Europe",
    ),
    "follows a flow that there is not": (
        flow(after("stok")),
        "triggers.after.source_flow_id = 'stok': there is no flows/stok.toml; did you mean 'stock'?",
    ),
    "follows a task that there is not": (
        flow(after("stock", more='source_task_id = "final.validat"')),
        "triggers.after.source_task_id = 'final.validat': 'stock' has no such task; did you mean 'final.validate'?",
    ),
    "follows itself": (
        flow(after("orders")),
        "triggers.after.source_flow_id = 'orders': the flows start each other for ever: orders <- orders",
    ),
    "waits for an environment that there is not": (
        flow('[[triggers]]\nid = "d"\ntype = "sensor"\nsensor_type = "deployment"\nenvironment = "stagin"'),
        "triggers.d.environment = 'stagin': there is no environments/stagin.toml; did you mean 'staging'?",
    ),
    "has a place in JSON that is none": (
        flow(HOOK + 'params = { order = "a..b" }'),
        "triggers.hook.params.order = 'a..b': is no place in JSON; write keys and list indexes with dots",
    ),
    "waits for an id that there is not": (
        flow(FILE, CLI, head='when = "chnged | manual"'),
        "when = 'chnged | manual': 'chnged' is no trigger of this flow; did you mean 'changed'?",
    ),
    "waits with a bracket left open": (
        flow(FILE, CLI, head='when = "(changed | manual"'),
        "when = '(changed | manual': a bracket ( is not closed; add )",
    ),
    "waits for a time and an asset": (
        flow(FILE, NIGHTLY, head='when = "changed & nightly"'),
        "when = 'changed & nightly': 'nightly' stands under &, and a schedule does not wait for anything",
    ),
    "leaves a trigger out": (
        flow(FILE, HOOK, head='when = "changed"'),
        "when = 'changed': the trigger 'hook' is not in it and would start nothing; add `| hook`",
    ),
}


def problems(folder: Path, text: str) -> list[str]:
    return check(settings=configured(folder, orders=text, stock=STOCK))


def test_the_files_that_the_wrong_ones_are_made_of_are_right(tmp_path: Path) -> None:
    text = flow(FILE, CLI, NIGHTLY, HOOK, DATABASE, after("stock", more='source_task_id = "final.validate"'))
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=list(WRONG))
def test_a_file_is_wrong_that(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    assert re.search(rf"/flows/orders\.toml: .*{re.escape(said)}", found[0])
    assert "hunter2" not in found[0]


def test_a_circle_of_flows_is_told_once_with_its_way(tmp_path: Path) -> None:
    flows = {"a": flow(after("c")), "b": flow(after("a")), "c": flow(after("b"))}
    (found,) = check(settings=configured(tmp_path, **flows))
    assert found.endswith(
        "flows/a.toml: triggers.after.source_flow_id = 'c': the flows start each other for ever: a <- c <- b <- a; "
        "remove one of these triggers"
    )


def test_a_circle_that_a_disabled_trigger_opens_is_none(tmp_path: Path) -> None:
    flows = {"a": flow(after("b", more="enabled = false")), "b": flow(after("a"))}
    assert check(settings=configured(tmp_path, **flows)) == []


def test_two_ways_to_one_flow_are_no_circle(tmp_path: Path) -> None:
    both = flow(after("b", trigger_id="b"), after("c", trigger_id="c"))
    flows = {"a": flow(CLI), "b": flow(after("a")), "c": flow(after("a")), "d": both}
    assert check(settings=configured(tmp_path, **flows)) == []


def test_who_follows_a_flow_whose_file_is_wrong_has_made_no_mistake(tmp_path: Path) -> None:
    (found,) = check(settings=configured(tmp_path, orders="flow_type =", stock=flow(after("orders"))))
    assert "orders.toml" in found


def test_every_mistake_of_every_file_is_told(tmp_path: Path) -> None:
    text = flow(CLI + 'enabled = "yes"\nx = 1', NIGHTLY.replace("Berlin", "Berln"), head="y = 1")
    found = "\n".join(check(settings=configured(tmp_path, orders=text, stock="z = 1")))
    for said in (
        "manual.enabled",
        "manual.x",
        "nightly.timezone",
        "orders.toml: y",
        "stock.toml: z",
    ):
        assert said in found


def test_no_flow_is_called_as_the_ledger_calls_runs_without_airflow(tmp_path: Path) -> None:
    (found,) = check(settings=configured(tmp_path, cli=flow(CLI)))
    assert "cli.toml: id = 'cli': the ledger calls runs of `sluiceway tables run` so; rename the file" in found
    assert spec.CLI == store.CLI


def test_only_the_chosen_files_are_told_of(tmp_path: Path) -> None:
    settings = configured(tmp_path, orders=flow(after("stok")), stock="flow_type =")
    (found,) = check([settings.config_dir / "flows" / "orders.toml"], settings)
    assert "'stok'" in found


def test_a_file_beside_the_others_is_seen_among_them(tmp_path: Path) -> None:
    settings = configured(tmp_path, stock=STOCK)
    draft = tmp_path / "draft.toml"
    draft.write_text(flow(after("stock")), encoding="utf-8")
    assert check([draft], settings) == []


@pytest.mark.parametrize("name", ["stock__events", "stock__poll", "stock__broken", "stock__at__clock"])
def test_a_flow_is_not_called_as_the_dag_of_another(tmp_path: Path, name: str) -> None:
    (found,) = check(settings=configured(tmp_path, stock=STOCK, **{name: flow(CLI)}))
    assert f"id = '{name}': the flow 'stock' may have a DAG of this id" in found


def dag_file(folder: Path, text: str) -> None:
    (folder / "dags").mkdir()
    (folder / "dags" / "exports.py").write_text(text, encoding="utf-8")


def test_a_flow_whose_dag_is_missing_names_the_nearest(tmp_path: Path) -> None:
    dag_file(tmp_path, 'DAG(dag_id="export", schedule=None)')
    (found,) = check(settings=configured(tmp_path, exports='flow_type = "dag"'))
    assert (
        'exports.toml: flow_type = "dag": no file under dags/ has dag_id = "exports"; did you mean \'export\'?' in found
    )


def test_a_flow_whose_dag_does_not_read_its_file_is_found(tmp_path: Path) -> None:
    dag_file(tmp_path, 'DAG(dag_id="export", schedule=None)')
    (found,) = check(settings=configured(tmp_path, export='flow_type = "dag"'))
    assert (
        "the DAG 'export' does not read this file; give it schedule=flows.schedule_of(flows.declared(\"export\"))"
        in found
    )


def test_a_flow_whose_dag_reads_its_file_is_right(tmp_path: Path) -> None:
    dag_file(tmp_path, 'DAG(dag_id="export", schedule=flows.schedule_of(flows.declared("export")))')
    assert check(settings=configured(tmp_path, export='flow_type = "dag"')) == []


def test_a_flow_of_tables_is_not_called_as_a_dag_in_python(tmp_path: Path) -> None:
    dag_file(tmp_path, 'DAG(dag_id="export", schedule=None)')
    (found,) = check(settings=configured(tmp_path, export=flow(CLI)))
    assert "a DAG of this id is written in Python" in found


def test_the_flows_of_the_project_are_right() -> None:
    assert check() == []


def test_the_command_says_how_many_files_are_right(tmp_path: Path, setting: Callable[..., None]) -> None:
    setting(config_dir=configured(tmp_path, stock=STOCK).config_dir)
    result = CliRunner().invoke(app, ["triggers", "check"])
    assert (result.exit_code, result.stdout) == (0, "2 files are valid.\n")


def test_the_command_ends_with_2_and_a_sentence_for_each(tmp_path: Path, setting: Callable[..., None]) -> None:
    setting(config_dir=configured(tmp_path, orders=flow(CLI, CLI), stock="flow_type =").config_dir)
    result = CliRunner().invoke(app, ["triggers", "check"])
    assert result.exit_code == 2
    assert result.stderr.count("error: ") == 2


def test_the_check_needs_neither_airflow_nor_a_database() -> None:
    code = """
import sys
from sluiceway.flows.check import check
assert check() == []
print(sorted({name.partition(".")[0] for name in sys.modules} & {"airflow", "sqlalchemy", "psycopg", "pandas"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_files_of_environments_are_checked_with_those_of_flows(
    tmp_path: Path, setting: Callable[..., None]
) -> None:
    config = configured(tmp_path, orders=STOCK).config_dir
    setting(config_dir=config)
    staging = config / "environments" / "staging.toml"
    staging.write_text(ENVIRONMENT + '[github]\nkind = "status"\n')
    for files in ([], [str(staging)]):
        result = CliRunner().invoke(app, ["triggers", "check", *files])
        assert result.exit_code == 2
        said = " ".join(result.stderr.split())
        assert "staging.toml: github.repository: is missing; add it" in said
    staging.write_text(ENVIRONMENT)
    result = CliRunner().invoke(app, ["triggers", "check"])
    assert (result.exit_code, result.stdout) == (0, "2 files are valid.\n")
