"""The parts in which several workers load one table, and a schema for the rows of a part that wait for the others

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # it holds nothing that outlives a run: it may be left of a ledger that was dropped by hand
    op.execute("CREATE SCHEMA IF NOT EXISTS etl_staging")
    op.execute("""
        CREATE TABLE etl.table_part (
            dag_id          text NOT NULL,
            run_id          text NOT NULL,
            table_name      text NOT NULL,
            part            integer NOT NULL,
            parts           integer NOT NULL,
            piece           jsonb NOT NULL,
            status          text NOT NULL CHECK (status IN ('planned', 'staged', 'failed', 'merged')),
            fingerprint     text,
            spec_hash       text NOT NULL,
            try_number      integer,
            worker          text,
            started_at      timestamptz,
            finished_at     timestamptz,
            extracted       bigint NOT NULL DEFAULT 0,
            staged          bigint NOT NULL DEFAULT 0,
            rejected        bigint NOT NULL DEFAULT 0,
            without_key     bigint NOT NULL DEFAULT 0,
            repaired        bigint NOT NULL DEFAULT 0,
            seconds         double precision,
            peak_rss_bytes  bigint,
            found           jsonb,
            error_type      text,
            error           text,
            PRIMARY KEY (dag_id, run_id, table_name, part),
            FOREIGN KEY (dag_id, run_id) REFERENCES etl.run ON DELETE CASCADE ON UPDATE CASCADE,
            CHECK ((error IS NULL) = (error_type IS NULL))
        )
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0010')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0010'")
    op.execute("DROP TABLE etl.table_part")
    op.execute("DROP SCHEMA etl_staging CASCADE")
