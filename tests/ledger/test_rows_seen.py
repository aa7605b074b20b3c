"""What a run's rows come to: another value after each thing that a task can write, and after nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from dev.cluster import Cluster
from sluiceway.ledger import publications, store, tasks
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.rows_seen import rows_seen
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import PsycopgSession

RUN = RunKey("master_etl", "r1")
OTHER = RunKey("shop", "r1")
TASK = TaskRun(**RUN._asdict(), task_id="plan")
Write = Callable[[PsycopgSession], object]


@pytest.fixture
def session(postgres: Cluster) -> Iterator[PsycopgSession]:
    """A transaction in which a run has begun to load a table; rolled back."""
    with psycopg.connect(postgres.url("sluiceway_loader", "warehouse")) as connection:
        session = PsycopgSession(connection)
        for key in (RUN, OTHER):
            store.open_run(session, key, None, "test")
            store.begin_table(session, key, "city", 1)
        tasks.begin(session, TASK)
        yield session
        connection.rollback()


def city(key: RunKey = RUN) -> TableRun:
    return TableRun(**key._asdict(), table_name="city", status="loaded", extracted=1, inserted=1)


def publish(session: PsycopgSession, withheld: str | None = None) -> None:
    publications.record(session, RUN, [Publication(view_name="area", tables=("city",), withheld=withheld)], [city()])


@pytest.mark.parametrize(
    "write",
    [
        lambda session: store.write_table_run(session, city()),
        lambda session: store.begin_table(session, RUN, "city", 2),
        lambda session: tasks.end(session, TASK),
        lambda session: tasks.begin(session, TASK.model_copy(update={"try_number": 2})),
        publish,
    ],
    ids=["a load ends", "a load begins", "a task ends", "a task begins", "views are published"],
)
def test_what_a_task_writes_is_seen(session: PsycopgSession, write: Write) -> None:
    before = rows_seen(session, [RUN])
    write(session)
    assert rows_seen(session, [RUN]) != before


def test_what_is_said_of_the_run_and_what_another_run_writes_is_not(session: PsycopgSession) -> None:
    before = rows_seen(session, [RUN])
    store.close_run(session, RUN, "failed", "no", {}, before[RUN])
    store.rewrite(session, RUN, "success", "yes", {}, before[RUN], "changed")
    store.write_table_run(session, city(OTHER))
    assert rows_seen(session, [RUN]) == before


def test_many_runs_are_asked_about_at_once(session: PsycopgSession) -> None:
    found = rows_seen(session, [RUN, OTHER, RunKey("nobody", "r1")])
    assert found.keys() == {RUN, OTHER}
    assert found[RUN] != found[OTHER]
    assert rows_seen(session, []) == {}
