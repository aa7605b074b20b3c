"""A real Airflow (scheduler, API, executor) and PostGIS, with tables whose sources the tests edit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from dev.stack import Stack
from sluiceway.ledger import store
from sluiceway.ledger.store import Run, RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi

DAG_ID = "master_etl"
DEADLINE_S = 120
T = TypeVar("T")
ENDED = frozenset({"success", "failed"})
NEWEST_RUNS = "SELECT * FROM dag_run WHERE dag_id = %s ORDER BY run_after DESC, id DESC LIMIT 100"
BESIDE = """
    SELECT run_id, state, run_after, start_date FROM dag_run
    WHERE dag_id = %s AND state IN ('queued', 'running') ORDER BY run_after
"""
TASKS_SHOWN = """
    SELECT task_id, map_index, state, try_number, queued_dttm, start_date, end_date, next_method FROM task_instance
    WHERE dag_id = %s AND run_id = %s ORDER BY start_date, task_id
"""
ROWS = 10
PARSED = """
    SELECT extract(epoch FROM last_parsed_time)::float8 AS ended,
        extract(epoch FROM last_parsed_time)::float8 - last_parse_duration AS began
    FROM dag WHERE relative_fileloc = %s ORDER BY last_parsed_time DESC NULLS LAST LIMIT 1
"""
"""A DAG that the file no longer defines keeps the duration of its last parse: that of the newest one alone counts."""
CALM = {
    **dict.fromkeys((f"SLUICEWAY_{each}RETRY_DELAY_S" for each in ("", "LOAD_", "FINAL_")), "1"),
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    # a DAG that its file no longer defines is stale a minute later by default
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "5",
    "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "5",
    # the tests beside it may keep its one triggerer from the processor for so long
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
    # its database is on this machine and ends after it: nobody need ask before each use whether it is there
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING": "False",
}
"""An Airflow that takes less of the processor from the tests beside it: its scheduler looks less often for new work.

A DAG file is parsed when it is edited (`Deployment.parse`), and once a minute: an edit during a parse is overlooked.
"""


def name_of(number: int) -> str:
    return f"t{number:02}"


def csv_of(rows: int, *, value: str = "v") -> str:
    return "id,value\n" + "".join(f"{row},{value}{row}\n" for row in range(1, rows + 1))


@dataclass
class Deployment:
    """The stack, its config and what a test does to them."""

    stack: Stack
    api: AirflowApi
    config: Path
    _edited: set[str] = field(default_factory=set)

    def source(self, table: str, content: str) -> None:
        """Replace a table's source."""
        self._edited.add(table)
        (self.config / "tables" / f"{table}.csv").write_text(content, encoding="utf-8")

    def restore(self) -> None:
        """Every source as it was, each with fresh content, so that nothing is unchanged by accident."""
        for table in self._edited:
            write_table(self.config, table, csv_of(ROWS))
        self._edited.clear()

    @contextmanager
    def only_tables(self, *tables: str) -> Iterator[None]:
        """No other tables are declared for as long as the block lasts: for runs whose tables do not matter."""
        others = [path for path in (self.config / "tables").glob("*.toml") if path.stem not in tables]
        for path in others:
            path.rename(path.with_suffix(".away"))
        try:
            yield
        finally:
            for path in others:
                path.with_suffix(".away").rename(path)
            # the form names the tables that there were when the file was parsed
            self.parse(f"{DAG_ID}.py")
            self.until(lambda: True if set(self._form_tables()) >= {path.stem for path in others} else None)

    def _form_tables(self) -> list[str]:
        tables = self.api.get(f"dags/{DAG_ID}/details")["params"]["tables"]
        names: list[str] = tables["schema"]["items"].get("enum", [])
        return names

    def touch(self, *files: str) -> None:
        """Have Airflow parse DAG files at once, as after an edit, unless it parses them at this moment."""
        for file in files:
            (self.stack.layout.dags / file).touch()

    def parse(self, *files: str) -> None:
        """The same, and wait until it has; an edit during a parse is overlooked, then the file is touched again.

        :param files: each defines a DAG, before and after.
        """
        touched = dict.fromkeys(files, -math.inf)

        def parsed() -> bool | None:
            for file, at in list(touched.items()):
                began, ended = (self.metadata(PARSED, file)[0][each] for each in ("began", "ended"))
                if began > at > -math.inf:
                    del touched[file]
                elif ended > at:
                    self.touch(file)
                    touched[file] = (self.stack.layout.dags / file).stat().st_mtime
            return True if not touched else None

        self.until(parsed)

    def trigger(self, run_id: str | None = None, **conf: Any) -> str:
        """Enqueue a run as CI does."""
        run_id = run_id or f"test__{uuid4().hex[:8]}"
        self.api.trigger(DAG_ID, run_id, conf)
        return run_id

    def state(self, run_id: str, dag_id: str = DAG_ID) -> str:
        return str(self.api.run(dag_id, run_id)["state"])

    def wait(self, run_id: str, dag_id: str = DAG_ID) -> str:
        """Wait for the end of a run; its state."""
        self.until(
            lambda: True if (run := self.runs(dag_id).get(run_id)) and run["state"] in ENDED else None,
            said=lambda: self.shown(run_id, dag_id),
        )
        return str(self.api.run(dag_id, run_id)["state"])

    def runs(self, dag_id: str = DAG_ID) -> dict[str, dict[str, Any]]:
        """The newest runs of a DAG by id."""
        return {run["run_id"]: run for run in self.metadata(NEWEST_RUNS, dag_id)}

    def metadata(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of Airflow's own database. For waits: a look through the API takes its server ten times as long."""
        return self._metadata.execute(statement.encode(), parameters).fetchall()

    def run(self, **conf: Any) -> str:
        """Enqueue a run, wait for its end and return its id."""
        run_id = self.trigger(**conf)
        self.wait(run_id)
        return run_id

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Task instances by id, a mapped one by `<task id>[<table>]`."""
        found = self.api.task_instances(DAG_ID, run_id)
        return {
            task["task_id"] + (f"[{task['rendered_map_index']}]" if task["map_index"] >= 0 else ""): task
            for task in found
        }

    def ledger(self, run_id: str, dag_id: str = DAG_ID) -> tuple[Run, dict[str, TableRun]]:
        """The run's row and what it did to its tables."""
        with connect(self.stack.warehouse_url) as session:
            tables = store.table_runs(session, RunKey(dag_id, run_id))
            (run,) = store.runs(session, dag_id=dag_id, run_id=run_id)
            return run, {table.table_name: table for table in tables}

    def clear(
        self,
        run_id: str,
        *tasks: str | tuple[str, int],
        only_failed: bool = False,
        downstream: bool = False,
        dag_id: str = DAG_ID,
    ) -> list[str]:
        """Clear tasks as a person does in the UI, all of the run's if none is named; the ids of those cleared."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        if tasks:
            body["task_ids"] = [list(each) if isinstance(each, tuple) else each for each in tasks]
        found = self.api.post(f"dags/{dag_id}/clearTaskInstances", body)
        return sorted({task["task_id"] for task in found["task_instances"]})

    def mark(self, run_id: str, task: str, state: str, map_index: int = -1, dag_id: str = DAG_ID) -> None:
        """Set a task's state as a person does in the UI."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}"
        self.api.patch(path + (f"/{map_index}" if map_index >= 0 else ""), {"new_state": state})

    def map_index(self, run_id: str, table: str) -> int:
        """Which of the mapped tasks loads the table."""
        return int(self.tasks(run_id)[f"sub.load_table[{table}]"]["map_index"])

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a statement in the warehouse."""
        cursor = self._warehouse.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    @cached_property
    def _warehouse(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.stack.warehouse_url, autocommit=True)

    @cached_property
    def _metadata(self) -> psycopg.Connection[dict[str, Any]]:
        url = self.stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
        return psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def twin(self) -> Deployment:
        """The same one, for another thread: with connections of its own."""
        return Deployment(self.stack, self.api, self.config)

    def close(self) -> None:
        """Close what waits have opened."""
        for name in ("_warehouse", "_metadata"):
            if name in self.__dict__:
                self.__dict__[name].close()

    def published(self) -> list[tuple[Any, ...]]:
        """What the web service reads: the view over t01."""
        return self.query("SELECT sum(id), max(value) FROM published")

    def shown(self, run_id: str, dag_id: str = DAG_ID) -> str:
        """What Airflow's database has of a run, and of all that go on beside it: for a test that waits in vain."""
        return "\n".join(map(str, self.metadata(BESIDE, dag_id) + self.metadata(TASKS_SHOWN, dag_id, run_id)))

    @staticmethod
    def until(condition: Callable[[], T | None], *, said: Callable[[], str] = str) -> T:
        """Poll until the condition holds something; fails after DEADLINE_S.

        :param said: what is to be told then.
        """
        deadline = time.monotonic() + DEADLINE_S
        while (found := condition()) is None:
            if time.monotonic() > deadline:
                pytest.fail(f"nothing after {DEADLINE_S} s. {said()}")
            time.sleep(0.2)
        return found


def write_table(config: Path, name: str, content: str) -> None:
    """One table's spec and source."""
    (config / "tables" / f"{name}.csv").write_text(content, encoding="utf-8")
    (config / "tables" / f"{name}.toml").write_text(
        f'description = "Test table {name}"\nkey = "id"\nsource = {{ kind = "csv", uri = "{name}.csv" }}\n'
        'columns = { id = "integer", value = "text" }\n',
        encoding="utf-8",
    )
