#!/usr/bin/env python3
"""Starts the run of a deployed commit in Airflow, once, and waits for its data. One file, standard library, Python 3.9.

    AIRFLOW_USERNAME=ci AIRFLOW_PASSWORD=... python trigger.py --url https://airflow.example.org --commit "$GITHUB_SHA"

Writes the run's address to the standard output. docs/how-to/trigger.md says what to paste where.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a script's folder before the standard library, and beside a copy may lie an http.py
    _HERE = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]

import argparse
import json
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

EXIT_CODES = """exit codes:
  0  the run is there, started now or before
  2  an option or a variable is wrong
  3  Airflow cannot be reached, or does not let us in
  4  the DAG is missing, paused, broken, or not yet that of this build
  5  Airflow refuses the run, or the commit has failed too often
  6  only with --wait: the data does not belong to the commit, and the sentence says why

secrets come from the environment: AIRFLOW_TOKEN, or AIRFLOW_USERNAME and AIRFLOW_PASSWORD.
On Astro, ASTRO_API_TOKEN is AIRFLOW_TOKEN's other name. On Composer gcloud has them.
"""

STATUS = "/sluiceway/api/status.json"
STATUS_VERSION = 1
DATA_POLL_S = 5.0
"""Between two questions of --wait."""
OVERTAKEN_S = 20.0
"""So long after a run that was green its tables may still be said to hold other data: what is shown is a little old."""
RED = ("failed", "abandoned", "superseded")
"""What a report says of a run after which the data is not the commit's."""
RUN_ID = re.compile(r"deploy__([0-9a-f]{7,40})(?:__([0-9]+))?")
SHORTEST = 7
BUILD_TAG = "build:"
RUNS_OF_A_COMMIT = 99
"""The first, those after failed ones, and those of rollbacks to it; the deploy gate looks for as many."""
FAILURES = 9
"""After so many in a row one more changes nothing."""
WAITING = ("queued", "running")
GOOD = ("success", "superseded", "running")
"""What a report says of a run that counts."""
ROUNDS = 5
LONGEST_S = 24 * 3600.0
PAGE = 100
ATTEMPT_S = 30.0
"""The longest wait for one answer."""
POLL_S = (1.0, 5.0)
"""Between two looks at a DAG that is not ready: first and longest."""
REPORT_S = 10.0
BACK_OFF_S = (0.5, 8.0)
MAX_BODY_BYTES = 2 << 20
NOTE_CHARACTERS = 1000
SHOWN = 300
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
OK_END = 300
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, INVALID = 400, 401, 403, 404, 409, 422
LOCAL_HOST = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
PRINTABLE = re.compile(r"[\x21-\x7e]+")
# whatever a server or gcloud says, what looks like one of these is not shown
TOKEN_LIKE = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*|ya29\.[\w.-]+|(?<=[Bb]earer )\S+")


class TriggerError(Exception):
    """One sentence for a person, and the exit code for a program."""

    code = 1


class UsageError(TriggerError):
    code = 2


class UnreachableError(TriggerError):
    code = 3


class SilentError(UnreachableError):
    """No answer in time: there may be one later."""


class DagNotReadyError(TriggerError):
    code = 4


class RefusedError(TriggerError):
    code = 5


class DataError(TriggerError):
    code = 6


class Order(NamedTuple):
    """What to start."""

    dag_id: str
    commit: str
    conf: dict[str, str]
    note: str
    build_id: str | None
    wait_s: float
    again: bool


class Enqueued(NamedTuple):
    """The run that stands for the commit."""

    run_id: str
    state: str
    new: bool


class Answer(NamedTuple):
    """What Airflow says; `body` is its JSON, or None."""

    status: int
    body: Any
    text: str
    retry_after: str | None = None
    location: str | None = None


class Budget:
    """The seconds that unanswered questions may take together; a wait for the DAG is not one of them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return self._end - time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep without spending anything."""
        time.sleep(seconds)
        self._end += seconds


class Secrets:
    """What must never be shown."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, secret: str) -> str:
        """Remember it, and how it looks inside JSON and inside an address."""
        self._known |= {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)}
        return secret

    def hide(self, text: str) -> str:
        """The text on one line, without secrets: in a log a new line could begin a command of the CI system."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, "***")
        line = " ".join(TOKEN_LIKE.sub("***", text).split())
        return "".join(character for character in line if character.isprintable())


class _StayHere(HTTPRedirectHandler):
    """Follows nothing: the token is for this host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Airflow:
    """Airflow's REST API, as one caller."""

    def __init__(self, url: str, login: Login, budget: Budget, secrets: Secrets) -> None:
        self.url = url
        self.budget = budget
        self._login, self._secrets = login, secrets
        self._token = login.token
        self._opener: OpenerDirector | None = None

    def get(self, path: str, **params: Any) -> Answer:
        """GET /api/v2/<path>."""
        return self._as_caller("GET", f"/api/v2/{path}" + (f"?{urlencode(params)}" if params else ""), None)

    def status(self) -> Answer:
        """GET Sluiceway's status.json."""
        return self._as_caller("GET", STATUS, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST /api/v2/<path>."""
        return self._as_caller("POST", f"/api/v2/{path}", body)

    def report(self, dag_id: str, run_id: str) -> Mapping[str, Any] | None:
        """What Sluiceway's page of a run says; None where nobody does: there is none, or it does not answer."""
        place = f"{quote(dag_id, safe='')}/{quote(run_id, safe='')}"
        for folder in ("runs", "reports"):  # a Sluiceway that is older than this program knows the second alone
            request = Request(f"{self.url}/sluiceway/{folder}/{place}", headers={"Accept": "application/json"})
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
            try:
                answer = self._once(request, max(min(self.budget.left(), REPORT_S), 0.1))
            except (OSError, HTTPException):
                return None
            if answer.status != NOT_FOUND:
                said = answer.body
                return said if isinstance(said, dict) and isinstance(said.get("status"), str) else None
        return None

    def shown(self, text: str) -> str:
        """Text of the server's, fit to be shown."""
        return self._secrets.hide(text)[:SHOWN]

    def says(self, answer: Answer) -> str:
        """The answer's own words, fit to be shown."""
        detail = answer.body.get("detail", answer.body) if isinstance(answer.body, dict) else answer.text
        if isinstance(detail, list):
            # each problem also holds its input, which for a login is the password
            problems = [problem for problem in detail if isinstance(problem, dict)]
            detail = "; ".join(f"{_dotted(problem.get('loc'))}: {problem.get('msg')}" for problem in problems)
        elif isinstance(detail, dict):
            detail = detail.get("reason") or detail.get("message") or detail
        line = self._secrets.hide(str(detail))
        return f"{answer.status} {line[:SHOWN]}".strip()

    def must_say(self, answer: Answer, key: str, value: str) -> None:
        """So that no other service's 200 counts as Airflow's."""
        if answer.body.get(key) != value:
            raise UnreachableError(
                f"{self.url} is no Airflow 3: its answer has no {key} {value!r}: {self.says(answer)}"
            )

    def _as_caller(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        fresh = self._token is None
        if self._token is None:
            self._token = self._log_in()
        answer = self._send(method, path, body, self._token)
        if answer.status == UNAUTHORIZED and self._login.renewable and not fresh:
            self._token = self._log_in()
            answer = self._send(method, path, body, self._token)
        if answer.status == UNAUTHORIZED:
            raise UnreachableError(
                f"{self.url} does not accept the token ({self.says(answer)}): it is wrong or has expired; "
                f"get a new one for {self._login.source}."
            )
        return answer

    def _log_in(self) -> str:
        if self._login.renew is not None:
            return self._secrets.add(_token(self._login.renew(self.budget), self._login.source))
        body = {"username": self._login.username, "password": self._login.password}
        answer = self._send("POST", "/auth/token", body, None)
        if answer.status in (UNAUTHORIZED, FORBIDDEN):
            raise UnreachableError(
                f"{self.url} does not let the user in ({self.says(answer)}): see AIRFLOW_USERNAME and AIRFLOW_PASSWORD."
            )
        if answer.status >= OK_END or not isinstance(answer.body.get("access_token"), str):
            raise UnreachableError(
                f"{self.url}/auth/token gives no token for a password ({self.says(answer)}); "
                "where logins are somebody else's (Composer, Astro), use that one's token: AIRFLOW_TOKEN."
            )
        return self._secrets.add(_token(answer.body["access_token"], "/auth/token"))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, token: str | None) -> Answer:
        """Ask until there is an answer or the time is up. A POST is asked again too: a second run id is a 409."""
        request = Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "sluiceway-trigger",
            },
            method=method,
        )
        if token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        waits, said = _back_off(), "nothing was asked"
        while (left := self.budget.left()) > 0:
            try:
                answer = self._once(request, min(left, ATTEMPT_S))
            except (OSError, HTTPException) as error:
                said, asked_for = self._problem(error), None
            else:
                if answer.status not in TRY_AGAIN:
                    return self._proper(answer, path)
                said, asked_for = f"it answers {self.says(answer)}", answer.retry_after
            wait = max(next(waits), _seconds(asked_for))
            if wait >= self.budget.left():
                more = f", and asks to be left alone for {wait:.0f} s" if asked_for else ""
                raise SilentError(
                    f"No answer from {self.url}{path.partition('?')[0]} within {self.budget.seconds:g} s "
                    f"(--timeout): {said}{more}."
                )
            time.sleep(wait)
        raise SilentError(f"No answer from {self.url} within {self.budget.seconds:g} s (--timeout): {said}.")

    def _problem(self, error: OSError | HTTPException) -> str:
        reason = error.reason if isinstance(error, URLError) else error
        line = self._secrets.hide(str(reason) or type(reason).__name__)
        if type(reason).__name__ == "SSLCertVerificationError":
            raise UnreachableError(
                f"The certificate of {self.url} is not trusted: {line}. Name your authority's file in SSL_CERT_FILE."
            ) from error
        return line

    def _proper(self, answer: Answer, path: str) -> Answer:
        if answer.status in REDIRECTS:
            there = urlsplit(answer.location or "")
            where = f"{there.scheme}://{there.hostname}" if there.hostname else "another page"
            raise UnreachableError(
                f"{self.url}{path.partition('?')[0]} answers {answer.status} and sends us to {where}, where no token "
                "goes: a login page stands before Airflow, or --url should name that address."
            )
        if answer.status < OK_END and not isinstance(answer.body, dict):
            raise UnreachableError(
                f"{self.url} is no Airflow 3, or something stands before it: instead of JSON it answers "
                f"{self.says(answer)[:SHOWN]}"
            )
        return answer

    def _once(self, request: Request, seconds: float) -> Answer:
        """One question, in a thread: a socket's own time limit starts again with each byte and not at all for DNS."""
        done: list[Answer | Exception] = []

        def ask() -> None:
            try:
                done.append(self._exchange(request, seconds))
            except (OSError, HTTPException, ValueError) as error:
                # raised again below, where somebody waits for it
                done.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(seconds)
        if not done:
            raise TimeoutError(f"no whole answer within {seconds:.1f} s")
        if isinstance(done[0], Exception):
            raise done[0]
        return done[0]

    def _exchange(self, request: Request, seconds: float) -> Answer:
        if self._opener is None:
            handlers: list[Any] = [_StayHere()]
            if urlsplit(self.url).scheme == "https":
                import ssl

                handlers.append(HTTPSHandler(context=ssl.create_default_context()))
            if LOCAL_HOST.fullmatch(urlsplit(self.url).hostname or ""):
                handlers.append(ProxyHandler({}))
            self._opener = build_opener(*handlers)
        try:
            answer = self._opener.open(request, timeout=seconds)
        except HTTPError as error:
            answer = error
        with answer:
            declared = answer.headers.get("Content-Length", "")
            # Python 3.9 makes room for all that it is told to read
            length = min(int(declared), MAX_BODY_BYTES) if declared.isdecimal() else MAX_BODY_BYTES
            raw = answer.read(length)
            if declared.isdecimal() and len(raw) < length:
                raise ConnectionError(f"the answer broke off after {len(raw)} of {declared} bytes")
        text = raw.decode(errors="replace")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        headers = answer.headers
        return Answer(answer.status or 0, body, text, headers.get("Retry-After"), headers.get("Location"))


class Login(NamedTuple):
    """How to get a token: it is known, a program prints it, or a password buys it."""

    source: str
    token: str | None = None
    username: str = ""
    password: str = ""
    renew: Any = None
    """From a Budget to a token."""

    @property
    def renewable(self) -> bool:
        return self.renew is not None or bool(self.username)


def _dotted(location: Any) -> str:
    return ".".join(str(part) for part in location) if isinstance(location, list) else "request"


def _back_off() -> Iterator[float]:
    """Ever longer waits; the chance in them parts callers that failed together."""
    first, longest = BACK_OFF_S
    attempt = 0
    while True:
        yield min(first * 2.0**attempt, longest) * random.uniform(0.5, 1)  # noqa: S311  # no secret
        attempt = min(attempt + 1, 10)


def _seconds(retry_after: str | None) -> float:
    """What a Retry-After header asks for: seconds, or a date."""
    if not retry_after:
        return 0.0
    if re.fullmatch(r"[0-9]+", retry_after.strip()):
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _token(text: str, source: str) -> str:
    """A token fit for a header; http.client would show another one in its error."""
    token = text.strip()
    if not PRINTABLE.fullmatch(token):
        raise UsageError(f"{source} holds no token: it is empty, or has spaces or other characters that none has.")
    return token


def ready(airflow: Airflow, order: Order) -> None:
    """Returns when the DAG would run this build's code; waits for a DAG that was only just deployed."""
    wait, longest = POLL_S
    end = time.monotonic() + order.wait_s
    while (problem := _not_ready(airflow, order)) is not None:
        left = end - time.monotonic()
        if left <= 0:
            waited = f" Waited {order.wait_s:g} s (--wait-for-dag)." if order.wait_s else ""
            raise DagNotReadyError(f"{problem}{waited}")
        airflow.budget.wait(min(wait, left))
        wait = min(wait * 1.5, longest)


def _not_ready(airflow: Airflow, order: Order) -> str | None:
    """What is wrong with the DAG that time may heal; raises for what it does not."""
    answer = airflow.get(f"dags/{quote(order.dag_id, safe='')}")
    dag = answer.body
    if answer.status == NOT_FOUND:
        return f"There is no DAG {order.dag_id!r} at {airflow.url}: look for its file and for import errors."
    if answer.status == FORBIDDEN:
        raise UnreachableError(
            f"Airflow does not let the caller read the DAG {order.dag_id!r} ({airflow.says(answer)}): the token is "
            f"wrong, the role lacks can_read on DAG:{order.dag_id}, or there is no such DAG."
        )
    if answer.status >= OK_END:
        raise UnreachableError(f"{airflow.url} does not show the DAG {order.dag_id!r}: {airflow.says(answer)}")
    airflow.must_say(answer, "dag_id", order.dag_id)
    if dag.get("is_paused"):
        raise DagNotReadyError(
            f"The DAG {order.dag_id!r} is paused: a run would be accepted and wait for ever. Unpause it, and try again."
        )
    if dag.get("has_import_errors"):
        return f"The DAG {order.dag_id!r} has an import error: Airflow's start page shows it."
    if dag.get("is_stale"):
        return f"The DAG {order.dag_id!r} is stale: its file is gone, or does not define it any more."
    builds = [tag for tag in _names(dag.get("tags")) if tag.startswith(BUILD_TAG)]
    if order.build_id is not None and f"{BUILD_TAG}{order.build_id}" not in builds:
        shown = ", ".join(builds) or "no build"
        return f"The DAG {order.dag_id!r} is not that of {BUILD_TAG}{order.build_id}: Airflow shows {shown}."
    return None


def _names(tags: Any) -> list[str]:
    return [str(tag["name"]) for tag in tags or [] if isinstance(tag, dict) and "name" in tag]


def enqueue(airflow: Airflow, order: Order) -> Enqueued:
    """The commit's run, started unless one is there that waits, or that is good and no other commit came since."""
    path = f"dags/{quote(order.dag_id, safe='')}/dagRuns"
    for _ in range(ROUNDS):
        found = [run for run in _runs(airflow, order, path, f"deploy__{order.commit[:SHORTEST]}") if _named(run, order)]
        own = sorted((run for run in found if _counts(run, order.commit)), key=_age)
        standing = _standing(airflow, order, path, own)
        if standing is not None:
            return Enqueued(str(standing["dag_run_id"]), str(standing["state"]), new=False)
        run_id = _free(order.commit, [str(run["dag_run_id"]) for run in found], own)
        body = {"dag_run_id": run_id, "logical_date": None, "conf": order.conf, "note": order.note}
        answer = airflow.post(path, body)
        if answer.status < OK_END:
            airflow.must_say(answer, "dag_run_id", run_id)
            return Enqueued(run_id, str(answer.body.get("state")), new=True)
        if answer.status != CONFLICT:
            raise _refusal(airflow, order, run_id, answer)
        # it was not there a moment ago: another call made it, or ours did and its answer was lost
        answer = airflow.get(f"{path}/{quote(run_id, safe='')}")
        if answer.status < OK_END:
            airflow.must_say(answer, "dag_run_id", run_id)
            if _counts(answer.body, order.commit):
                return Enqueued(run_id, str(answer.body.get("state")), new=False)
        elif answer.status != NOT_FOUND:
            raise _refusal(airflow, order, run_id, answer)
    raise RefusedError(
        f"Airflow says that the run {run_id} exists (409), and shows no such run. Look at the DAG's runs."
    )


def _standing(airflow: Airflow, order: Order, path: str, own: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The run that this deploy needs no other beside."""
    waiting = [run for run in own if run["state"] in WAITING]
    if waiting:
        return waiting[-1]
    ended = [run for run in reversed(own) if run["state"] != "failed"]
    good: Mapping[str, Any] | None = None
    if not order.again:
        good = next((run for run in ended if _is_good(airflow, order, run)), None)
    if good is None or _came_later(airflow, order, path, str(good["run_after"])):
        return None
    return good


def _is_good(airflow: Airflow, order: Order, run: Mapping[str, Any]) -> bool:
    """Whether the run is what Airflow shows, as its report says: one that is marked failed while it is queued ends as
    success there, every task skipped, and a task that is marked success has loaded nothing either."""
    run_id = str(run["dag_run_id"])
    report = airflow.report(order.dag_id, run_id)
    if report is None or report["status"] in GOOD:
        return True
    sys.stderr.write(
        f"{order.dag_id}: {run_id} is {run['state']} in Airflow and counts for nothing, its report says "
        f"{report['status']}: {airflow.shown(str(report.get('sentence')))}\n"
    )
    return False


def _came_later(airflow: Airflow, order: Order, path: str, moment: str) -> bool:
    """Whether a run of another commit was enqueued after the moment: then this deploy goes back to an earlier commit,
    whose data is no longer in the tables, or never was, for its run was superseded and is green all the same."""
    for run in _runs(airflow, order, path, "deploy__", run_after_gt=moment):
        name = RUN_ID.fullmatch(str(run["dag_run_id"]))
        if name and not order.commit.startswith(name[1]) and _counts(run, name[1]):
            return True
    return False


def _runs(airflow: Airflow, order: Order, path: str, prefix: str, **params: str) -> Iterator[Mapping[str, Any]]:
    """The DAG's runs whose ids begin so, oldest first; Airflow's answer may hold others too: the prefix is a range."""
    offset = 0
    while True:
        answer = airflow.get(path, run_id_prefix_pattern=prefix, limit=PAGE, offset=offset, order_by="id", **params)
        if answer.status >= OK_END:
            raise _refusal(airflow, order, "", answer)
        page = answer.body.get("dag_runs") or []
        yield from page
        offset += len(page)
        if not page or offset >= int(answer.body.get("total_entries") or 0):
            return


def _named(run: Mapping[str, Any], order: Order) -> bool:
    """Whether the run's id names the commit, by all of its digits or the first of them."""
    name = RUN_ID.fullmatch(str(run["dag_run_id"]))
    return name is not None and order.commit.startswith(name[1])


def _counts(run: Mapping[str, Any], commit: str) -> bool:
    """Whether the run loads that commit and all tables, as its conf says: anybody may name a run."""
    conf = run.get("conf") or {}
    return str(conf.get("commit_sha") or "").startswith(commit) and not conf.get("tables")


def _age(run: Mapping[str, Any]) -> str:
    """Sorts runs by when they were first enqueued, which a retry or a clear does not change."""
    return str(run["run_after"]).rstrip("Z")


def _free(commit: str, taken: Sequence[str], own: Sequence[Mapping[str, Any]]) -> str:
    """The id of the commit's next run."""
    failed = [run for run in own[-FAILURES:] if run["state"] == "failed"]
    names = [f"deploy__{commit}", *(f"deploy__{commit}__{number}" for number in range(2, RUNS_OF_A_COMMIT + 1))]
    free = [name for name in names if name not in taken]
    if not free or len(failed) == FAILURES:
        raise RefusedError(
            f"{len(own)} runs of {commit} are over, and one more would change nothing. "
            f"See why {own[-1]['dag_run_id'] if own else names[-1]} ended, then clear it in Airflow."
        )
    return free[0]


def await_data(airflow: Airflow, order: Order, run_id: str, *, wait_s: float, patience_s: float) -> str:
    """Wait until the data belongs to the commit; the sentence that says so.

    :param patience_s: how long one question may go unanswered, which ends no wait.
    """
    end, before, green_since = time.monotonic() + wait_s, "", None
    while True:
        airflow.budget = Budget(max(min(patience_s, end - time.monotonic()), 1.0))
        try:
            state, sentence = _outlook(airflow, order, run_id)
        except SilentError as error:
            state, sentence = "silent", str(error)
        if state == "reached":
            return sentence
        green_since = (green_since or time.monotonic()) if state == "green" else None
        if state == "lost" or (green_since is not None and time.monotonic() - green_since >= OVERTAKEN_S):
            raise DataError(f"The data does not come to belong to {order.commit}: {sentence}")
        left = end - time.monotonic()
        if left <= 0:
            over = f"The {wait_s:g} s are over (--wait), and"
            raise SilentError(f"{over} {sentence}") if state == "silent" else DataError(f"{over} {sentence}")
        if sentence != before:
            what = f"Waiting up to {wait_s:g} s until the data belongs to {order.commit}"
            sys.stderr.write(f"{what}: {airflow.shown(sentence)}\n")
            before = sentence
        time.sleep(min(DATA_POLL_S, left))


def _outlook(airflow: Airflow, order: Order, run_id: str) -> tuple[str, str]:
    """How the data stands to the commit: reached, lost, waiting, or green, its run is over; and a sentence."""
    answer = airflow.status()
    if answer.status == NOT_FOUND:
        raise UnreachableError(f"{airflow.url} has no {STATUS}: deploy a newer Sluiceway, or leave out --wait.")
    if answer.status >= OK_END or answer.body.get("version") != STATUS_VERSION:
        raise UnreachableError(f"{airflow.url}{STATUS} does not say how the data stands: {airflow.says(answer)}")
    tables, environment = answer.body.get("tables") or [], answer.body.get("environment")
    other = [table for table in tables if not _same(table.get("commit"), order.commit)]
    report = airflow.report(order.dag_id, run_id)
    status = report["status"] if report is not None else None
    # where an environment is named, the document knows of each table whether a green run has loaded it
    is_green = _same(environment.get("data_commit"), order.commit) if environment else status == "success"
    if tables and not other and is_green:
        count = f"all {len(tables):,} tables" if len(tables) > 1 else "the one table"
        return "reached", f"The data of {count} belongs to {order.commit}."
    if report is not None and status in RED:
        said = str(report.get("sentence") or "no reason was told")
        return "lost", f"its run {run_id} is {status}: {airflow.shown(said)}"
    if not tables:
        return (
            "waiting",
            f"no table is known: {airflow.shown(str((answer.body.get('status') or {}).get('description')))}",
        )
    held = ", ".join(f"{table.get('table')} ({table.get('commit') or 'of no commit'})" for table in other[:3])
    more = f" and {len(other) - 3:,} more" if len(other) > 3 else ""
    noun, verb = "table" if len(tables) == 1 else "tables", "holds" if len(other) == 1 else "hold"
    left = f"{len(other)} of {len(tables)} {noun} {verb} other data" + (f": {held}{more}" if other else "")
    if status == "success":
        return "green", f"its run {run_id} was green, and {left}"
    return "waiting", f"its run {run_id} {'is ' + str(status) if status else 'has no report yet'}; {left}"


def _same(commit: Any, wanted: str) -> bool:
    """Whether a commit, of which a service may publish the first digits alone, is that one."""
    return isinstance(commit, str) and len(commit) >= SHORTEST and wanted.startswith(commit)


def _refusal(airflow: Airflow, order: Order, run_id: str, answer: Answer) -> TriggerError:
    said = airflow.says(answer)
    if answer.status == FORBIDDEN:
        return UnreachableError(
            f"Airflow does not let the caller see or start runs of {order.dag_id!r} ({said}): its role needs can_edit "
            f"on DAG:{order.dag_id} and can_read and can_create on DAG Run:{order.dag_id}."
        )
    if answer.status == NOT_FOUND or (answer.status == BAD_REQUEST and "import errors" in said):
        return DagNotReadyError(f"The DAG {order.dag_id!r} went away while it was looked at: {said}")
    if answer.status in (BAD_REQUEST, CONFLICT, INVALID):
        return RefusedError(f"Airflow refuses the run {run_id}: {said}")
    return UnreachableError(f"{airflow.url} answers {said}")


def address(text: str, *, allow_http: bool) -> str:
    """The base URL that people write in many ways; what follows the web server's root is cut off."""
    if "@" in text:
        raise UsageError("--url holds a user or a password; give them as AIRFLOW_USERNAME and AIRFLOW_PASSWORD.")
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"--url {text!r} is no address of an Airflow; write https://airflow.example.org") from None
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[\w.:-]+", host, re.ASCII):
        raise UsageError(f"--url {text!r} is no address of an Airflow; write https://airflow.example.org")
    if parts.scheme == "http" and not allow_http and not LOCAL_HOST.fullmatch(host):
        raise UsageError(f"--url {text!r}: secrets would travel unencrypted; write https://, or add --allow-http.")
    path = re.sub(r"(/api/v2|/home)?/*$", "", parts.path)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}{quote(path)}"


def gcloud(arguments: Sequence[str], budget: Budget, secrets: Secrets) -> str:
    """What a gcloud command prints."""
    import shutil
    import subprocess

    program = shutil.which("gcloud")
    if program is None:
        raise UnreachableError("gcloud is not on the PATH, and --composer needs it: install the Google Cloud CLI.")
    name = f"gcloud {' '.join(arguments[:3])}"
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(budget.left(), 0.1),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"{name} did not end within {budget.seconds:g} s (--timeout).") from None
    if done.returncode:
        raise UnreachableError(f"{name} failed: {secrets.hide(done.stderr)[:SHOWN]}")
    return done.stdout.strip()


def reach(given: argparse.Namespace, env: Mapping[str, str], budget: Budget, secrets: Secrets) -> Airflow:
    """Where Airflow is, and how to be let in."""
    token = env.get("AIRFLOW_TOKEN") or None
    source = "AIRFLOW_TOKEN"
    if given.composer:
        scope = ["--location", given.location, "--project", given.project]
        describe = ["composer", "environments", "describe", given.composer, *scope, "--format=value(config.airflowUri)"]
        uri = gcloud(describe, budget, secrets)
        if not uri:
            raise UnreachableError(f"The Composer environment {given.composer!r} has no web server yet.")
        url = address(uri, allow_http=given.allow_http)
        if token is None:

            def renew(budget: Budget) -> str:
                return gcloud(["auth", "print-access-token"], budget, secrets)

            return Airflow(url, Login("gcloud auth print-access-token", renew=renew), budget, secrets)
    else:
        url = address(given.url, allow_http=given.allow_http)
        if token is None and str(urlsplit(url).hostname).endswith(".astronomer.run"):
            token, source = env.get("ASTRO_API_TOKEN") or None, "ASTRO_API_TOKEN"
    if token is not None:
        return Airflow(url, Login(source, token=secrets.add(_token(token, source))), budget, secrets)
    username, password = env.get("AIRFLOW_USERNAME"), env.get("AIRFLOW_PASSWORD")
    if not username or not password:
        raise UsageError("Nobody is named: set AIRFLOW_TOKEN, or AIRFLOW_USERNAME and AIRFLOW_PASSWORD.")
    return Airflow(url, Login("/auth/token", username=username, password=secrets.add(password)), budget, secrets)


def options(env: Mapping[str, str], prog: str | None = None, usage: str | None = None) -> argparse.ArgumentParser:
    """The options there are; docs/reference/cli.md is made from them."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=usage,
        description="Start the Airflow run of a deployed commit, once.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    repository, server = env.get("GITHUB_REPOSITORY"), env.get("GITHUB_SERVER_URL", "https://github.com")
    run = env.get("GITHUB_RUN_ID")
    run_url = f"{server}/{repository}/actions/runs/{run}" if repository and run else None
    where = parser.add_argument_group("where Airflow is")
    where.add_argument(
        "--url", default=env.get("AIRFLOW_URL"), help="its address, on Astro the deployment's; or AIRFLOW_URL"
    )
    where.add_argument("--composer", metavar="ENVIRONMENT", help="a Cloud Composer environment instead")
    where.add_argument("--location", help="of the environment")
    where.add_argument("--project", help="of the environment")
    where.add_argument("--allow-http", action="store_true", help="also an address that is not this machine's")
    what = parser.add_argument_group("what to start")
    what.add_argument("--dag", default="master_etl", metavar="ID", help="default: master_etl")
    what.add_argument("--commit", default=env.get("GITHUB_SHA"), metavar="SHA", help="40 digits; or GITHUB_SHA")
    what.add_argument("--repository", default=repository, metavar="OWNER/NAME", help="or GITHUB_REPOSITORY")
    what.add_argument("--actor", default=env.get("GITHUB_ACTOR"), metavar="NAME", help="or GITHUB_ACTOR")
    what.add_argument("--ci-run-url", default=run_url, metavar="URL", help="or that of the GitHub run")
    what.add_argument(
        "--again", action="store_true", help="also when the commit's last run succeeded and no other came since"
    )
    when = parser.add_argument_group("when")
    when.add_argument(
        "--build-id", metavar="ID", help="wait until the DAG shows the tag build:ID; default: not checked"
    )
    when.add_argument(
        "--wait-for-dag", type=seconds, default=120, metavar="S", help="for code to be parsed; default: 120"
    )
    when.add_argument(
        "--timeout", type=seconds, default=60, metavar="S", help="for all unanswered questions; default: 60"
    )
    when.add_argument(
        "--wait", type=seconds, default=0, metavar="S", help="then until the data belongs to the commit; default: not"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON instead of the run's address")
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was given; exits with 2 for a wrong option."""
    given = parser.parse_args(arguments)
    given.commit = (given.commit or "").strip().lower()
    if not re.fullmatch(r"[0-9a-f]{40}", given.commit):
        parser.error(f"--commit {given.commit!r}: give all 40 digits of it, as `git rev-parse HEAD` prints them")
    if given.composer and not (given.location and given.project):
        parser.error("--composer needs --location and --project")
    for name in ("composer", "location", "project"):
        # gcloud would take it for an option of its own
        if not re.fullmatch(r"(?!-)[\w.:-]*", getattr(given, name) or "", re.ASCII):
            parser.error(f"--{name} {getattr(given, name)!r} is no such name")
    if not given.composer and not given.url:
        parser.error("say where Airflow is: --url, or --composer with --location and --project")
    return given


def seconds(text: str) -> float:
    """An option's value; argparse names the option beside what is wrong."""
    wrong = argparse.ArgumentTypeError(f"{text[:SHOWN]!r} is no number of seconds; write one from 0 to {LONGEST_S:g}")
    try:
        found = float(text)
    except ValueError:
        raise wrong from None
    if not 0 <= found <= LONGEST_S:
        raise wrong
    return found


def order_of(given: argparse.Namespace, env: Mapping[str, str]) -> Order:
    """What to start, with a note that leads back."""
    named = {"repository": given.repository, "actor": given.actor, "ci_run_url": given.ci_run_url}
    short, server = given.commit[:SHORTEST], env.get("GITHUB_SERVER_URL", "https://github.com")
    commit = (
        f"[{given.repository}@{short}]({server}/{given.repository}/commit/{given.commit})"
        if given.repository
        else short
    )
    note = f"Deploy of {commit}" + (f" by {given.actor}" if given.actor else "")
    note += f", started by [CI]({given.ci_run_url})" if given.ci_run_url else ""
    conf = {"commit_sha": given.commit, **{key: value for key, value in named.items() if value}}
    return Order(
        given.dag, given.commit, conf, note[:NOTE_CHARACTERS], given.build_id or None, given.wait_for_dag, given.again
    )


def tell(env: Mapping[str, str], variable: str, text: str) -> None:
    """Append to a file of GitHub's. The run is there whether or not that works, so the exit code does not say it."""
    if not env.get(variable):
        return
    try:
        with Path(env[variable]).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        sys.stderr.write(f"warning: {variable} cannot be written: {error}\n")


def main(
    arguments: Sequence[str] | None = None,
    *,
    defaults: Mapping[str, str] | None = None,
    prog: str | None = None,
    usage: str | None = None,
) -> int:
    """Start the run and say where it is; returns the exit code.

    :param defaults: AIRFLOW_URL and who logs in there, for an environment that names no Airflow.
    :param prog: what the program is called, and `usage` how, where another one hands its options on.
    """
    env = {**(defaults or {}), **os.environ}
    given = parse(options(env, prog, usage), arguments)
    if defaults and given.url != defaults.get("AIRFLOW_URL"):
        # a password of one Airflow is not for another
        env = dict(os.environ)
    secrets = Secrets()
    try:
        budget = Budget(given.timeout)
        order = order_of(given, env)
        airflow = reach(given, env, budget, secrets)
        ready(airflow, order)
        run = enqueue(airflow, order)
    except TriggerError as error:
        sentence = secrets.hide(str(error))
        sys.stderr.write(f"error: {sentence}\n")
        tell(env, "GITHUB_STEP_SUMMARY", f"**{given.dag}** was not started: {sentence.replace('<', '&lt;')}\n")
        return error.code
    except KeyboardInterrupt:
        return 130
    url = f"{airflow.url}/dags/{quote(order.dag_id, safe='')}/runs/{quote(run.run_id, safe='')}"
    done = "enqueued" if run.new else f"already enqueued, {run.state}"
    sys.stderr.write(f"{order.dag_id}: {run.run_id} {done}\n")
    if given.as_json:
        shown = {"dag_id": order.dag_id, "run_id": run.run_id, "run_url": url, "state": run.state, "new": run.new}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        sys.stdout.write(f"{url}\n")
    tell(env, "GITHUB_OUTPUT", f"run_id={run.run_id}\nrun_url={url}\n")
    tell(env, "GITHUB_STEP_SUMMARY", f"**{order.dag_id}**: [{run.run_id}]({url}) {done}\n")
    return 0 if not given.wait else _wait(airflow, order, run, given, env, secrets)


def _wait(
    airflow: Airflow,
    order: Order,
    run: Enqueued,
    given: argparse.Namespace,
    env: Mapping[str, str],
    secrets: Secrets,
) -> int:
    """Wait for the data, and say what became of it; the exit code."""
    sys.stdout.flush()
    try:
        said, code = await_data(airflow, order, run.run_id, wait_s=given.wait, patience_s=given.timeout), 0
    except TriggerError as error:
        said, code = f"error: {secrets.hide(str(error))}", error.code
    except KeyboardInterrupt:
        return 130
    sys.stderr.write(f"{said}\n")
    tell(env, "GITHUB_STEP_SUMMARY", f"{said.replace('<', '&lt;')}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
