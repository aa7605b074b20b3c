"""The tables in docs/reference/ledger.md. A test compares names and types with those of a real ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dev.docs.page import DOCS, Parts, cell, code, table


@dataclass(frozen=True)
class LedgerTable:
    """One table of schema etl.

    :param row: what a row stands for.
    :param key: its primary key.
    :param columns: type and meaning of each column, in the database's order.
    """

    row: str
    key: tuple[str, ...]
    columns: Mapping[str, tuple[str, str]]


TABLES: Mapping[str, LedgerTable] = {
    "run": LedgerTable(
        row="a run",
        key=("dag_id", "run_id"),
        columns={
            "run_id": ("text", "Airflow's id, unique per DAG only; `cli__...` for `sluiceway tables run`."),
            "dag_id": ("text", "The run's DAG; `cli` for `sluiceway tables run`."),
            "commit_sha": ("text", "The commit the run was asked for."),
            "deployed_sha": (
                "text",
                "The commit staging served when the gate decided; null where no environment is named.",
            ),
            "trigger_kind": ("text", "`deploy`, `cli`, or Airflow's run type, such as `manual`."),
            "started_at": ("timestamptz", "When its row was opened first."),
            "finished_at": ("timestamptz", "When it was judged; null while it runs."),
            "status": (
                "text",
                "running, success, failed, superseded (a newer commit's run waited, nothing was touched) or abandoned.",
            ),
            "note": ("text", "The verdict's sentence."),
            "enqueued_at": ("timestamptz", "From when on Airflow was to run it."),
            "outcome": (
                "text",
                "Why a run loads nothing and is good: `superseded`, or `idle` (another run has taken the events).",
            ),
            "outcome_note": ("text", "The sentence to that."),
            "published_at": ("timestamptz", "When its views were published last; null: nothing was."),
            "judged": ("jsonb", "The tasks' states that the verdict saw."),
            "judged_rows": ("text", "md5 of the run's rows in the other tables that the verdict saw."),
            "remark": ("text", "What was done to the run in Airflow after its verdict."),
            "opened_at": ("timestamptz", "When its first task began last."),
            "pending": ("jsonb", "The tasks that had still to begin then; null where nothing had begun before."),
        },
    ),
    "table_run": LedgerTable(
        row="a run, a table, and a try of its task; `plan` writes try 0",
        key=("dag_id", "run_id", "table_name", "try_number"),
        columns={
            "run_id": ("text", "The run."),
            "table_name": ("text", "The table."),
            "status": ("text", "planned, loaded, unchanged or failed."),
            "extracted": ("bigint", "Rows that the source gave."),
            "inserted": ("bigint", "Rows that were new."),
            "updated": ("bigint", "Rows that differed."),
            "unchanged": ("bigint", "Rows that stood there as they came."),
            "deleted": ("bigint", "Rows that `on_missing` took away or marked."),
            "rejected": ("bigint", "Rows that could not be loaded."),
            "repaired": ("bigint", "Geometries that were mended."),
            "table_rows": ("bigint", "Live rows in the warehouse afterwards."),
            "bytes": ("bigint", "Size of the source."),
            "seconds": ("double precision", "How long the load took."),
            "peak_rss_bytes": ("bigint", "The most memory that its process held."),
            "worker": ("text", "The name of the machine that made the try."),
            "fingerprint": ("text", "sha256 of the source's files."),
            "spec_hash": ("text", "sha256 of what in the table's file can change rows, and `LOAD_VERSION`."),
            "source_columns": ("jsonb", "The source's columns and the kind of their values."),
            "error_type": ("text", "The class of the error it failed with."),
            "error": ("text", "Why it failed."),
            "finished_at": ("timestamptz", "When it ended."),
            "watermark": ("text", "Where an incremental source ended."),
            "dag_id": ("text", "The run's DAG."),
            "try_number": ("integer", "The try, from 1."),
            "source_rows": (
                "bigint",
                "Rows that the source held: what a load of the whole gave, and what increments have added since.",
            ),
            "note": ("text", "What a person should know of a good load."),
            "published_at": ("timestamptz", "When its run published what it left in the table."),
        },
    ),
    "reject": LedgerTable(
        row="a source row that was not loaded; of a table that failed, the first 100",
        key=("id",),
        columns={
            "id": ("bigint", "A number."),
            "run_id": ("text", "The run."),
            "table_name": ("text", "The table."),
            "row_number": ("bigint", "Its place among the source's data rows, from 1."),
            "column_name": ("text", "The column that is the reason; null where it is the row."),
            "reason": ("text", "Why, all reasons in one sentence."),
            "row": ("jsonb", "The values as they came."),
            "dag_id": ("text", "The run's DAG."),
            "try_number": ("integer", "The try."),
            "key": ("jsonb", "The key as it was cast; null where it cannot be read."),
        },
    ),
    "table_tally": LedgerTable(
        row="a table, with what is counted of all tries at it that ended, also of forgotten runs, and the newest one",
        key=("table_name",),
        columns={
            "table_name": ("text", "The table."),
            "loads": ("bigint", "Good tries: loaded, or unchanged."),
            "failures": ("bigint", "Tries that failed."),
            "rejected": ("bigint", "Rows that were not loaded, of all tries."),
            "seconds": ("double precision", "How long the good tries took, all together."),
            "last_dag_id": ("text", "The DAG of the newest try that ended; null: all are forgotten."),
            "last_run_id": ("text", "That run."),
            "last_try": ("integer", "Its try."),
            "last_status": ("text", "How it ended: loaded, unchanged, failed."),
            "last_rejected": ("bigint", "Rows that it did not load."),
            "last_at": ("timestamptz", "When it ended."),
            "loaded_at": ("timestamptz", "When the table was loaded last, by whatever run."),
            "loaded_rows": ("bigint", "Live rows after that."),
            "trend": ("bigint[]", "Live rows after each of the newest 12 good tries, the oldest first."),
        },
    ),
    "face_token": LedgerTable(
        row="a token by which machines read [the faces of freshness](../how-to/freshness.md#tokens)",
        key=("token_id",),
        columns={
            "token_id": ("text", "Its name for people who revoke it; no part of the token."),
            "name": ("text", "Who has it."),
            "faces": ("text[]", "What it opens: status, badge, metrics."),
            "hash": ("bytea", "sha256 of the token, which stands nowhere."),
            "created_at": ("timestamptz", "When it was made."),
            "revoked_at": ("timestamptz", "Since when it opens nothing; null: it does."),
        },
    ),
    "table_part": LedgerTable(
        row="a part of a table that several workers load for a run, as its newest try left it",
        key=("dag_id", "run_id", "table_name", "part"),
        columns={
            "dag_id": ("text", "The run's DAG."),
            "run_id": ("text", "The run."),
            "table_name": ("text", "The table."),
            "part": ("integer", "Its number, from 1."),
            "parts": ("integer", "How many there are."),
            "piece": ("jsonb", "Which rows of the source it is: `first` and `rows`, or `column` and `value`."),
            "status": (
                "text",
                "planned, staged (its rows wait in schema `etl_staging`), failed, or merged: no longer needed.",
            ),
            "fingerprint": ("text", "Of the source when the parts were planned; another one fails the part."),
            "spec_hash": ("text", "Of the table's file and `LOAD_VERSION` then; the same."),
            "try_number": ("integer", "The try, as Airflow counts it."),
            "worker": ("text", "The name of the machine that makes the try, or made it."),
            "started_at": ("timestamptz", "When it began."),
            "finished_at": ("timestamptz", "When it ended; null while it runs, and for ever if it was killed."),
            "extracted": ("bigint", "Rows read."),
            "staged": ("bigint", "Rows that wait; a row of another part's key may take the place of one yet."),
            "rejected": ("bigint", "Rows that cannot be loaded."),
            "without_key": ("bigint", "Of those, how many have a key that cannot be read."),
            "repaired": ("bigint", "Geometries mended."),
            "seconds": ("double precision", "How long it took."),
            "peak_rss_bytes": ("bigint", "Most memory of its process."),
            "found": ("jsonb", "What only all parts together can judge, such as a column without a value of its type."),
            "error_type": ("text", "The class of the error."),
            "error": ("text", "Its sentence, which is the table's as well."),
        },
    ),
    "task_run": LedgerTable(
        row="a try of a task; one without finished_at that Airflow calls ended was killed",
        key=("dag_id", "run_id", "task_id", "map_index", "try_number"),
        columns={
            "dag_id": ("text", "The run's DAG."),
            "run_id": ("text", "The run."),
            "task_id": ("text", "The task, with the names of its groups."),
            "map_index": ("integer", "Which of a mapped task; -1 for others."),
            "try_number": ("integer", "The try, from 1."),
            "table_name": ("text", "The table, of a load."),
            "started_at": ("timestamptz", "When it began."),
            "finished_at": ("timestamptz", "When it ended; null while it runs, and for ever if it was killed."),
            "error_type": ("text", "The class of the error it ended with."),
            "error": ("text", "That error's sentence."),
            "log_url": ("text", "Where its log is shown."),
        },
    ),
    "publication": LedgerTable(
        row="a run, and a view that its tables feed",
        key=("dag_id", "run_id", "view_name"),
        columns={
            "dag_id": ("text", "The run's DAG."),
            "run_id": ("text", "The run."),
            "view_name": ("text", "The view."),
            "at": ("timestamptz", "When it was refreshed, or left as it was."),
            "withheld": ("text", "Why it was left as it was; null: it was refreshed."),
            "tables": ("text[]", "The run's tables that feed it, also through other views."),
        },
    ),
    "deployment": LedgerTable(
        row="a stretch of time in which an environment served a commit",
        key=("id",),
        columns={
            "id": ("bigint", "A number; the newest of an environment is what it serves."),
            "environment": ("text", "The environment, a file's name."),
            "commit_sha": ("text", "What it served."),
            "other_seen_at": ("timestamptz", "When the last look began that saw another commit; null: none did."),
            "first_seen_at": ("timestamptz", "When the first look ended that saw this one."),
            "last_seen_at": ("timestamptz", "When the last look began that saw this one."),
            "run_id": ("text", "The run that the watch asked for."),
            "settled_at": ("timestamptz", "When the watch knew that nothing more is needed."),
        },
    ),
    "commit_status": LedgerTable(
        row="an environment and a commit of which GitHub is told, or was",
        key=("environment", "commit_sha"),
        columns={
            "environment": ("text", "The environment, a file's name."),
            "commit_sha": ("text", "The commit."),
            "run_id": ("text", "The newest of its runs."),
            "state": ("text", "That run's status."),
            "description": ("text", "The sentence that is to be told."),
            "since": ("timestamptz", "When it became so."),
            "told_at": ("timestamptz", "When GitHub was told; null: not yet."),
            "tries": ("integer", "How often that was tried."),
            "next_try_at": ("timestamptz", "It is not tried again before that."),
            "claimed_until": ("timestamptz", "Until then somebody is telling it."),
            "problem": ("text", "Why it was not told; null: it was, or nobody has tried."),
        },
    ),
    "compatible": LedgerTable(
        row="a revision of older code that may go on with this ledger",
        key=("revision",),
        columns={
            "revision": ("text", "The revision that such code asks for."),
        },
    ),
    "lock": LedgerTable(
        row="a lock, held by who holds its row: nobody who may only read can",
        key=("name",),
        columns={
            "name": ("text", "What is done under it: `publish`, `deployment/<environment>`, a webhook's trigger."),
        },
    ),
    "watched_dag": LedgerTable(
        row="a DAG whose runs `run_watch` has looked through for some that ended before any task of theirs began",
        key=("dag_id",),
        columns={
            "dag_id": ("text", "The DAG."),
            "ended_runs": ("integer", "How many ended runs of it Airflow had then; it looks again when that changes."),
            "passed_over": ("jsonb", "Runs that Airflow has, and that ended too long ago to get a row."),
        },
    ),
    "incident": LedgerTable(
        row="what is wrong by one cause, or was; of a cause one is open at most ([alerts](../how-to/alerts.md))",
        key=("id",),
        columns={
            "id": ("bigint", "Its number, by which it is acknowledged and snoozed."),
            "cause_key": ("text", "A digest of the cause."),
            "kinds": ("text[]", "What the cause brought about: red, stale, waiting, blind, dead_letters."),
            "cause": ("text", "The error, or why nothing came."),
            "sentence": ("text", "What was wrong when it was opened."),
            "subjects": (
                "text[]",
                "What it is about, or was: `table:`, `dag:`, `environment:`, `watch:`, `job:` and a name.",
            ),
            "environment": ("text", "The environment that is watched; null where none is named."),
            "dag_id": ("text", "The DAG of the newest run of that cause; null where no run has it."),
            "run_id": ("text", "That run."),
            "opened_at": ("timestamptz", "When it was seen first."),
            "seen_at": ("timestamptz", "When it was seen last."),
            "tell_from": ("timestamptz", "Before that nobody is told."),
            "recovered_at": ("timestamptz", "When a look saw it no more; null while it is open."),
            "acknowledged_at": ("timestamptz", "When somebody took care of it."),
            "acknowledged_by": ("text", "Who."),
            "acknowledged_note": ("text", "What they said to it; below, with who and when, what others said later."),
            "snoozed_until": ("timestamptz", "Until then nobody is told."),
        },
    ),
    "notice": LedgerTable(
        row="what one alert tells of an incident, by one channel: its beginning, or its end",
        key=("incident", "alert", "channel", "what"),
        columns={
            "incident": ("bigint", "The incident."),
            "alert": ("text", "The alert's name in alerts.toml."),
            "channel": ("text", "The connection, with `/2` for its second address, or the notifier's class."),
            "what": ("text", "opened or recovered."),
            "told_at": ("timestamptz", "When it was told first; null: not yet."),
            "last_told_at": ("timestamptz", "When it was told last."),
            "claim": ("uuid", "Who is sending it."),
            "claimed_until": ("timestamptz", "When others may: whoever claimed it is dead then."),
            "attempts": ("integer", "How often it was sent, or tried to be, since it arrived last."),
            "next_at": ("timestamptz", "When it may be tried again."),
            "error": ("text", "Why it has not arrived; it holds no address."),
        },
    ),
    "alert_look": LedgerTable(
        row="the last look for what is wrong, the only one",
        key=("sole",),
        columns={
            "sole": ("boolean", "Always true."),
            "looked_at": ("timestamptz", "What a look saw that is older settles nothing."),
        },
    ),
    "trigger_state": LedgerTable(
        row="a trigger that looks outside",
        key=("flow_id", "trigger_id"),
        columns={
            "flow_id": ("text", "The flow."),
            "trigger_id": ("text", "The trigger."),
            "config_hash": ("text", "Of which configuration the cursor is: a changed trigger begins anew."),
            "cursor": ("json", "Up to where events are known."),
            "looked_at": ("timestamptz", "The last look that saw the place, to the minute."),
            "fired_at": ("timestamptz", "When something new was found."),
            "error": ("text", "Why the place could not be seen the last time that it could not."),
            "error_at": ("timestamptz", "When that was."),
            "looks": (
                "bigint",
                "How many looks were written down: one that began from an older state writes nothing, and looks again.",
            ),
        },
    ),
    "trigger_event": LedgerTable(
        row="an event that a trigger has seen",
        key=("id",),
        columns={
            "id": ("bigint", "A number, in the order in which they were seen."),
            "flow_id": ("text", "The flow."),
            "trigger_id": ("text", "The trigger."),
            "event_key": ("text", "The same event seen twice has the same."),
            "facts": ("json", "What is known of it."),
            "seen_at": ("timestamptz", "When it was seen."),
            "run_id": ("text", "The run that took it; null until then."),
            "claimed_at": ("timestamptz", "When that run took it."),
        },
    ),
    "loaded_batches": LedgerTable(
        row="a table, and which batches of its source the last load has loaded whole",
        key=("table_name",),
        columns={
            "table_name": ("text", "The table."),
            "way": ("text", "Spec, `LOAD_VERSION` and libraries; with others every row is sent and compared."),
            "shape": ("text", "The warehouse table's columns; with others as well."),
            "transaction": ("bigint", "The transaction of that load."),
            "versions": (
                "bigint[]",
                "The transactions (`xmin`) that had written the table's rows when that load ended.",
            ),
            "batches": ("bytea", "16 bytes of a digest and a count of repaired geometries per batch."),
        },
    ),
    "loaded_file": LedgerTable(
        row="a file of a source that is a pattern, whose rows a table holds",
        key=("table_name", "name"),
        columns={
            "table_name": ("text", "The table."),
            "name": ("text", "The file, as a column `$file` says it."),
            "fingerprint": ("text", "Its sha256, or what its store says of its content, when it was read last."),
            "rows": ("bigint", "How many rows it gave then, rejects among them."),
        },
    ),
}
TYPES = {"timestamptz": "timestamp with time zone"}
"""Short names of types, and those that PostgreSQL gives them."""


def _tables() -> str:
    return "\n".join(_section(name, each) for name, each in TABLES.items())


def _section(name: str, each: LedgerTable) -> str:
    rows = [(code(column), kind, cell(meaning)) for column, (kind, meaning) in each.columns.items()]
    keys = ", ".join(code(column) for column in each.key)
    return f"### etl.{name}\n\nA row per {each.row.removeprefix('a ').removeprefix('an ')}. Key: {keys}.\n\n" + table(
        ("column", "type", "meaning"), *rows
    )


LEDGER = Parts(path=DOCS / "reference" / "ledger.md", parts={"tables": _tables})
