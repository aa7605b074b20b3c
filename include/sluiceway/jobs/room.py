"""Whether the lanes of all jobs find room among the connections that the warehouse allows."""

from __future__ import annotations

from psycopg import sql

from sluiceway.amounts import counted
from sluiceway.errors import WarehouseUnavailableError
from sluiceway.ledger.warehouse import Session


def check_room(session: Session, lanes: int) -> None:
    """Raises WarehouseUnavailableError when fewer connections are free than these lanes may take.

    :param lanes: of all jobs together; those that run already are counted among them.
    """
    rows = session.execute(
        sql.SQL(
            "SELECT current_setting('max_connections')::integer, "
            "current_setting('superuser_reserved_connections')::integer, count(*) FILTER ("
            "WHERE backend_type = 'client backend' AND application_name NOT LIKE 'sluiceway job %') "
            "FROM pg_stat_activity"
        )
    )
    allowed, reserved, taken = rows[0]
    free = allowed - reserved - taken
    if free < lanes:
        raise WarehouseUnavailableError(
            f"The warehouse allows {allowed} connections (max_connections), {reserved} are reserved and {taken} taken "
            f"by others, so that {free} are left for {counted(lanes, 'lane')} of jobs; raise max_connections, or write "
            f"fewer `lanes` into the flows of jobs."
        )
