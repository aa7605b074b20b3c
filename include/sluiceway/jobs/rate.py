"""How many requests a second a service gets from all processes together: one row a service (GCRA).

A reservation is a short transaction; the wait is outside of it.
"""

from __future__ import annotations

from psycopg import sql

from sluiceway.ledger.warehouse import Session

FOR_EVER_S = 100 * 365 * 86_400.0
"""A pause that a person must end."""


def reserve(session: Session, service: str, *, per_second: float, requests: int = 1) -> float:
    """Reserve the next requests; returns the seconds to wait before the first of them is sent.

    A service that is paused gives nothing before its pause ends.
    """
    rows = session.execute(
        sql.SQL("""
            INSERT INTO etl_jobs.rate AS r (service, next_at, requests)
            VALUES ({service}, clock_timestamp() + {taken} * interval '1 s', {requests})
            ON CONFLICT (service) DO UPDATE SET
                next_at = greatest(r.next_at, r.paused_until, clock_timestamp()) + {taken} * interval '1 s',
                requests = r.requests + {requests},
                waited_s = r.waited_s
                    + extract(epoch FROM greatest(r.next_at, r.paused_until, clock_timestamp()) - clock_timestamp())
            RETURNING extract(epoch FROM next_at - clock_timestamp())::float8 - {taken}
        """).format(
            service=sql.Literal(service), taken=sql.Literal(requests / per_second), requests=sql.Literal(requests)
        )
    )
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
        """).format(service=sql.Literal(service), seconds=sql.Literal(seconds), reason=sql.Literal(reason))
    )


def resume(session: Session, service: str) -> None:
    """End a pause."""
    session.execute(
        sql.SQL("UPDATE etl_jobs.rate SET paused_until = '-infinity', pause_reason = NULL WHERE service = {}").format(
            sql.Literal(service)
        )
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
