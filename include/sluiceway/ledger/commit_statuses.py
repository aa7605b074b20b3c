"""What GitHub is to be told of commits, and whether it was: a row of etl.commit_status per environment and commit.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import sql

from sluiceway.ids import MASTER
from sluiceway.ledger import store
from sluiceway.ledger.rows import Row, Run, RunStatus
from sluiceway.ledger.warehouse import Session

RUNS_SEEN = 50
"""As many as run_watch looks at: no other run is judged again."""
FOR_DAYS = 1
"""So long it is tried to tell an outcome."""
CLAIM_S = 60
"""Longer than telling takes: who claims an outcome and is gone after that has died."""


class Outcome(Row):
    """What became of a commit, by the newest of its runs."""

    commit_sha: str
    run_id: str
    state: RunStatus
    description: str


class CommitStatus(Outcome):
    """One row of etl.commit_status."""

    environment: str
    since: datetime
    """When it became so, by the server's clock."""
    told_at: datetime | None = None
    """None: it was not told yet."""
    tries: int = 0
    next_try_at: datetime
    problem: str | None = None
    """Why it was not told."""


def runs_to_tell(session: Session, environment: str) -> list[Run]:
    """The newest runs of deployed commits that go on, ended lately, or were told of: the newest first."""
    return store.runs_where(
        session,
        sql.SQL(
            "WHERE dag_id = {} AND trigger_kind = 'deploy' AND commit_sha IS NOT NULL AND (status = 'running' "
            "OR finished_at > clock_timestamp() - {} * interval '1 day' OR EXISTS (SELECT FROM etl.commit_status AS c "
            "WHERE c.environment = {} AND c.run_id = run.run_id)) ORDER BY started_at DESC LIMIT {}"
        ).format(*map(sql.Literal, (MASTER, FOR_DAYS, environment, RUNS_SEEN))),
    )


def want(session: Session, environment: str, outcomes: Iterable[Outcome]) -> None:
    """Write down what is to be told. What is there already stays as it is, told or not."""
    for outcome in outcomes:
        session.execute(
            sql.SQL(
                "INSERT INTO etl.commit_status AS c (environment, commit_sha, run_id, state, description) "
                "VALUES ({}, {}, {}, {}, {}) ON CONFLICT (environment, commit_sha) DO UPDATE SET "
                "run_id = excluded.run_id, state = excluded.state, description = excluded.description, "
                "since = clock_timestamp(), told_at = NULL, tries = 0, next_try_at = clock_timestamp(), problem = NULL "
                "WHERE (c.run_id, c.state, c.description) <> (excluded.run_id, excluded.state, excluded.description)"
            ).format(
                *map(
                    sql.Literal,
                    (environment, outcome.commit_sha, outcome.run_id, outcome.state, outcome.description),
                )
            )
        )


def claim(session: Session, environment: str) -> CommitStatus | None:
    """Take the outcome that is due and waits longest, so that nobody else tells it for a minute; None: none is due."""
    rows = session.execute(
        sql.SQL(
            "UPDATE etl.commit_status SET tries = tries + 1, claimed_until = clock_timestamp() + {} * interval '1 s' "
            "WHERE (environment, commit_sha) IN (SELECT environment, commit_sha FROM etl.commit_status "
            "WHERE environment = {} AND told_at IS NULL AND next_try_at <= clock_timestamp() "
            "AND since > clock_timestamp() - {} * interval '1 day' "
            "AND coalesce(claimed_until < clock_timestamp(), true) "
            "ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {}"
        ).format(*map(sql.Literal, (CLAIM_S, environment, FOR_DAYS)), _COLUMNS)
    )
    return _parsed(rows[0]) if rows else None


def told(session: Session, status: CommitStatus) -> None:
    """Note that it was told."""
    _end(session, status, sql.SQL("told_at = clock_timestamp(), problem = NULL"))


def not_told(session: Session, status: CommitStatus, problem: str, *, again_in_s: float) -> None:
    """Note why it was not, and when it may be tried again."""
    _end(
        session,
        status,
        sql.SQL("problem = {}, next_try_at = clock_timestamp() + {} * interval '1 s'").format(
            sql.Literal(problem), sql.Literal(again_in_s)
        ),
    )


def of_run(session: Session, run_id: str) -> list[CommitStatus]:
    """What is, or was, to be told of a commit by this run, an environment each."""
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl.commit_status WHERE run_id = {} ORDER BY environment").format(
            _COLUMNS, sql.Literal(run_id)
        )
    )
    return [_parsed(row) for row in rows]


def forget(session: Session, *, older_than_days: int) -> None:
    """Delete what became so before that."""
    session.execute(
        sql.SQL("DELETE FROM etl.commit_status WHERE since < clock_timestamp() - {} * interval '1 day'").format(
            sql.Literal(older_than_days)
        )
    )


def _end(session: Session, status: CommitStatus, how: sql.Composable) -> None:
    """Let go of the claim; what has become of the commit meanwhile is to be told as if nothing had been."""
    session.execute(
        sql.SQL("UPDATE etl.commit_status SET claimed_until = NULL WHERE (environment, commit_sha) = ({}, {})").format(
            sql.Literal(status.environment), sql.Literal(status.commit_sha)
        )
    )
    session.execute(
        sql.SQL(
            "UPDATE etl.commit_status SET {} "
            "WHERE (environment, commit_sha, run_id, state, description) = ({}, {}, {}, {}, {})"
        ).format(
            how,
            *map(
                sql.Literal,
                (status.environment, status.commit_sha, status.run_id, status.state, status.description),
            ),
        )
    )


def _parsed(row: tuple[object, ...]) -> CommitStatus:
    return CommitStatus.model_validate(dict(zip(CommitStatus.model_fields, row, strict=True)))


_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, CommitStatus.model_fields))
