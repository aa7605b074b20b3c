"""Which commit an environment served and when, a row of etl.deployment per stint, and whose data the tables hold.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.deploy.commit import Sighting, same
from sluiceway.ledger import row_locks
from sluiceway.ledger.warehouse import Session


class Stint(BaseModel):
    """An environment serves a commit, until a look sees another one. The times are those of who looked.

    The commit was deployed after `other_seen_at` and before `first_seen_at`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    environment: str
    commit_sha: str
    """7 to 40 hex digits."""
    other_seen_at: datetime | None
    """When the last look began that saw another commit; None: none ever did."""
    first_seen_at: datetime
    """When the first look ended that saw this one."""
    last_seen_at: datetime
    """When the last look began that saw it."""
    run_id: str | None = None
    """The run that the watch asked for."""
    settled_at: datetime | None = None
    """When the watch knew that the stint needs no run, or has it."""


class Loads(BaseModel):
    """What the ledger knows of a commit's loads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loaded_at: datetime | None = None
    """The newest table that a green run over all tables has loaded for the commit, or found unchanged."""
    other_loaded_at: datetime | None = None
    """The newest that any run has loaded, or found unchanged, for another commit."""
    other_is_loading: bool = False
    """Whether a run goes on that was let through for another commit: it will load, if it has not yet."""
    superseded: frozenset[str] = frozenset()
    """The ids of the DAG's runs that ended so: they have loaded nothing."""

    @property
    def is_current(self) -> bool:
        """Whether the tables hold the commit's data, and no part of another's."""
        return self.loaded_at is not None and not self.has_other_since(self.loaded_at)

    def has_other_since(self, moment: datetime) -> bool:
        """Whether the tables hold a part of another commit's data since then, or will."""
        return self.other_is_loading or (self.other_loaded_at is not None and self.other_loaded_at > moment)


def note(session: Session, environment: str, seen: Sighting) -> Stint:
    """Write down what a look has seen.

    :returns: the newest stint. Its commit is another than the one seen if that look was overtaken: it began before a
        look that saw another commit, and is dropped.
    """
    before = sql.SQL("hashtext('sluiceway.deployment')"), sql.SQL("hashtext({})").format(sql.Literal(environment))
    row_locks.take(session, f"deployment/{environment}", before=before)
    newest = current(session, environment)
    if newest is None or not same(newest.commit_sha, seen.commit):
        if newest is not None and seen.began_at < newest.last_seen_at:
            return newest
        return _begin(session, environment, seen, other_seen_at=newest.last_seen_at if newest else None)
    return _go_on(session, newest, seen)


def current(session: Session, environment: str) -> Stint | None:
    """The newest stint; None before the first look."""
    rows = session.execute(select_newest(environment))
    return Stint.model_validate(dict(zip(Stint.model_fields, rows[0], strict=True))) if rows else None


def select_newest(environment: str) -> sql.Composed:
    """The statement of the newest stint: its row has the fields of `Stint`."""
    return sql.SQL("SELECT {} FROM etl.deployment WHERE environment = {} ORDER BY id DESC LIMIT 1").format(
        sql.SQL(", ").join(map(sql.Identifier, Stint.model_fields)), sql.Literal(environment)
    )


def has_returned(session: Session, stint: Stint) -> bool:
    """Whether the environment served the commit before, and another one since."""
    return bool(
        session.execute(
            sql.SQL("SELECT 1 AS earlier FROM etl.deployment WHERE environment = {} AND commit_sha = {} AND id < {}")
            .format(*map(sql.Literal, (stint.environment, stint.commit_sha, stint.id)))
        )
    )  # fmt: skip


def ask_for_run(session: Session, stint: Stint, run_id: str) -> None:
    """Note which run the watch starts; the stint is settled when that run is there."""
    session.execute(
        sql.SQL("UPDATE etl.deployment SET run_id = {} WHERE id = {}").format(
            sql.Literal(run_id), sql.Literal(stint.id)
        )
    )


def settle(session: Session, stint: Stint) -> None:
    """Note that the stint needs nothing more."""
    session.execute(
        sql.SQL("UPDATE etl.deployment SET settled_at = clock_timestamp() WHERE id = {}").format(sql.Literal(stint.id))
    )


def forget(session: Session, *, older_than_days: int) -> None:
    """Delete the stints that ended before that; the newest of an environment stays."""
    session.execute(
        sql.SQL(
            "DELETE FROM etl.deployment AS d WHERE last_seen_at < clock_timestamp() - {} * interval '1 day' "
            "AND id < (SELECT max(id) FROM etl.deployment AS n WHERE n.environment = d.environment)"
        ).format(sql.Literal(older_than_days))
    )


def loads(session: Session, dag_id: str, commit: str, *, tables: int) -> Loads:
    """What the ledger knows of the commit's loads.

    :param dag_id: whose superseded runs are told.
    :param commit: 40 hex digits.
    :param tables: how many the deployment has: a run of fewer proves nothing.
    """
    # a run that named no commit may have noted a short one
    rows = session.execute(
        sql.SQL(
            "WITH done AS (SELECT starts_with({0}, coalesce(r.deployed_sha, r.commit_sha)) AS is_own, "
            "r.status = 'success' AND count(DISTINCT t.table_name) >= {1} AS is_whole, "
            "max(t.finished_at) FILTER (WHERE t.status IN ('loaded', 'unchanged')) AS newest_at "
            "FROM etl.run AS r JOIN etl.table_run AS t USING (dag_id, run_id) GROUP BY r.dag_id, r.run_id) "
            "SELECT max(newest_at) FILTER (WHERE is_own AND is_whole), max(newest_at) FILTER (WHERE NOT is_own) "
            "FROM done"
        ).format(sql.Literal(commit), sql.Literal(tables))
    )
    loading = session.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM etl.run WHERE status = 'running' AND outcome IS NULL "
            "AND NOT starts_with({}, deployed_sha))"
        ).format(sql.Literal(commit))
    )
    superseded = session.execute(
        sql.SQL("SELECT run_id FROM etl.run WHERE outcome = 'superseded' AND dag_id = {}").format(sql.Literal(dag_id))
    )
    return Loads(
        loaded_at=rows[0][0],
        other_loaded_at=rows[0][1],
        other_is_loading=loading[0][0],
        superseded=frozenset(run_id for (run_id,) in superseded),
    )


def _begin(session: Session, environment: str, seen: Sighting, *, other_seen_at: datetime | None) -> Stint:
    rows = session.execute(
        sql.SQL(
            "INSERT INTO etl.deployment (environment, commit_sha, other_seen_at, first_seen_at, last_seen_at) "
            "VALUES ({}, {}, {}, {}, {}) RETURNING id"
        ).format(*map(sql.Literal, (environment, seen.commit, other_seen_at, seen.ended_at, seen.began_at)))
    )
    return Stint(
        id=rows[0][0],
        environment=environment,
        commit_sha=seen.commit,
        other_seen_at=other_seen_at,
        first_seen_at=seen.ended_at,
        last_seen_at=seen.began_at,
    )


def _go_on(session: Session, stint: Stint, seen: Sighting) -> Stint:
    is_longer = len(seen.commit) > len(stint.commit_sha)
    changed = stint.model_copy(
        update={
            "commit_sha": seen.commit if is_longer else stint.commit_sha,
            "first_seen_at": min(stint.first_seen_at, seen.ended_at),
            "last_seen_at": max(stint.last_seen_at, seen.began_at),
        }
    )
    session.execute(
        sql.SQL(
            "UPDATE etl.deployment SET commit_sha = {}, first_seen_at = {}, last_seen_at = {} WHERE id = {}"
        ).format(
            *map(sql.Literal, (changed.commit_sha, changed.first_seen_at, changed.last_seen_at, stint.id))
        )
    )  # fmt: skip
    return changed
