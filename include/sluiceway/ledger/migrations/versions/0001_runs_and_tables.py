"""Runs, their tables and their rejects

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE etl.run (
            run_id        text PRIMARY KEY,
            dag_id        text,
            commit_sha    text,
            deployed_sha  text,
            trigger_kind  text NOT NULL,
            started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at   timestamptz,
            status        text NOT NULL DEFAULT 'running'
                          CHECK (status IN ('running', 'success', 'failed', 'superseded', 'abandoned')),
            note          text,
            CHECK ((status = 'running') = (finished_at IS NULL))
        )
    """)
    op.execute("CREATE INDEX run_started_at ON etl.run (started_at DESC)")
    op.execute("""
        CREATE TABLE etl.table_run (
            run_id          text NOT NULL REFERENCES etl.run ON DELETE CASCADE,
            table_name      text NOT NULL,
            status          text NOT NULL CHECK (status IN ('planned', 'loaded', 'unchanged', 'failed')),
            extracted       bigint NOT NULL DEFAULT 0,
            inserted        bigint NOT NULL DEFAULT 0,
            updated         bigint NOT NULL DEFAULT 0,
            unchanged       bigint NOT NULL DEFAULT 0,
            deleted         bigint NOT NULL DEFAULT 0,
            rejected        bigint NOT NULL DEFAULT 0,
            repaired        bigint NOT NULL DEFAULT 0,
            table_rows      bigint,
            bytes           bigint,
            seconds         double precision,
            peak_rss_bytes  bigint,
            fingerprint     text,
            spec_hash       text,
            source_columns  jsonb,
            error_type      text,
            error           text,
            finished_at     timestamptz,
            PRIMARY KEY (run_id, table_name),
            CONSTRAINT no_row_is_lost
                CHECK (status <> 'loaded' OR extracted = inserted + updated + unchanged + rejected)
        )
    """)
    op.execute(
        "CREATE INDEX table_run_last_good ON etl.table_run (table_name, finished_at DESC) WHERE status = 'loaded'"
    )
    op.execute("""
        CREATE TABLE etl.reject (
            id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            run_id       text NOT NULL,
            table_name   text NOT NULL,
            row_number   bigint,
            column_name  text,
            reason       text NOT NULL,
            "row"        jsonb NOT NULL,
            FOREIGN KEY (run_id, table_name) REFERENCES etl.table_run ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX reject_table_run ON etl.reject (run_id, table_name, row_number)")


def downgrade() -> None:
    op.execute("DROP TABLE etl.reject, etl.table_run, etl.run")
