"""What triggers have seen, and which run took it

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # json, not jsonb: a cursor must come back as it was, and jsonb refuses what a file's name may hold
    op.execute("""
        CREATE TABLE etl.trigger_state (
            flow_id      text NOT NULL,
            trigger_id   text NOT NULL,
            config_hash  text,
            cursor       json,
            looked_at    timestamptz,
            fired_at     timestamptz,
            error        text,
            error_at     timestamptz,
            PRIMARY KEY (flow_id, trigger_id),
            CHECK ((error IS NULL) = (error_at IS NULL))
        )
    """)
    op.execute("""
        CREATE TABLE etl.trigger_event (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            flow_id     text NOT NULL,
            trigger_id  text NOT NULL,
            event_key   text NOT NULL,
            facts       json NOT NULL,
            seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
            run_id      text,
            claimed_at  timestamptz,
            CHECK ((run_id IS NULL) = (claimed_at IS NULL))
        )
    """)
    # a key holds a path of up to 4,096 bytes, and an index takes 2,704
    op.execute("CREATE UNIQUE INDEX trigger_event_key ON etl.trigger_event (flow_id, trigger_id, md5(event_key))")
    op.execute(
        "CREATE INDEX trigger_event_unclaimed ON etl.trigger_event (flow_id, trigger_id, id) WHERE run_id IS NULL"
    )
    op.execute("CREATE INDEX trigger_event_run ON etl.trigger_event (flow_id, run_id) WHERE run_id IS NOT NULL")
    op.execute(
        "CREATE INDEX trigger_event_claimed_at ON etl.trigger_event (flow_id, trigger_id, claimed_at) "
        "WHERE run_id IS NOT NULL"
    )
    op.execute("CREATE INDEX trigger_event_seen_at ON etl.trigger_event (seen_at)")


def downgrade() -> None:
    op.execute("DROP TABLE etl.trigger_event, etl.trigger_state")
