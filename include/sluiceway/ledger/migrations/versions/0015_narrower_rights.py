"""What is counted of tables is counted by the ledger itself: no role that loads writes it by hand

The rights of the roles are granted anew behind every migration (ledger/rights.py): this one has them narrowed before
any code of this version runs.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # as the ledger's owner, whoever writes a try; the path is pinned, for whoever calls it may set another one
    op.execute("ALTER FUNCTION etl.count_try() SECURITY DEFINER SET search_path = pg_catalog, pg_temp")
    op.execute("INSERT INTO etl.compatible VALUES ('0015')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0015'")
    op.execute("ALTER FUNCTION etl.count_try() SECURITY INVOKER RESET search_path")
    # the code of before grants this in its own migration, which has nothing to do then
    op.execute("""
        DO $$ BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluiceway_loader') THEN
                GRANT INSERT, UPDATE ON etl.table_tally TO sluiceway_loader;
            END IF;
        END $$
    """)
