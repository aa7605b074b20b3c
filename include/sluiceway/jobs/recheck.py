"""Results that come from an older version of their source become due again, a few at a time."""

from __future__ import annotations

from datetime import timedelta

from psycopg import sql

from sluiceway.ledger.warehouse import Session


def spread(session: Session, job: str, *, version: str, over: timedelta) -> int:
    """Make due what was done with another version, or with one that nobody knows, spread evenly over a time from now.

    What is due sooner stays as it is, so that the same call again changes nothing; nor does it touch what waits for a
    person, is dead, was discarded or is being worked on.

    :param job: whose items.
    :param version: of the source as it is now.
    :returns: how many are due sooner than they were.
    """
    rows = session.execute(
        sql.SQL("""
            UPDATE etl_jobs.item SET due_at = clock_timestamp() + random() * {over}
            WHERE job = {job} AND state = 'done' AND source_version IS DISTINCT FROM {version}
                AND last_code IS DISTINCT FROM 'discarded'
                AND due_at > clock_timestamp() + {over}
            RETURNING 1
        """).format(over=sql.Literal(over), job=sql.Literal(job), version=sql.Literal(version))
    )
    return len(rows)
