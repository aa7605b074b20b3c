"""Where the last incremental load of a database ended

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE etl.table_run ADD COLUMN watermark text")


def downgrade() -> None:
    op.execute("ALTER TABLE etl.table_run DROP COLUMN watermark")
