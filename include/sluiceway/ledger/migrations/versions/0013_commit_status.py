"""What GitHub was told of a commit, and what it could not be told yet

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # what is told of a commit outlives the run that it is of: no reference to etl.run
    op.execute("""
        CREATE TABLE etl.commit_status (
            environment    text NOT NULL,
            commit_sha     text NOT NULL,
            run_id         text NOT NULL,
            state          text NOT NULL,
            description    text NOT NULL,
            since          timestamptz NOT NULL DEFAULT clock_timestamp(),
            told_at        timestamptz,
            tries          integer NOT NULL DEFAULT 0,
            next_try_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
            claimed_until  timestamptz,
            problem        text,
            PRIMARY KEY (environment, commit_sha)
        )
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0013')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0013'")
    op.execute("DROP TABLE etl.commit_status")
