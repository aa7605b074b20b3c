"""How old the data of each table is and which commit's it is, as a view that a web service may read

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # who asks how fresh the data is wants the runs that go on, of all that were
    op.execute("CREATE INDEX run_open ON etl.run (started_at DESC) WHERE status = 'running'")
    # names are stepped through in the index of the newest tries: DISTINCT would read every row of history, and the
    # rows of the plan, without an end, stand before all others in that index
    op.execute("""
        CREATE VIEW etl.freshness AS
        WITH RECURSIVE known (table_name) AS (
            (SELECT table_name FROM etl.table_run ORDER BY table_name LIMIT 1)
            UNION ALL
            SELECT (SELECT t.table_name FROM etl.table_run t WHERE t.table_name > k.table_name
                ORDER BY t.table_name LIMIT 1)
            FROM known k WHERE k.table_name IS NOT NULL
        )
        SELECT k.table_name, looked.finished_at AS looked_at, loaded.finished_at AS data_from, loaded.table_rows,
            holds.commit_sha, green.commit_sha AS green_commit_sha, looked.dag_id, looked.run_id
        FROM known k
        LEFT JOIN LATERAL (
            SELECT t.finished_at, t.dag_id, t.run_id FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
            WHERE t.table_name = k.table_name AND t.finished_at IS NOT NULL AND t.status IN ('loaded', 'unchanged')
                AND r.status = 'success'
            ORDER BY t.finished_at DESC LIMIT 1
        ) looked ON true
        LEFT JOIN LATERAL (
            SELECT t.finished_at, t.table_rows FROM etl.table_run t
            WHERE t.table_name = k.table_name AND t.finished_at IS NOT NULL AND t.status = 'loaded'
            ORDER BY t.finished_at DESC LIMIT 1
        ) loaded ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(r.deployed_sha, r.commit_sha) AS commit_sha
            FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
            WHERE t.table_name = k.table_name AND t.finished_at IS NOT NULL AND t.status IN ('loaded', 'unchanged')
                AND coalesce(r.deployed_sha, r.commit_sha) IS NOT NULL
            ORDER BY t.finished_at DESC LIMIT 1
        ) holds ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(r.deployed_sha, r.commit_sha) AS commit_sha
            FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
            WHERE t.table_name = k.table_name AND t.finished_at IS NOT NULL AND t.status IN ('loaded', 'unchanged')
                AND coalesce(r.deployed_sha, r.commit_sha) IS NOT NULL AND r.status = 'success'
            ORDER BY t.finished_at DESC LIMIT 1
        ) green ON true
        WHERE k.table_name IS NOT NULL
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0009')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0009'")
    op.execute("DROP VIEW etl.freshness")
    op.execute("DROP INDEX etl.run_open")
