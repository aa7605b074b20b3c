"""Incidents, one per cause, and who was told of each

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE etl.incident (
            id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            cause_key          text NOT NULL,
            kinds              text[] NOT NULL,
            cause              text NOT NULL,
            sentence           text NOT NULL,
            subjects           text[] NOT NULL,
            environment        text,
            dag_id             text,
            run_id             text,
            opened_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
            seen_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
            tell_from          timestamptz NOT NULL,
            recovered_at       timestamptz,
            acknowledged_at    timestamptz,
            acknowledged_by    text,
            acknowledged_note  text,
            snoozed_until      timestamptz,
            CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
        )
    """)
    # one cause is one incident, also where two look at once
    op.execute("CREATE UNIQUE INDEX incident_open ON etl.incident (cause_key) WHERE recovered_at IS NULL")
    op.execute("CREATE INDEX incident_recovered ON etl.incident (recovered_at) WHERE recovered_at IS NOT NULL")
    op.execute("""
        CREATE TABLE etl.notice (
            incident       bigint NOT NULL REFERENCES etl.incident ON DELETE CASCADE,
            alert          text NOT NULL,
            channel        text NOT NULL,
            what           text NOT NULL CHECK (what IN ('opened', 'recovered')),
            told_at        timestamptz,
            last_told_at   timestamptz,
            claim          uuid,
            claimed_until  timestamptz,
            attempts       integer NOT NULL DEFAULT 0,
            next_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
            error          text,
            PRIMARY KEY (incident, alert, channel, what),
            CHECK ((claim IS NULL) = (claimed_until IS NULL))
        )
    """)
    # one row: a look that is older than what was settled last settles nothing
    op.execute("""
        CREATE TABLE etl.alert_look (
            sole       boolean PRIMARY KEY DEFAULT true CHECK (sole),
            looked_at  timestamptz NOT NULL
        )
    """)
    op.execute("INSERT INTO etl.compatible VALUES ('0012')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0012'")
    op.execute("DROP TABLE etl.alert_look, etl.notice, etl.incident")
