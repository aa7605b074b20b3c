"""What is said: one message of what is wrong, one of what has recovered. Pure; plain text, one screen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from sluiceway.alerts.model import DAG, TABLE, Incident, Message, Notice
from sluiceway.ids import run_page
from sluiceway.spans import lasting

SHOWN = 5
"""Incidents of which a message says all; of the others it says the first line."""
LISTED = 20
NAMES = 3
LONGEST = 600
"""Characters of a sentence; the run's page has all of it."""
LONGEST_SUBJECT = 120
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def of_problems(notices: Sequence[Notice], at: datetime, airflow_url: str | None) -> Message:
    """What is wrong.

    :param notices: what is told for the first time, and what is told again because it lasts.
    """
    first = notices[0].incident
    is_new = any(each.told_at is None for each in notices)
    more = f", and {len(notices) - 1} more" if len(notices) > 1 else ""
    subject = f"{_place(first)}{'' if is_new else 'still: '}{title(first)}{more}"
    return Message(subject=_cut(subject, LONGEST_SUBJECT), body=_body(notices, at, airflow_url), is_good=False)


def of_recovered(notices: Sequence[Notice], at: datetime, airflow_url: str | None) -> Message:
    """What is well again."""
    first = notices[0].incident
    more = f", and {len(notices) - 1} more" if len(notices) > 1 else ""
    subject = f"{_place(first)}recovered: {title(first)}{more}"
    return Message(subject=_cut(subject, LONGEST_SUBJECT), body=_body(notices, at, airflow_url), is_good=True)


def test_message(alert: str, environment: str | None) -> Message:
    """What `sluiceway alerts test` sends."""
    place = f"[{environment}] " if environment else ""
    return Message(
        subject=f"{place}test of the alert {alert}",
        body="This is a test of Sluiceway. Nothing is wrong: whoever reads it is told when something is.",
        is_good=True,
    )


def title(incident: Incident) -> str:
    """What is wrong in a few words: `master_etl is red (city, plane and 18 more)`."""
    tables, dags = incident.named(TABLE), incident.named(DAG)
    others = [each.partition(":")[2] for each in incident.subjects if not each.startswith((TABLE, DAG))]
    if "red" in incident.kinds:
        about = f" ({names(tables)})" if tables else ""
        return f"{names(dags)} {_is(dags)} red{about}"
    if "stale" in incident.kinds:
        stale = tables or others
        return f"{names(stale)} {_is(stale)} stale"
    if "waiting" in incident.kinds:
        return f"{names(dags)} {_do(dags)} not begin"
    if "blind" in incident.kinds:
        return f"{names(others)} {_is(others)} blind"
    return f"{names(others)} {'has' if len(others) == 1 else 'have'} dead letters"


def names(found: Sequence[str], most: int = NAMES) -> str:
    """The first of them, and how many more."""
    shown = sorted(found)[:most]
    if len(found) > most:
        return f"{', '.join(shown)} and {len(found) - most} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]])) or "something"


def run_url(airflow_url: str | None, dag_id: str, run_id: str) -> str | None:
    """The address of a run's page; None: nobody has said where Airflow is."""
    if airflow_url is None:
        return None
    return f"{airflow_url.rstrip('/')}{run_page(dag_id, run_id)}"


def _body(notices: Sequence[Notice], at: datetime, airflow_url: str | None) -> str:
    parts = [_told(each, at, airflow_url) for each in notices[:SHOWN]]
    rest = [f"{title(each.incident)}: {_cut(each.incident.cause, LONGEST_SUBJECT)}" for each in notices[SHOWN:LISTED]]
    if len(notices) > LISTED:
        rest.append(f"and {len(notices) - LISTED} more: sluiceway alerts list")
    if rest:
        parts.append("\n".join(rest))
    return _USERINFO.sub("***", "\n\n".join(parts))


def _told(notice: Notice, at: datetime, airflow_url: str | None) -> str:
    incident = notice.incident
    ended = incident.recovered_at
    url = run_url(airflow_url, incident.dag_id, incident.run_id or "") if incident.dag_id else None
    since = f"{incident.opened_at:%Y-%m-%d %H:%M} UTC"
    if ended is not None:
        lines = [
            f"{_sentence(title(incident))} It has recovered.",
            f"It was seen for {lasting(ended - incident.opened_at)}, from {since} to {ended:%Y-%m-%d %H:%M} UTC.",
        ]
        if notice.told_at is None:
            lines.append("That it had begun could not be told.")
    else:
        lines = [
            _said(incident),
            f"Seen since: {since} ({lasting(at - incident.opened_at)})",
        ]
    return "\n".join(filter(None, [*lines, *_facts(incident, url)]))


def _facts(incident: Incident, url: str | None) -> Iterable[str]:
    cause = _cut(_one_line(incident.cause), LONGEST)
    if cause not in _said(incident) or incident.recovered_at is not None:
        yield f"Cause: {cause}"
    if len(tables := incident.named(TABLE)) > 1:
        yield f"Tables: {names(tables, LISTED)}"
    if url is not None:
        yield f"Run: {url}"
    elif incident.dag_id is not None:
        yield f"Run: {incident.dag_id}/{incident.run_id}"
    if incident.environment is not None:
        yield f"Environment: {incident.environment}"
    if incident.recovered_at is None:
        yield f"Incident {incident.id}: sluiceway alerts acknowledge {incident.id}"


def _said(incident: Incident) -> str:
    """Its sentence, of which the end may be left out: that of a run names the causes of all of its tables."""
    return _cut(_one_line(incident.sentence), LONGEST)


def _place(incident: Incident) -> str:
    return f"[{incident.environment}] " if incident.environment else ""


def _is(found: Sequence[str]) -> str:
    return "is" if len(found) == 1 else "are"


def _do(found: Sequence[str]) -> str:
    return "does" if len(found) == 1 else "do"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."
