"""Locks that no reader can hold: a row each, for who writes the ledger and for who writes jobs

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE etl.lock (name text PRIMARY KEY)")
    op.execute("CREATE TABLE etl_jobs.lock (name text PRIMARY KEY)")
    op.execute("INSERT INTO etl.compatible VALUES ('0014')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0014'")
    op.execute("DROP TABLE etl_jobs.lock")
    op.execute("DROP TABLE etl.lock")
