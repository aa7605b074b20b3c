"""A run is a DAG's, a table has a row per try, and what happened is kept as facts

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE etl.reject DROP CONSTRAINT reject_run_id_table_name_fkey")
    op.execute("ALTER TABLE etl.table_run DROP CONSTRAINT table_run_run_id_fkey, DROP CONSTRAINT table_run_pkey")
    op.execute("UPDATE etl.run SET dag_id = 'cli' WHERE dag_id IS NULL")
    op.execute("""
        ALTER TABLE etl.run
            DROP CONSTRAINT run_pkey,
            ALTER dag_id SET NOT NULL,
            ADD PRIMARY KEY (dag_id, run_id),
            ADD COLUMN enqueued_at   timestamptz,
            ADD COLUMN outcome       text CHECK (outcome IN ('superseded', 'idle')),
            ADD COLUMN outcome_note  text,
            ADD COLUMN published_at  timestamptz,
            ADD COLUMN judged        jsonb,
            ADD COLUMN judged_rows   text,
            ADD COLUMN remark        text,
            ADD CHECK ((outcome IS NULL) = (outcome_note IS NULL))
    """)
    op.execute(
        "UPDATE etl.run SET outcome = 'superseded', outcome_note = coalesce(note, '') WHERE status = 'superseded'"
    )
    op.execute("""
        ALTER TABLE etl.table_run
            ADD COLUMN dag_id  text,
            ADD COLUMN try_number  integer NOT NULL DEFAULT 1,
            ADD COLUMN source_rows  bigint,
            ADD COLUMN note         text,
            ADD COLUMN published_at timestamptz
    """)
    # of a load with a watermark nobody knows whether it was an increment: such a table keeps what it has
    op.execute("""
        UPDATE etl.table_run SET source_rows = CASE WHEN watermark IS NULL THEN extracted
            ELSE greatest(extracted, table_rows) END WHERE status = 'loaded'
    """)
    op.execute("UPDATE etl.table_run SET dag_id = run.dag_id FROM etl.run WHERE run.run_id = table_run.run_id")
    # code of before said in its verdict alone whether a run had published
    op.execute("""
        UPDATE etl.run SET published_at = finished_at
        WHERE dag_id <> 'cli'
            AND (status = 'success' OR (status = 'failed' AND note LIKE '%What was loaded is published.'))
    """)
    op.execute("""
        UPDATE etl.table_run SET published_at = run.published_at FROM etl.run
        WHERE run.run_id = table_run.run_id AND table_run.status IN ('loaded', 'unchanged')
    """)
    op.execute("""
        ALTER TABLE etl.table_run
            ALTER dag_id SET NOT NULL,
            ALTER try_number DROP DEFAULT,
            ADD PRIMARY KEY (dag_id, run_id, table_name, try_number),
            ADD FOREIGN KEY (dag_id, run_id) REFERENCES etl.run ON DELETE CASCADE ON UPDATE CASCADE
    """)
    op.execute("CREATE INDEX table_run_newest ON etl.table_run (table_name, finished_at DESC)")
    op.execute("""
        ALTER TABLE etl.reject
            ADD COLUMN dag_id  text,
            ADD COLUMN try_number  integer NOT NULL DEFAULT 1,
            ADD COLUMN key     jsonb
    """)
    op.execute("UPDATE etl.reject SET dag_id = run.dag_id FROM etl.run WHERE run.run_id = reject.run_id")
    op.execute("DROP INDEX etl.reject_table_run")
    op.execute("""
        ALTER TABLE etl.reject
            ALTER dag_id SET NOT NULL,
            ALTER try_number DROP DEFAULT,
            ADD FOREIGN KEY (dag_id, run_id, table_name, try_number)
                REFERENCES etl.table_run ON DELETE CASCADE ON UPDATE CASCADE
    """)
    op.execute("CREATE INDEX reject_table_run ON etl.reject (dag_id, run_id, table_name, try_number, row_number)")
    op.execute("""
        CREATE TABLE etl.task_run (
            dag_id       text NOT NULL,
            run_id       text NOT NULL,
            task_id      text NOT NULL,
            map_index    integer NOT NULL,
            try_number   integer NOT NULL,
            table_name   text,
            started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at  timestamptz,
            error_type   text,
            error        text,
            log_url      text,
            PRIMARY KEY (dag_id, run_id, task_id, map_index, try_number),
            FOREIGN KEY (dag_id, run_id) REFERENCES etl.run ON DELETE CASCADE ON UPDATE CASCADE,
            CHECK ((error IS NULL) = (error_type IS NULL))
        )
    """)
    op.execute("""
        CREATE TABLE etl.publication (
            dag_id      text NOT NULL,
            run_id      text NOT NULL,
            view_name   text NOT NULL,
            at          timestamptz NOT NULL DEFAULT clock_timestamp(),
            withheld    text,
            tables      text[] NOT NULL,
            PRIMARY KEY (dag_id, run_id, view_name),
            FOREIGN KEY (dag_id, run_id) REFERENCES etl.run ON DELETE CASCADE ON UPDATE CASCADE
        )
    """)
    # the commit was deployed between the last look that saw another one and the first that saw it
    op.execute("""
        CREATE TABLE etl.deployment (
            id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            environment   text NOT NULL,
            commit_sha    text NOT NULL,
            other_seen_at timestamptz,
            first_seen_at timestamptz NOT NULL,
            last_seen_at  timestamptz NOT NULL,
            run_id        text,
            settled_at    timestamptz
        )
    """)
    op.execute("CREATE INDEX deployment_newest ON etl.deployment (environment, id DESC)")
    # code of an earlier revision goes on with this ledger as long as its own stands here
    op.execute("CREATE TABLE etl.compatible (revision text PRIMARY KEY)")
    op.execute("INSERT INTO etl.compatible VALUES ('0006')")


def downgrade() -> None:
    op.execute("DROP TABLE etl.compatible, etl.deployment, etl.publication, etl.task_run")
    op.execute("ALTER TABLE etl.reject DROP CONSTRAINT reject_dag_id_run_id_table_name_try_number_fkey")
    op.execute("DROP INDEX etl.reject_table_run")
    op.execute("DELETE FROM etl.run WHERE (dag_id, run_id) NOT IN (SELECT max(dag_id), run_id FROM etl.run GROUP BY 2)")
    # of a table's tries the one that stands (store.table_runs) stays, as one row stood for all of them before
    op.execute("""
        WITH newest AS (
            SELECT DISTINCT ON (dag_id, run_id, table_name) dag_id, run_id, table_name, try_number, status
            FROM etl.table_run ORDER BY dag_id, run_id, table_name, status = 'planned', try_number DESC
        ), stands AS (
            SELECT dag_id, run_id, table_name, coalesce((
                SELECT max(l.try_number) FROM etl.table_run l
                WHERE n.status = 'unchanged' AND l.status = 'loaded'
                    AND (l.dag_id, l.run_id, l.table_name) = (n.dag_id, n.run_id, n.table_name)
            ), try_number) AS try_number FROM newest n
        )
        DELETE FROM etl.table_run
        WHERE (dag_id, run_id, table_name, try_number) NOT IN (SELECT * FROM stands)
    """)
    op.execute("""
        DELETE FROM etl.reject r WHERE NOT EXISTS (
            SELECT FROM etl.table_run t WHERE (t.dag_id, t.run_id, t.table_name, t.try_number)
                = (r.dag_id, r.run_id, r.table_name, r.try_number)
        )
    """)
    op.execute("ALTER TABLE etl.reject DROP COLUMN dag_id, DROP COLUMN try_number, DROP COLUMN key")
    op.execute("DROP INDEX etl.table_run_newest")
    op.execute("""
        ALTER TABLE etl.table_run DROP CONSTRAINT table_run_dag_id_run_id_fkey, DROP CONSTRAINT table_run_pkey,
            DROP COLUMN dag_id, DROP COLUMN try_number, DROP COLUMN source_rows, DROP COLUMN note,
            DROP COLUMN published_at,
            ADD PRIMARY KEY (run_id, table_name)
    """)
    op.execute("""
        ALTER TABLE etl.run DROP CONSTRAINT run_pkey, ALTER dag_id DROP NOT NULL, ADD PRIMARY KEY (run_id),
            DROP COLUMN enqueued_at, DROP COLUMN outcome, DROP COLUMN outcome_note, DROP COLUMN published_at,
            DROP COLUMN judged, DROP COLUMN judged_rows, DROP COLUMN remark
    """)
    op.execute("UPDATE etl.run SET dag_id = NULL WHERE dag_id = 'cli'")
    op.execute("ALTER TABLE etl.table_run ADD FOREIGN KEY (run_id) REFERENCES etl.run ON DELETE CASCADE")
    op.execute("ALTER TABLE etl.reject ADD FOREIGN KEY (run_id, table_name) REFERENCES etl.table_run ON DELETE CASCADE")
    op.execute("CREATE INDEX reject_table_run ON etl.reject (run_id, table_name, row_number)")
