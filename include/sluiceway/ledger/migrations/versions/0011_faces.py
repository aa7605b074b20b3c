"""The tokens that machines read the state of the data with, and what is counted of each table's loads

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


_KNOWN = """
    WITH RECURSIVE known (table_name) AS (
        (SELECT table_name FROM etl.table_run ORDER BY table_name LIMIT 1)
        UNION ALL
        SELECT (SELECT t.table_name FROM etl.table_run t WHERE t.table_name > k.table_name
            ORDER BY t.table_name LIMIT 1)
        FROM known k WHERE k.table_name IS NOT NULL
    )
"""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE etl.face_token (
            token_id    text PRIMARY KEY,
            name        text NOT NULL,
            faces       text[] NOT NULL CHECK (cardinality(faces) > 0),
            hash        bytea NOT NULL UNIQUE,
            created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            revoked_at  timestamptz
        )
    """)
    # what is counted must never fall, and history is forgotten: so it is counted when a try ends, in its transaction,
    # by whatever code wrote it
    op.execute("""
        CREATE TABLE etl.table_tally (
            table_name  text PRIMARY KEY,
            loads       bigint NOT NULL,
            failures    bigint NOT NULL,
            rejected    bigint NOT NULL,
            seconds     double precision NOT NULL
        )
    """)
    op.execute("""
        INSERT INTO etl.table_tally
        SELECT table_name,
            count(*) FILTER (WHERE status IN ('loaded', 'unchanged')),
            count(*) FILTER (WHERE status = 'failed'),
            coalesce(sum(rejected), 0),
            coalesce(sum(seconds) FILTER (WHERE status IN ('loaded', 'unchanged')), 0)
        FROM etl.table_run WHERE finished_at IS NOT NULL GROUP BY table_name
    """)
    op.execute("""
        CREATE FUNCTION etl.count_try() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            was etl.table_run := CASE WHEN TG_OP = 'UPDATE' AND OLD.finished_at IS NOT NULL THEN OLD END;
            -- a try that is written anew was counted before: only what it adds counts
            is_good integer := (NEW.status IN ('loaded', 'unchanged'))::integer;
            was_good integer := coalesce((was.status IN ('loaded', 'unchanged'))::integer, 0);
        BEGIN
            INSERT INTO etl.table_tally AS t (table_name, loads, failures, rejected, seconds) VALUES (
                NEW.table_name,
                greatest(is_good - was_good, 0),
                greatest((NEW.status = 'failed')::integer - coalesce((was.status = 'failed')::integer, 0), 0),
                greatest(NEW.rejected - coalesce(was.rejected, 0), 0),
                greatest(is_good * coalesce(NEW.seconds, 0) - was_good * coalesce(was.seconds, 0), 0)
            ) ON CONFLICT (table_name) DO UPDATE SET
                loads = t.loads + excluded.loads, failures = t.failures + excluded.failures,
                rejected = t.rejected + excluded.rejected, seconds = t.seconds + excluded.seconds;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER count_try AFTER INSERT OR UPDATE OF status, rejected, seconds, finished_at ON etl.table_run
        FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION etl.count_try()
    """)
    # mostly the newest try is good, of a green run and of a commit, and says all: then the others are not looked for,
    # which is a third of the work for a thousand tables. A function, so that facts are asked of names that are known.
    op.execute("""
        CREATE FUNCTION etl.freshness_of(of_table text) RETURNS TABLE (
            looked_at timestamptz, data_from timestamptz, table_rows bigint, commit_sha text, green_commit_sha text,
            dag_id text, run_id text,
            last_dag_id text, last_run_id text, last_status text, last_error text, last_run_status text
        ) LANGUAGE sql STABLE AS $$
            SELECT
                CASE WHEN last.says_all THEN last.finished_at ELSE looked.finished_at END,
                CASE WHEN last.status = 'loaded' THEN last.finished_at ELSE loaded.finished_at END,
                CASE WHEN last.status = 'loaded' THEN last.table_rows ELSE loaded.table_rows END,
                CASE WHEN last.says_all THEN last.commit_sha ELSE holds.commit_sha END,
                CASE WHEN last.says_all THEN last.commit_sha ELSE green.commit_sha END,
                CASE WHEN last.says_all THEN last.dag_id ELSE looked.dag_id END,
                CASE WHEN last.says_all THEN last.run_id ELSE looked.run_id END,
                last.dag_id, last.run_id, last.status, last.error, last.run_status
            FROM (
                SELECT t.finished_at, t.table_rows, t.dag_id, t.run_id, t.status,
                    concat_ws(': ', t.error_type, t.error) AS error, r.status AS run_status,
                    coalesce(r.deployed_sha, r.commit_sha) AS commit_sha,
                    t.status IN ('loaded', 'unchanged') AND r.status = 'success'
                        AND coalesce(r.deployed_sha, r.commit_sha) IS NOT NULL AS says_all
                FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
                WHERE t.table_name = of_table AND t.finished_at IS NOT NULL ORDER BY t.finished_at DESC LIMIT 1
            ) last
            LEFT JOIN LATERAL (
                SELECT t.finished_at, t.dag_id, t.run_id FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
                WHERE NOT last.says_all AND t.table_name = of_table AND t.finished_at IS NOT NULL
                    AND t.status IN ('loaded', 'unchanged') AND r.status = 'success'
                ORDER BY t.finished_at DESC LIMIT 1
            ) looked ON true
            LEFT JOIN LATERAL (
                SELECT t.finished_at, t.table_rows FROM etl.table_run t
                WHERE last.status <> 'loaded' AND t.table_name = of_table AND t.finished_at IS NOT NULL
                    AND t.status = 'loaded'
                ORDER BY t.finished_at DESC LIMIT 1
            ) loaded ON true
            LEFT JOIN LATERAL (
                SELECT coalesce(r.deployed_sha, r.commit_sha) AS commit_sha
                FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
                WHERE NOT last.says_all AND t.table_name = of_table AND t.finished_at IS NOT NULL
                    AND t.status IN ('loaded', 'unchanged') AND coalesce(r.deployed_sha, r.commit_sha) IS NOT NULL
                ORDER BY t.finished_at DESC LIMIT 1
            ) holds ON true
            LEFT JOIN LATERAL (
                SELECT coalesce(r.deployed_sha, r.commit_sha) AS commit_sha
                FROM etl.table_run t JOIN etl.run r USING (dag_id, run_id)
                WHERE NOT last.says_all AND t.table_name = of_table AND t.finished_at IS NOT NULL
                    AND t.status IN ('loaded', 'unchanged') AND coalesce(r.deployed_sha, r.commit_sha) IS NOT NULL
                    AND r.status = 'success'
                ORDER BY t.finished_at DESC LIMIT 1
            ) green ON true
        $$
    """)
    op.execute(f"""
        CREATE OR REPLACE VIEW etl.freshness AS {_KNOWN}
        SELECT k.table_name, f.looked_at, f.data_from, f.table_rows, f.commit_sha, f.green_commit_sha,
            f.dag_id, f.run_id
        FROM known k LEFT JOIN LATERAL etl.freshness_of(k.table_name) f ON true WHERE k.table_name IS NOT NULL
    """)  # noqa: S608 - a constant
    op.execute("INSERT INTO etl.compatible VALUES ('0011')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0011'")
    op.execute(f"""
        CREATE OR REPLACE VIEW etl.freshness AS {_KNOWN}
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
    """)  # noqa: S608 - a constant
    op.execute("DROP FUNCTION etl.freshness_of")
    op.execute("DROP TRIGGER count_try ON etl.table_run")
    op.execute("DROP FUNCTION etl.count_try")
    op.execute("DROP TABLE etl.table_tally, etl.face_token")
