"""The items of a job and who works on them. Every function is one statement in the caller's short transaction.

A claim is a uuid and a lease on the rows it holds. Whatever acknowledges or rescues names the uuid, so a lane whose
lease is over changes nothing: somebody else has the item, and may be done with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from sluiceway.ledger.tasks import LONGEST_ERROR
from sluiceway.ledger.warehouse import Session

State = Literal["due", "claimed", "done", "dead", "waiting"]
Ended = Literal["due", "done", "dead", "waiting"]


class Item(NamedTuple):
    """One thing to do."""

    item: str
    """Its key within the job."""
    input: Mapping[str, Any]
    """What else the job's query says of it."""
    attempts: int
    lapses: int


class Claim(NamedTuple):
    """Items that one lane works on, until its lease ends."""

    id: UUID
    items: Sequence[Item]


class Outcome(NamedTuple):
    """How an item leaves a claim."""

    item: str
    state: Ended
    due_in: timedelta = timedelta(0)
    """For `due`: when it is tried again. For `done`: when it is asked anew."""
    code: str | None = None
    error: str | None = None
    counts: bool = False
    """Whether this was an attempt of the item's own, and not its service's fault."""
    source_version: str | None = None
    """Of the source's data that the answer came from; None leaves what stood there."""


def enqueue(session: Session, job: str, due: sql.Composable, *, again: bool = False) -> int:
    """Make rows of what is due; returns how many were new, changed, or due once more.

    :param due: a SELECT of `item` (text), `input` (jsonb) and `input_hash` (text), without two rows of one item.
    :param again: also what is done and not to be asked again yet.
    """
    rows = session.execute(
        sql.SQL("""
            INSERT INTO etl_jobs.item AS i (job, item, input, input_hash)
            SELECT {job}, d.item, d.input, d.input_hash FROM ({due}) AS d
            ON CONFLICT (job, item) DO UPDATE SET
                input = EXCLUDED.input, input_hash = EXCLUDED.input_hash, state = 'due', attempts = 0, lapses = 0,
                due_at = clock_timestamp(), updated_at = clock_timestamp()
            WHERE i.state IN ('done', 'dead', 'waiting') AND i.input_hash IS DISTINCT FROM EXCLUDED.input_hash
                OR i.state = 'done' AND ({again} OR i.due_at <= clock_timestamp())
            RETURNING 1
        """).format(job=sql.Literal(job), due=due, again=sql.Literal(again))
    )
    return len(rows)


def ask_again(session: Session, job: str, names: Sequence[str]) -> int:
    """Make these items due, whatever became of them before, with their input of pg_temp.due, else of before.

    Nobody takes one from a lane that has it.
    """
    rows = session.execute(
        sql.SQL("""
            INSERT INTO etl_jobs.item AS i (job, item, input, input_hash)
            SELECT {job}, asked.item, coalesce(d.input, '{{}}'), d.input_hash
            FROM (SELECT DISTINCT unnest({names}::text[]) AS item) AS asked LEFT JOIN pg_temp.due AS d USING (item)
            ON CONFLICT (job, item) DO UPDATE SET
                input = CASE WHEN EXCLUDED.input_hash IS NULL THEN i.input ELSE EXCLUDED.input END,
                input_hash = coalesce(EXCLUDED.input_hash, i.input_hash), state = 'due', attempts = 0, lapses = 0,
                due_at = clock_timestamp(), updated_at = clock_timestamp()
            WHERE i.state <> 'claimed'
            RETURNING 1
        """).format(job=sql.Literal(job), names=sql.Literal(list(names)))
    )
    return len(rows)


def would_be_due(session: Session, job: str, *, only: Sequence[str] | None, again: bool) -> list[str]:
    """What is due of the job, and what pg_temp.due would make due; nothing is changed.

    :param only: of these items, whatever became of them.
    """
    if only is not None:
        return sorted(set(only))
    rows = session.execute(
        sql.SQL("""
            SELECT d.item FROM pg_temp.due AS d LEFT JOIN etl_jobs.item AS i ON i.job = {job} AND i.item = d.item
            WHERE i.item IS NULL
                OR i.state IN ('done', 'dead', 'waiting') AND i.input_hash IS DISTINCT FROM d.input_hash
                OR i.state = 'done' AND ({again} OR i.due_at <= clock_timestamp())
            UNION SELECT item FROM etl_jobs.item
            WHERE job = {job} AND state = 'due' AND due_at <= clock_timestamp()
            ORDER BY 1
        """).format(job=sql.Literal(job), again=sql.Literal(again))
    )
    return [item for (item,) in rows]


def claim(session: Session, job: str, *, limit: int, lease: timedelta, only: Sequence[str] | None = None) -> Claim:
    """Take up to `limit` items that are due, the oldest first; one whose process died before is taken alone.

    Materialised, for a bare sub-select may take more rows than its limit.

    :param only: of these items.
    """
    among = sql.SQL("TRUE") if only is None else sql.SQL("item = ANY({})").format(sql.Literal(list(only)))
    for suspects in (False, True):
        taken = uuid4()
        rows = session.execute(
            sql.SQL("""
                WITH picked AS MATERIALIZED (
                    SELECT job, item FROM etl_jobs.item
                    WHERE job = {job} AND state = 'due' AND due_at <= clock_timestamp() AND {which} AND {among}
                    ORDER BY due_at, item LIMIT {limit} FOR UPDATE SKIP LOCKED
                )
                UPDATE etl_jobs.item AS i
                SET state = 'claimed', claim = {claim}, lease_until = clock_timestamp() + {lease},
                    updated_at = clock_timestamp()
                FROM picked WHERE (i.job, i.item) = (picked.job, picked.item)
                RETURNING i.item, i.input, i.attempts, i.lapses
            """).format(
                job=sql.Literal(job),
                which=sql.SQL("lapses > 0" if suspects else "lapses = 0"),
                among=among,
                limit=sql.Literal(1 if suspects else limit),
                claim=sql.Literal(taken),
                lease=sql.Literal(lease),
            )
        )
        if rows:
            return Claim(taken, [Item(*row) for row in rows])
    return Claim(uuid4(), [])


def extend(session: Session, claimed: Claim, *, lease: timedelta) -> int:
    """Prolong a claim's lease; returns how many items it still holds."""
    rows = session.execute(
        sql.SQL(
            "UPDATE etl_jobs.item SET lease_until = clock_timestamp() + {} "
            "WHERE state = 'claimed' AND claim = {} RETURNING 1"
        ).format(sql.Literal(lease), sql.Literal(claimed.id))
    )
    return len(rows)


def acknowledge(session: Session, job: str, claimed: Claim, outcomes: Sequence[Outcome]) -> set[str]:
    """Write down how items ended.

    :returns: those that the claim still held. Of the others nothing was written, and nothing of them may be.
    """
    told = [
        {
            "item": each.item,
            "state": each.state,
            "due_s": each.due_in.total_seconds(),
            "code": each.code,
            "error": None if each.error is None else _writable(each.error),
            "counts": each.counts,
            "version": each.source_version,
        }
        for each in outcomes
    ]
    rows = session.execute(
        sql.SQL("""
            UPDATE etl_jobs.item AS i SET
                state = t.state, due_at = clock_timestamp() + t.due_s * interval '1 s',
                attempts = CASE WHEN t.state = 'done' THEN 0 ELSE i.attempts + t.counts::int END,
                lapses = CASE WHEN t.state = 'done' THEN 0 ELSE i.lapses END,
                claim = NULL, lease_until = NULL, last_code = t.code, last_error = t.error,
                source_version = coalesce(t.version, i.source_version), updated_at = clock_timestamp()
            FROM jsonb_to_recordset({told}) AS t
                (item text, state text, due_s float8, code text, error text, counts boolean, version text)
            WHERE i.job = {job} AND i.item = t.item AND i.state = 'claimed' AND i.claim = {claim}
            RETURNING i.item
        """).format(
            told=sql.Literal(Jsonb(told)),
            job=sql.Literal(job),
            claim=sql.Literal(claimed.id),
        )
    )
    return {item for (item,) in rows}


def _writable(text: str) -> str:
    """It without what no text in PostgreSQL may hold: NUL, and half of a character."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()[:LONGEST_ERROR]


def rescue(session: Session, job: str, *, max_lapses: int) -> Counter[str]:
    """Take back what a process held that is gone; an item that outlived it too often is dead. How many by state.

    Each row is changed only while it has the claim that had lapsed when it was looked at.
    """
    rows = session.execute(
        sql.SQL("""
            WITH lapsed AS MATERIALIZED (
                SELECT job, item, claim FROM etl_jobs.item
                WHERE job = {job} AND state = 'claimed' AND lease_until < clock_timestamp()
                ORDER BY lease_until LIMIT 10000 FOR UPDATE SKIP LOCKED
            )
            UPDATE etl_jobs.item AS i SET
                state = CASE WHEN i.lapses + 1 >= {most} THEN 'dead' ELSE 'due' END,
                lapses = i.lapses + 1, claim = NULL, lease_until = NULL, due_at = clock_timestamp(),
                last_code = 'lapse',
                last_error = format('its process ended without a word, %s of {most} times', i.lapses + 1),
                updated_at = clock_timestamp()
            FROM lapsed AS l WHERE (i.job, i.item, i.claim) = (l.job, l.item, l.claim)
            RETURNING i.state
        """).format(job=sql.Literal(job), most=sql.Literal(max_lapses))
    )
    return Counter(state for (state,) in rows)


def done_last(session: Session, job: str) -> Item | None:
    """The item that the job's function has done last."""
    rows = session.execute(
        sql.SQL(
            "SELECT item, input, attempts, lapses FROM etl_jobs.item WHERE job = {} AND state = 'done' "
            "AND last_code IS DISTINCT FROM 'discarded' AND last_code IS DISTINCT FROM 'decided' "
            "ORDER BY updated_at DESC LIMIT 1"
        ).format(sql.Literal(job))
    )
    return Item(*rows[0]) if rows else None


def count_due(session: Session, job: str) -> int:
    """How many items may be claimed now."""
    rows = session.execute(
        sql.SQL(
            "SELECT count(*) FROM etl_jobs.item WHERE job = {} AND state = 'due' AND due_at <= clock_timestamp()"
        ).format(sql.Literal(job))
    )
    return int(rows[0][0])


def leased_for(session: Session, job: str) -> float | None:
    """Seconds until the first lease ends of those that others hold; None: nobody holds any."""
    rows = session.execute(
        sql.SQL(
            "SELECT extract(epoch FROM min(lease_until) - clock_timestamp())::float8 FROM etl_jobs.item "
            "WHERE job = {} AND state = 'claimed'"
        ).format(sql.Literal(job))
    )
    return None if rows[0][0] is None else max(0.0, float(rows[0][0]))


def counts(session: Session, job: str) -> dict[State, int]:
    """How many items there are of each state."""
    rows = session.execute(
        sql.SQL("SELECT state, count(*) FROM etl_jobs.item WHERE job = {} GROUP BY state").format(sql.Literal(job))
    )
    return dict(rows)


def counted(outcomes: Sequence[Outcome], held: Collection[str]) -> tuple[Counter[str], Counter[str]]:
    """By what the items have become, and by why they are not done."""
    counts: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for each in outcomes:
        if each.item not in held:
            counts["lost"] += 1
            continue
        counts["back" if each.state == "due" and not each.counts else each.state] += 1
        if each.code:
            causes[each.code] += 1
    return counts, causes
