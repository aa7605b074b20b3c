"""The bulk session: one transaction, and errors that say whether a retry can help."""

from __future__ import annotations

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from sluiceway.errors import WarehouseError, WarehouseUnavailableError
from sluiceway.load.session import _asking, bulk_session


def test_a_session_that_the_server_ends_may_be_tried_again(warehouse_url: str) -> None:
    with (
        pytest.raises(WarehouseUnavailableError, match="terminating connection"),
        bulk_session(warehouse_url) as session,
    ):
        pid = session.execute(sql.SQL("SELECT pg_backend_pid() AS pid"))[0][0]
        with psycopg.connect(warehouse_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        session.execute(sql.SQL("SELECT 1 AS one"))


def test_a_statement_that_is_wrong_is_permanent(warehouse_url: str) -> None:
    with pytest.raises(WarehouseError, match="syntax error"), bulk_session(warehouse_url) as session:
        session.execute(sql.SQL("SELEC 1"))


def test_a_session_whose_body_raises_leaves_nothing(warehouse_url: str) -> None:
    with pytest.raises(ZeroDivisionError), bulk_session(warehouse_url) as session:
        session.execute(sql.SQL("CREATE TABLE half (id integer)"))
        _ = 1 / 0
    with bulk_session(warehouse_url) as session:
        assert session.execute(sql.SQL("SELECT to_regclass('half') AS found")) == [(None,)]


def test_columns_of_one_name_keep_their_values(warehouse_url: str) -> None:
    with bulk_session(warehouse_url) as session:
        assert session.execute(sql.SQL("SELECT 1 AS n, 2 AS n")) == [(1, 2)]


def test_batches_are_copied_into_a_temporary_table(warehouse_url: str) -> None:
    batch = pa.RecordBatch.from_pydict({"id": [1, 2], "name": ["a", None]})
    with bulk_session(warehouse_url) as session:
        assert session.ingest("stage", pa.RecordBatchReader.from_batches(batch.schema, [batch])) == 2
        assert session.execute(sql.SQL("SELECT * FROM stage ORDER BY id")) == [(1, "a"), (2, None)]


def test_either_side_notices_when_the_other_is_gone(warehouse_url: str) -> None:
    """A machine that vanishes closes nothing: its transaction would hold the table for two hours."""
    with bulk_session(warehouse_url) as session:
        asks = [f"current_setting('tcp_keepalives_{name}')" for name in ("idle", "interval", "count")]
        assert session.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(map(sql.SQL, asks)))) == [
            ("60", "10", "6")
        ]
    asked = "keepalives_interval=10&keepalives_count=6&tcp_user_timeout=120000"
    assert _asking("postgresql:///db?keepalives_idle=7&options=-c%20a%3Db") == (
        f"postgresql:///db?keepalives_idle=7&options=-c%20a%3Db&{asked}"
    )
    assert _asking("postgresql://a,b/db") == f"postgresql://a,b/db?keepalives_idle=60&{asked}"
    with bulk_session(f"{warehouse_url}?options=-c%20lock_timeout%3D2s") as session:
        assert session.execute(sql.SQL("SELECT 1 AS one")) == [(1,)]
