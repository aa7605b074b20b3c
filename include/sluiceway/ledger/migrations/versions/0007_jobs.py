"""Items of jobs, the rate of each service, and who asked for what: schema etl_jobs

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA etl_jobs")
    # an item is written twice at least, claimed and acknowledged, while long loads elsewhere pin its old rows
    op.execute("""
        CREATE TABLE etl_jobs.item (
            job             text NOT NULL,
            item            text NOT NULL,
            input           jsonb NOT NULL DEFAULT '{}',
            input_hash      text,
            state           text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'claimed', 'done', 'dead', 'waiting')),
            due_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
            attempts        integer NOT NULL DEFAULT 0,
            lapses          integer NOT NULL DEFAULT 0,
            claim           uuid,
            lease_until     timestamptz,
            last_code       text,
            last_error      text,
            source_version  text,
            first_seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (job, item),
            CHECK ((state = 'claimed') = (claim IS NOT NULL)),
            CHECK ((claim IS NULL) = (lease_until IS NULL)),
            CHECK (state <> 'dead' OR last_error IS NOT NULL)
        ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0)
    """)
    op.execute("CREATE INDEX item_due ON etl_jobs.item (job, due_at, item) WHERE state = 'due'")
    op.execute("CREATE INDEX item_claimed ON etl_jobs.item (job, lease_until) WHERE state = 'claimed'")
    op.execute("CREATE INDEX item_dead ON etl_jobs.item (job, updated_at) WHERE state = 'dead'")
    op.execute("CREATE INDEX item_done ON etl_jobs.item (job, updated_at) WHERE state = 'done'")
    op.execute("CREATE INDEX item_waiting ON etl_jobs.item (job, updated_at) WHERE state = 'waiting'")
    # the moment from which the next request may be sent (GCRA), for all processes that ask the service
    op.execute("""
        CREATE TABLE etl_jobs.rate (
            service       text PRIMARY KEY,
            next_at       timestamptz NOT NULL DEFAULT '-infinity',
            paused_until  timestamptz NOT NULL DEFAULT '-infinity',
            pause_reason  text,
            requests      bigint NOT NULL DEFAULT 0,
            waited_s      double precision NOT NULL DEFAULT 0
        ) WITH (fillfactor = 50)
    """)
    op.execute("""
        CREATE TABLE etl_jobs.request (
            id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at       timestamptz NOT NULL DEFAULT clock_timestamp(),
            job      text NOT NULL,
            action   text NOT NULL,
            who      text NOT NULL,
            why      text,
            run_id   text,
            detail   jsonb NOT NULL DEFAULT '{}',
            items    bigint
        )
    """)
    op.execute("CREATE INDEX request_newest ON etl_jobs.request (job, at DESC)")
    op.execute("INSERT INTO etl.compatible VALUES ('0007')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0007'")
    op.execute("DROP SCHEMA etl_jobs CASCADE")
