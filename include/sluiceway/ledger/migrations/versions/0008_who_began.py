"""When a run was opened last and what was to do then, which machine loaded a table, and which runs nobody need tell of

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE etl.run ADD opened_at timestamptz, ADD pending jsonb")
    # with the statement above it would stamp the runs of before, too
    op.execute("ALTER TABLE etl.run ALTER opened_at SET DEFAULT clock_timestamp()")
    op.execute("ALTER TABLE etl.table_run ADD worker text")
    op.execute("""
        CREATE TABLE etl.watched_dag (
            dag_id       text PRIMARY KEY,
            ended_runs   integer NOT NULL,
            passed_over  jsonb NOT NULL DEFAULT '[]'
        )
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0008')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0008'")
    op.execute("DROP TABLE etl.watched_dag")
    op.execute("ALTER TABLE etl.table_run DROP worker")
    op.execute("ALTER TABLE etl.run DROP pending, DROP opened_at")
