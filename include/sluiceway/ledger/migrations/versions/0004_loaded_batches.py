"""Which batches the last load of a table has loaded whole

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE etl.loaded_batches (
            table_name   text PRIMARY KEY,
            way          text NOT NULL,
            shape        text NOT NULL,
            transaction  bigint NOT NULL,
            versions     bigint[] NOT NULL,
            batches      bytea NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE etl.loaded_batches")
