"""Which files of several a table holds the rows of, so that a load reads only those that are new or changed

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE etl.loaded_file (
            table_name   text NOT NULL,
            name         text NOT NULL,
            fingerprint  text NOT NULL,
            rows         bigint NOT NULL,
            PRIMARY KEY (table_name, name)
        )
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0016')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0016'")
    op.execute("DROP TABLE etl.loaded_file")
