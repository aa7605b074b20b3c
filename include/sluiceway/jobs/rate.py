"""How many requests a second a service gets from all processes together: one row a service (GCRA).

A reservation is a short transaction; the wait is outside of it.
"""

from __future__ import annotations

from psycopg import sql

from sluiceway.ledger.warehouse import Session

FOR_EVER_S = 100 * 365 * 86_400.0
"""A pause that a person must end."""


def reserve(
    session: Session, service: str, *, per_second: float, requests: int = 1, longest: float = FOR_EVER_S
) -> float:
    """Reserve the next requests; returns the seconds to wait before the first of them is sent.

    A service that is paused gives nothing before its pause ends.

    :param longest: seconds; where one would have to wait longer, nothing is reserved.
    """
    taken = sql.Literal(requests / per_second)
    statement = sql.SQL("""
        WITH turn AS MATERIALIZED (
            SELECT service, now, start, start - now <= {longest} * interval '1 s' AS is_taken
            FROM (
                SELECT service, clock_timestamp() AS now, greatest(next_at, paused_until, clock_timestamp()) AS start
                FROM etl_jobs.rate WHERE service = {service} FOR UPDATE
            ) AS locked
        )
        UPDATE etl_jobs.rate AS r SET
            next_at = CASE WHEN t.is_taken THEN t.start + {taken} * interval '1 s' ELSE r.next_at END,
            requests = r.requests + CASE WHEN t.is_taken THEN {requests} ELSE 0 END,
            waited_s = r.waited_s + CASE WHEN t.is_taken THEN extract(epoch FROM t.start - t.now) ELSE 0 END
        FROM turn AS t WHERE r.service = t.service
        RETURNING extract(epoch FROM t.start - t.now)::float8
    """).format(service=sql.Literal(service), taken=taken, requests=sql.Literal(requests), longest=sql.Literal(longest))
    rows = session.execute(statement)
    if not rows:
        session.execute(
            sql.SQL("INSERT INTO etl_jobs.rate (service) VALUES ({}) ON CONFLICT DO NOTHING").format(
                sql.Literal(service)
            )
        )
        rows = session.execute(statement)
    return max(0.0, float(rows[0][0]))


def note(session: Session, service: str, *, address: str) -> None:
    """Write down where it is asked, which a page shows."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl_jobs.rate AS r (service, address) VALUES ({0}, {1}) "
            "ON CONFLICT (service) DO UPDATE SET address = {1} WHERE r.address IS DISTINCT FROM {1}"
        ).format(sql.Literal(service), sql.Literal(address))
    )


def pause(session: Session, service: str, *, seconds: float, reason: str) -> None:
    """Nobody asks the service before that; a longer pause that is there already stays."""
    session.execute(
        sql.SQL("""
            INSERT INTO etl_jobs.rate AS r (service, paused_until, pause_reason)
            VALUES ({service}, clock_timestamp() + {seconds} * interval '1 s', {reason})
            ON CONFLICT (service) DO UPDATE SET
                paused_until = greatest(r.paused_until, EXCLUDED.paused_until),
                pause_reason = CASE WHEN EXCLUDED.paused_until > r.paused_until THEN EXCLUDED.pause_reason
                    ELSE r.pause_reason END
        """).format(
            service=sql.Literal(service), seconds=sql.Literal(min(seconds, FOR_EVER_S)), reason=sql.Literal(reason)
        )
    )


def resume(session: Session, service: str) -> None:
    """End a pause: the service may be asked at once."""
    session.execute(
        sql.SQL(
            "UPDATE etl_jobs.rate SET paused_until = '-infinity', pause_reason = NULL, "
            "next_at = least(next_at, clock_timestamp()) WHERE service = {}"
        ).format(sql.Literal(service))
    )


def paused_for(session: Session, service: str) -> float:
    """Seconds until the service may be asked again; 0 when it may."""
    rows = session.execute(
        sql.SQL(
            "SELECT extract(epoch FROM paused_until - clock_timestamp())::float8 FROM etl_jobs.rate WHERE service = {} "
            "AND paused_until > clock_timestamp()"
        ).format(sql.Literal(service))
    )
    return float(rows[0][0]) if rows else 0.0
