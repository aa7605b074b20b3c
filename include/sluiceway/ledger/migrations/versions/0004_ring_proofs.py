"""Which polygons of the last load were proved valid

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
        CREATE TABLE etl.ring_proof (
            table_name  text PRIMARY KEY,
            proofs      bytea NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE etl.ring_proof")
