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
    op.execute("INSERT INTO etl.compatible VALUES ('0011')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0011'")
    op.execute("DROP TRIGGER count_try ON etl.table_run")
    op.execute("DROP FUNCTION etl.count_try")
    op.execute("DROP TABLE etl.table_tally, etl.face_token")
