"""Each table's newest try is kept beside what is counted of it: whoever asks of a thousand tables looks for none

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMNS = """
    last_dag_id     text,
    last_run_id     text,
    last_try        integer,
    last_status     text,
    last_rejected   bigint,
    last_at         timestamptz,
    loaded_at       timestamptz,
    loaded_rows     bigint,
    trend           bigint[] NOT NULL DEFAULT '{}'
"""
_NAMES = [line.split()[0] for line in _COLUMNS.strip().splitlines()]
_NEWEST = """
    (last_dag_id, last_run_id, last_try, last_status, last_rejected, last_at) = (
        SELECT dag_id, run_id, try_number, status, rejected, finished_at FROM etl.table_run t
        WHERE t.table_name = c.table_name AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1
    ),
    (loaded_at, loaded_rows) = (
        SELECT finished_at, table_rows FROM etl.table_run t
        WHERE t.table_name = c.table_name AND finished_at IS NOT NULL AND status = 'loaded'
        ORDER BY finished_at DESC LIMIT 1
    ),
    trend = coalesce((
        SELECT array_agg(table_rows ORDER BY finished_at) FROM (
            SELECT table_rows, finished_at FROM etl.table_run t
            WHERE t.table_name = c.table_name AND finished_at IS NOT NULL AND table_rows IS NOT NULL
                AND status IN ('loaded', 'unchanged')
            ORDER BY finished_at DESC LIMIT 12
        ) newest
    ), '{}')
"""


def upgrade() -> None:
    added = ", ".join(f"ADD COLUMN {line}" for line in _COLUMNS.strip().split(",\n"))
    op.execute(f"ALTER TABLE etl.table_tally {added}")
    op.execute(f"UPDATE etl.table_tally c SET {_NEWEST}")  # noqa: S608 - a constant
    # looked for anew in history whatever became of it, so that it cannot go astray; as the ledger's owner, for no role
    # that loads may write what is counted. Its row is locked first: of two that end at once the second one sees both.
    # History that nobody looks at is forgotten without that lock, for which a load would wait
    op.execute(f"""
        CREATE FUNCTION etl.keep_newest() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE of_table text := CASE WHEN TG_OP = 'DELETE' THEN OLD.table_name ELSE NEW.table_name END;
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF NOT EXISTS (
                    SELECT FROM etl.table_tally WHERE table_name = of_table AND OLD.finished_at IN (last_at, loaded_at)
                ) THEN
                    RETURN NULL;
                END IF;
            ELSIF NEW.finished_at IS NULL AND (TG_OP = 'INSERT' OR OLD.finished_at IS NULL) THEN
                RETURN NULL;  -- one that is planned, or goes on
            END IF;
            PERFORM FROM etl.table_tally WHERE table_name = of_table FOR UPDATE;
            UPDATE etl.table_tally c SET {_NEWEST} WHERE table_name = of_table;
            RETURN NULL;
        END $$
    """)  # noqa: S608
    # behind count_try, which makes the table's row: triggers fire in the order of their names
    op.execute("""
        CREATE TRIGGER keep_newest AFTER INSERT OR DELETE
            OR UPDATE OF dag_id, run_id, try_number, status, rejected, table_rows, finished_at ON etl.table_run
        FOR EACH ROW EXECUTE FUNCTION etl.keep_newest()
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0017')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0017'")
    op.execute("DROP TRIGGER keep_newest ON etl.table_run")
    op.execute("DROP FUNCTION etl.keep_newest")
    op.execute(f"ALTER TABLE etl.table_tally {', '.join(f'DROP COLUMN {name}' for name in _NAMES)}")
