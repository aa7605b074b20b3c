"""Incidents in the ledger: one per cause, opened and closed by what is seen.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from psycopg import sql

from sluiceway.alerts.model import Incident, Observed, Problem
from sluiceway.alerts.spec import Kind
from sluiceway.errors import ConfigError
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import Session
from sluiceway.spans import LONGEST

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Incident.model_fields))
HELD = timedelta(minutes=1)
"""So long what is held is not told, unless it is held again."""
LONGEST_NOTE, LONGEST_NOTES = 500, 5_000
"""Characters of what one person says to an incident, and of what all say together."""
Noted = Literal["all", "note", "name", "nothing"]
"""What is new of an acknowledgement: nobody had done so before; a note; who else does so; or nothing."""
_ORDER: tuple[Kind, ...] = ("red", "stale", "waiting", "blind", "dead_letters")
"""Whose words an incident of several kinds has."""


def settle(session: Session, observed: Observed) -> bool:
    """Open, keep and close incidents by what was seen; False, and nothing done, where a later look has settled them."""
    newer = session.execute(
        sql.SQL(
            "INSERT INTO etl.alert_look AS l (looked_at) VALUES ({}) ON CONFLICT (sole) DO UPDATE "
            "SET looked_at = excluded.looked_at WHERE l.looked_at < excluded.looked_at RETURNING l.looked_at"
        ).format(sql.Literal(observed.at))
    )
    if not newer:
        return False
    by_key: dict[str, list[Problem]] = defaultdict(list)
    for problem in sorted(observed.problems, key=lambda each: _ORDER.index(each.kind)):
        by_key[problem.key].append(problem)
    for problems in by_key.values():
        write(session, problems, environment=observed.environment)
    _close_others(session, observed)
    return True


def write(session: Session, problems: Sequence[Problem], *, environment: str | None) -> int:
    """Open the incident of a cause, or note that it goes on; its number.

    :param problems: all that the cause has brought about; the first's words are told.
    """
    first = problems[0]
    wait = min(each.patience for each in problems)
    held = all(each.is_held for each in problems)
    rows = session.execute(
        sql.SQL("""
            INSERT INTO etl.incident AS i
                (cause_key, kinds, cause, sentence, subjects, environment, dag_id, run_id, tell_from)
            VALUES ({key}, {kinds}, {cause}, {sentence}, {subjects}, {environment}, {dag_id}, {run_id},
                clock_timestamp() + {wait})
            ON CONFLICT (cause_key) WHERE recovered_at IS NULL DO UPDATE SET
                kinds = ARRAY(SELECT DISTINCT unnest(i.kinds || excluded.kinds) ORDER BY 1),
                subjects = ARRAY(SELECT DISTINCT unnest(i.subjects || excluded.subjects) ORDER BY 1),
                dag_id = coalesce(excluded.dag_id, i.dag_id), run_id = coalesce(excluded.run_id, i.run_id),
                seen_at = clock_timestamp(),
                tell_from = CASE WHEN {held} THEN excluded.tell_from ELSE i.tell_from END
            RETURNING id
        """).format(
            key=sql.Literal(first.key),
            kinds=_texts(sorted({each.kind for each in problems})),
            cause=sql.Literal(_stored(first.cause)),
            sentence=sql.Literal(_stored(first.sentence)),
            subjects=_texts(sorted({name for each in problems for name in each.subjects})),
            environment=sql.Literal(environment),
            dag_id=sql.Literal(first.run.dag_id if first.run else None),
            run_id=sql.Literal(first.run.run_id if first.run else None),
            wait=interval(max(wait, HELD) if held else wait),
            held=sql.Literal(held),
        )
    )
    return int(rows[0][0])


def _close_others(session: Session, observed: Observed) -> None:
    """What was not seen has recovered, unless nobody can say so."""
    over: sql.Composable = sql.SQL("true")
    if observed.running:
        runs = sql.SQL(", ").join(sql.SQL("({}, {})").format(*map(sql.Literal, run)) for run in observed.running)
        # a run that did not begin has recovered when it goes on
        over = sql.SQL("(run_id IS NULL OR 'waiting' = ANY (kinds) OR (dag_id, run_id) NOT IN ({}))").format(runs)
    session.execute(
        sql.SQL(
            "UPDATE etl.incident SET recovered_at = clock_timestamp() WHERE recovered_at IS NULL "
            "AND cause_key <> ALL ({}) AND NOT subjects && {} AND {}"
        ).format(_texts({each.key for each in observed.problems}), _texts(observed.unclear), over)
    )


def of_interest(session: Session) -> list[Incident]:
    """Those that are open, and those that have recovered and of which somebody may still be told."""
    return _where(
        session,
        sql.SQL(
            "recovered_at IS NULL OR EXISTS (SELECT 1 FROM etl.notice n WHERE n.incident = i.id AND n.what = 'opened' "
            "AND NOT EXISTS (SELECT 1 FROM etl.notice r WHERE (r.incident, r.alert, r.channel) = "
            "(n.incident, n.alert, n.channel) AND r.what = 'recovered' AND r.told_at IS NOT NULL)) ORDER BY id"
        ),
    )


def newest(session: Session, *, limit: int) -> list[Incident]:
    """Those that are open, and then those that have recovered last."""
    return _where(
        session,
        sql.SQL("true ORDER BY recovered_at DESC NULLS FIRST, opened_at DESC LIMIT {}").format(sql.Literal(limit)),
    )


def of_kind(session: Session, kind: Kind) -> list[Incident]:
    """The open ones of a kind."""
    return _where(session, sql.SQL("recovered_at IS NULL AND {} = ANY (kinds)").format(sql.Literal(kind)))


def looked_at(session: Session) -> datetime | None:
    """When the last look was; None: never."""
    rows = session.execute(sql.SQL("SELECT looked_at FROM etl.alert_look"))
    return rows[0][0] if rows else None


def acknowledge(session: Session, number: int, *, who: str, note: str | None) -> tuple[Incident, Noted]:
    """Note that a person takes care of it: nobody is told of it again until it has recovered.

    Who did so first stays; whoever does so after that is a line below the first one's note, with the moment.

    :returns: the incident, and what of it is new.
    :raises ConfigError: no such incident is open, or the note cannot be kept.
    """
    said, at = _note(note), session.execute(sql.SQL("SELECT clock_timestamp()"))[0][0]
    before = _open_one(session, number)
    values: dict[str, object] = {"acknowledged_at": at, "acknowledged_by": who, "acknowledged_note": said}
    noted: Noted = "all"
    if before.acknowledged_at is not None:
        name = " ".join(who.split())
        if said is None and _has_said(before, name):
            return before, "nothing"
        noted = "note" if said else "name"
        line = f"{name}, {at:%Y-%m-%d %H:%M} UTC{f': {said}' if said else ''}"
        notes = "\n".join(filter(None, [before.acknowledged_note, line]))
        if len(notes) > LONGEST_NOTES:
            raise ConfigError(
                f"The notes of incident {number} are full: they have at most {LONGEST_NOTES:,} characters. It stays "
                f"acknowledged by {before.acknowledged_by}."
            )
        values = {"acknowledged_note": notes}
    change = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), store.literal(value)) for name, value in values.items()
    )
    return _change(session, number, change), noted


def _has_said(incident: Incident, name: str) -> bool:
    """Whether the person has acknowledged it before."""
    line = rf"^{re.escape(name)}, \d{{4}}-\d\d-\d\d \d\d:\d\d UTC(:|$)"
    return name == incident.acknowledged_by or bool(
        re.search(line, incident.acknowledged_note or "", re.MULTILINE | re.ASCII)
    )


def _note(note: str | None) -> str | None:
    """The note in one line; None: it says nothing."""
    said = " ".join((note or "").split())
    if len(said) > LONGEST_NOTE:
        raise ConfigError(
            f"A note has at most {LONGEST_NOTE} characters, and this one has {len(said):,}: write what matters, and "
            f"where there is more to read."
        )
    if not said.isprintable():
        raise ConfigError("A note has letters, digits and signs that can be shown, and no control characters.")
    return said or None


def snooze(session: Session, number: int, *, lasting: timedelta) -> Incident:
    """Have nobody told of it for so long; if it lasts, it is told again then.

    :raises ConfigError: no such incident is open, or that is no time to wait.
    """
    if not timedelta(0) < lasting <= LONGEST:
        raise ConfigError(f"An incident can be snoozed for more than nothing and at most {LONGEST.days} days.")
    return _change(session, number, sql.SQL("snoozed_until = clock_timestamp() + {}").format(interval(lasting)))


def forget(session: Session, *, older_than_days: int) -> int:
    """Delete those that recovered so long ago, with what was told of them; returns how many."""
    rows = session.execute(
        sql.SQL(
            "DELETE FROM etl.incident WHERE recovered_at < clock_timestamp() - {} * interval '1 day' RETURNING id"
        ).format(sql.Literal(older_than_days))
    )
    return len(rows)


def _change(session: Session, number: int, change: sql.Composable) -> Incident:
    _open_one(session, number)
    where = sql.SQL("id = {}").format(sql.Literal(number))
    session.execute(sql.SQL("UPDATE etl.incident SET {} WHERE {}").format(change, where))
    return _where(session, where)[0]


def _open_one(session: Session, number: int) -> Incident:
    """The incident of that number, held until the transaction ends.

    :raises ConfigError: no such incident is open.
    """
    found = _where(session, sql.SQL("id = {} FOR UPDATE").format(sql.Literal(number)))
    if not found:
        open_now = ", ".join(str(each.id) for each in _where(session, sql.SQL("recovered_at IS NULL ORDER BY id")))
        raise ConfigError(f"There is no incident {number}; open are: {open_now or 'none'}.")
    if found[0].recovered_at is not None:
        raise ConfigError(f"Incident {number} has recovered at {found[0].recovered_at:%Y-%m-%d %H:%M} UTC.")
    return found[0]


def _where(session: Session, where: sql.Composable) -> list[Incident]:
    rows = session.execute(sql.SQL("SELECT {} FROM etl.incident i WHERE {}").format(_COLUMNS, where))
    return [Incident.model_validate(dict(zip(Incident.model_fields, row, strict=True))) for row in rows]


def _texts(values: Iterable[str]) -> sql.Composable:
    return sql.SQL("{}::text[]").format(sql.Literal(list(values)))


def interval(length: timedelta) -> sql.Composable:
    return sql.SQL("{} * interval '1 second'").format(sql.Literal(length.total_seconds()))


def _stored(text: str) -> str:
    """PostgreSQL's text holds no zero byte."""
    return text.replace("\0", "\\0")
