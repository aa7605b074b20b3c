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
    op.execute("CREATE INDEX item_leased ON etl_jobs.item (job, lease_until) WHERE state = 'claimed'")
    # by which a lane finds what it holds; without it all items of a job are read for each group that it acknowledges
    op.execute("CREATE INDEX item_claimed ON etl_jobs.item (claim) WHERE state = 'claimed'")
    op.execute("CREATE INDEX item_dead ON etl_jobs.item (job, updated_at) WHERE state = 'dead'")
    op.execute("CREATE INDEX item_done ON etl_jobs.item (job, updated_at) WHERE state = 'done'")
    op.execute("CREATE INDEX item_waiting ON etl_jobs.item (job, updated_at) WHERE state = 'waiting'")
    # the moment from which the next request may be sent (GCRA), for all processes that ask the service
    op.execute("""
        CREATE TABLE etl_jobs.rate (
            service       text PRIMARY KEY,
            address       text,
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
            job      text,
            service  text,
            action   text NOT NULL,
            who      text NOT NULL,
            why      text,
            dag_id   text,
            run_id   text,
            detail   jsonb NOT NULL DEFAULT '{}',
            items    bigint NOT NULL DEFAULT 0,
            CHECK (job IS NOT NULL OR service IS NOT NULL)
        )
    """)
    op.execute("CREATE INDEX request_newest ON etl_jobs.request (job, at DESC)")
    op.execute("CREATE INDEX request_of_run ON etl_jobs.request (dag_id, run_id)")
    # what an item was before a person decided: replayed, it fails or succeeds anew, and its history stays
    op.execute("""
        CREATE TABLE etl_jobs.decision (
            request     bigint NOT NULL REFERENCES etl_jobs.request ON DELETE CASCADE,
            job         text NOT NULL,
            item        text NOT NULL,
            state       text NOT NULL,
            attempts    integer NOT NULL,
            lapses      integer NOT NULL,
            last_code   text,
            last_error  text,
            updated_at  timestamptz NOT NULL,
            PRIMARY KEY (request, job, item)
        )
    """)
    op.execute("CREATE INDEX decision_of_item ON etl_jobs.decision (job, item)")
    # what a lane has done, counted in the transactions in which it was done: it is true of one that was killed, too
    op.execute("""
        CREATE TABLE etl_jobs.lane (
            dag_id       text NOT NULL,
            run_id       text NOT NULL,
            lane         integer NOT NULL,
            try_number   integer NOT NULL DEFAULT 1,
            job          text NOT NULL,
            started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at  timestamptz,
            asked        bigint NOT NULL DEFAULT 0,
            done         bigint NOT NULL DEFAULT 0,
            waiting      bigint NOT NULL DEFAULT 0,
            dead         bigint NOT NULL DEFAULT 0,
            due          bigint NOT NULL DEFAULT 0,
            back         bigint NOT NULL DEFAULT 0,
            lost         bigint NOT NULL DEFAULT 0,
            rescued      bigint NOT NULL DEFAULT 0,
            waited_s     double precision NOT NULL DEFAULT 0,
            causes       jsonb NOT NULL DEFAULT '{}',
            paused       text,
            left_due     bigint,
            PRIMARY KEY (dag_id, run_id, lane, try_number)
        ) WITH (fillfactor = 70)
    """)
    op.execute("CREATE INDEX lane_newest ON etl_jobs.lane (job, started_at DESC)")
    op.execute("INSERT INTO etl.compatible VALUES ('0007')")


def downgrade() -> None:
    op.execute("DELETE FROM etl.compatible WHERE revision = '0007'")
    op.execute("DROP SCHEMA etl_jobs CASCADE")
