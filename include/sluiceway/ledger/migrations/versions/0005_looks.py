"""How many looks of a trigger were written down: who writes the next must know all of them

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE etl.trigger_state ADD COLUMN looks bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE etl.trigger_state DROP COLUMN looks")
