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
        WHERE t.table_name = c.table_name AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1 FOR KEY SHARE
    ),
    (loaded_at, loaded_rows) = (
        SELECT finished_at, table_rows FROM etl.table_run t
        WHERE t.table_name = c.table_name AND finished_at IS NOT NULL AND status = 'loaded'
        ORDER BY finished_at DESC LIMIT 1 FOR KEY SHARE
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
    # in the order in which loads take them, whose ends would wait for this and this for them
    op.execute("LOCK TABLE etl.table_run IN SHARE ROW EXCLUSIVE MODE")
    added = ", ".join(f"ADD COLUMN {line}" for line in _COLUMNS.strip().split(",\n"))
    op.execute(f"ALTER TABLE etl.table_tally {added}")
    op.execute(f"UPDATE etl.table_tally c SET {_NEWEST}")  # noqa: S608 - a constant
    # looked for anew in history whatever became of it, so that it cannot go astray; as the ledger's owner, for no role
    # that loads may write what is counted. The table's row is locked first: of two tries that end at once the second
    # one sees both. What is found is locked too: who deletes it at the same time comes after this, and looks anew
    op.execute(f"""
        CREATE FUNCTION etl.keep_newest() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM FROM etl.table_tally WHERE table_name = NEW.table_name FOR UPDATE;
            UPDATE etl.table_tally c SET {_NEWEST} WHERE table_name = NEW.table_name;
            RETURN NULL;
        END $$
    """)  # noqa: S608
    # history that nobody looks at is forgotten without a lock for which a load would wait
    op.execute(f"""
        CREATE FUNCTION etl.keep_newest_of_rest() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE of_tables text[];
        BEGIN
            SELECT array_agg(table_name ORDER BY table_name) INTO of_tables FROM (
                SELECT table_name FROM etl.table_tally t
                WHERE EXISTS (
                    SELECT FROM gone
                    WHERE gone.table_name = t.table_name AND gone.finished_at IN (t.last_at, t.loaded_at)
                ) ORDER BY table_name FOR UPDATE
            ) locked;
            UPDATE etl.table_tally c SET {_NEWEST} WHERE table_name = ANY (of_tables);
            RETURN NULL;
        END $$
    """)  # noqa: S608
    # behind count_try, which makes the table's row: triggers fire in the order of their names
    for event, changed in (
        ("INSERT", "NEW.finished_at IS NOT NULL"),
        (
            "UPDATE OF dag_id, run_id, try_number, status, rejected, table_rows, finished_at",
            "NEW.finished_at IS NOT NULL OR OLD.finished_at IS NOT NULL",
        ),
    ):
        op.execute(f"""
            CREATE TRIGGER keep_newest_{event.split()[0].lower()} AFTER {event} ON etl.table_run
            FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION etl.keep_newest()
        """)
    op.execute("""
        CREATE TRIGGER keep_newest_of_rest AFTER DELETE ON etl.table_run REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION etl.keep_newest_of_rest()
    """)
    # whoever may call them may have them fire for a table of his own, and write what is counted
    op.execute("REVOKE ALL ON FUNCTION etl.count_try, etl.keep_newest, etl.keep_newest_of_rest FROM PUBLIC")
    op.execute("INSERT INTO etl.compatible VALUES ('0017')")


def downgrade() -> None:
    op.execute("LOCK TABLE etl.table_run IN SHARE ROW EXCLUSIVE MODE")
    op.execute("DELETE FROM etl.compatible WHERE revision = '0017'")
    for name in ("keep_newest_insert", "keep_newest_update", "keep_newest_of_rest"):
        op.execute(f"DROP TRIGGER {name} ON etl.table_run")
    op.execute("DROP FUNCTION etl.keep_newest, etl.keep_newest_of_rest")
    op.execute("GRANT EXECUTE ON FUNCTION etl.count_try TO PUBLIC")
    op.execute(f"ALTER TABLE etl.table_tally {', '.join(f'DROP COLUMN {name}' for name in _NAMES)}")
