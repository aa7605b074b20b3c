"""The faces for machines, on the real API server: who may read which, and that each says the one verdict."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import httpx
import jsonschema
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from dev.cluster import Cluster
from dev.docs.schemas import STATUS_SCHEMA
from sluiceway.freshness.kept import KEPT_S
from sluiceway.ledger import face_tokens
from sluiceway.ledger.face_tokens import Face
from sluiceway.ledger.warehouse import connect
from tests.freshness.ledgered import A, ran
from tests.on_airflow.web.conftest import PASSWORDS, logged_in
from tests.on_airflow.web.door import Door

HOUR = timedelta(hours=1)
MOST_STATEMENTS = 6
FACES: dict[str, Face] = {
    "/sluiceway/api/status.json": "status",
    "/sluiceway/badge.json": "badge",
    "/sluiceway/badge.svg": "badge",
    "/sluiceway/metrics": "metrics",
}
STATUS, BADGE, DRAWING, METRICS = FACES
RIGHT_WAY = "Send a token as `Authorization: Bearer`: the word once, a blank, and the token with nothing around it"
SECRETIVE = ("city", "shop", "staging", A[:7], "deploy__")
"""What no public face but the metrics may say."""
Tokens = Callable[..., str]
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def owner(door: Door, postgres: Cluster) -> str:
    return postgres.url("sluiceway_owner", urlsplit(door.warehouse).path[1:])


def declared(name: str) -> str:
    """A table's file."""
    return (
        f'description = "{name}"\nkey = "id"\nfresh_within = "10h"\nsource = {{ kind = "csv", uri = "a.csv" }}\n'
        'columns = { id = "integer" }\n'
    )


@pytest.fixture(autouse=True, scope="module")
def tables(door: Door) -> Iterator[None]:
    """city keeps its promise, shop breaks it."""
    folder = door.home / "config" / "tables"
    folder.mkdir()
    for name in ("city", "shop"):
        (folder / f"{name}.toml").write_text(declared(name))
    ran(door.warehouse, f"deploy__{A}", ago=HOUR, city="loaded")
    ran(door.warehouse, "deploy__old", ago=20 * HOUR, shop="loaded")
    yield
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.fixture
def token(owner: str) -> Tokens:
    """Makes a token of some faces."""

    def make(*faces: Face) -> str:
        with connect(owner) as session:
            return face_tokens.create(session, "a test", faces)[1]

    return make


@pytest.fixture
def ask(server: str) -> Ask:
    def get(path: str, token: str | None = None, *, method: str = "GET", **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return httpx.request(method, f"{server}{path}", headers=sent)

    return get


@pytest.fixture
def public(door: Door) -> Iterator[Callable[[str], None]]:
    """Writes faces.toml, and has none afterwards."""
    path = door.home / "config" / "faces.toml"
    yield lambda text: Path(path).write_text(text, encoding="utf-8") and None
    path.unlink(missing_ok=True)
    eventually(lambda: httpx.get(f"{door.url}{BADGE}").status_code == 401)


def eventually(holds: Callable[[], bool]) -> None:
    """What a process keeps for two seconds becomes so."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("path", FACES)
def test_without_a_token_every_face_is_closed_and_so_it_is_with_a_wrong_one(path: str, ask: Ask) -> None:
    for answer in (
        ask(path),
        ask(path, "slw_" + "x" * 43),
        ask(path, "no.jwt.atall"),
        ask(path, accept="text/html"),
        ask(path, authorization="Basic cmVhZGVyOnJlYWRz"),
        ask(path, cookie="_token=eyJ.no.jwt"),
        ask(f"{path}?token=slw_x"),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert list(answer.json()) == ["detail"]


def test_a_token_that_is_sent_wrongly_is_told_how_to_send_it(ask: Ask, token: Tokens) -> None:
    made = token("status", "badge", "metrics")
    as_password = base64.b64encode(f":{made}".encode()).decode()
    for path in FACES:
        for authorization, sentence in (
            ("Bearer", "The header Authorization says Bearer and holds no token"),
            ("bearer", "The header Authorization says Bearer and holds no token"),
            (f"Basic {as_password}", "Send a token as `Authorization: Bearer`, and not as Basic"),
            ("Basic cmVhZGVyOnJlYWRz", "A face takes no Basic"),
            ("Basic %%%", "A face takes no Basic"),
            (f"Token {made}", "Send a token as `Authorization: Bearer`, and not as Token"),
            (made, "Send a token as `Authorization: Bearer`"),
            (f'Bearer "{made}"', RIGHT_WAY),
            (f"Bearer Bearer {made}", RIGHT_WAY),
            (f"Bearer: {made}", RIGHT_WAY),
            (f"Bearer token={made}", RIGHT_WAY),
            (f"Bearer {made};", RIGHT_WAY),
            (f'"{made}"', RIGHT_WAY),
        ):
            answer = ask(path, authorization=authorization)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), authorization
            assert sentence in answer.json()["detail"] and made not in answer.text


def test_a_token_in_the_address_is_refused_whatever_the_header_says(
    ask: Ask, token: Tokens, public: Callable[[str], None], reader: httpx.Client
) -> None:
    made = token("status", "badge", "metrics")
    for query in (f"token={made}", "access_token=abc", f"x=1&Key={made}", "TOKEN=", made, f"x=Bearer+{made}"):
        for path in FACES:
            for answer in (ask(f"{path}?{query}", made), ask(f"{path}?{query}"), reader.get(f"{path}?{query}")):
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), (path, query)
                assert (
                    "A token in an address ends in logs: send it as `Authorization: Bearer`" in answer.json()["detail"]
                )
                assert made not in answer.text
    assert ask(f"{BADGE}?cache=1", made).status_code == 200
    public("[badge]\npublic = true\n")
    eventually(lambda: ask(BADGE).status_code == 200)
    assert ask(f"{BADGE}?token={made}").status_code == 401


def test_a_token_opens_its_face_and_no_other(ask: Ask, token: Tokens) -> None:
    for face in ("status", "badge", "metrics"):
        made = token(face)
        assert {path: ask(path, made).status_code for path in FACES} == {
            path: 200 if FACES[path] == face else 403 for path in FACES
        }
    badge = ask(METRICS, token("badge"))
    assert badge.json() == {"detail": "This token opens badge and not metrics."}
    every = token("status", "badge", "metrics")
    assert {ask(path, every).status_code for path in FACES} == {200}
    assert ask("/sluiceway/api/triggers", every).status_code in {401, 403}
    assert ask("/api/v2/dags", every).status_code in {401, 403}


def test_a_new_token_opens_its_face_at_once_where_others_are_polled(ask: Ask, owner: str, token: Tokens) -> None:
    polled = token("badge")
    for _ in range(3):
        assert ask(BADGE, polled).status_code == 200
        with connect(owner) as session:
            made = face_tokens.create(session, "a test", ["badge"])[1]
        assert ask(BADGE, made).status_code == 200


def test_a_session_that_nobody_can_read_is_told_in_a_sentence(ask: Ask) -> None:
    for path in FACES:
        answer = ask(path, cookie="_token=eyJ.no.jwt")
        assert answer.json() == {"detail": "Airflow cannot read the session's cookie: log in again."}


def test_a_revoked_token_opens_nothing(ask: Ask, owner: str) -> None:
    with connect(owner) as session:
        made, token = face_tokens.create(session, "a test", ["badge"])
    assert ask(BADGE, token).status_code == 200
    with connect(owner) as session:
        face_tokens.revoke(session, made.token_id)
    eventually(lambda: ask(BADGE, token).status_code == 401)


@pytest.mark.parametrize("path", FACES)
def test_a_user_who_may_read_runs_reads_the_faces_by_session_and_by_bearer_token(
    path: str, server: str, reader: httpx.Client, stranger: httpx.Client
) -> None:
    assert reader.get(path).status_code == 200
    assert stranger.get(path).status_code == 403
    login = httpx.post(f"{server}/auth/token", json={"username": "reader", "password": PASSWORDS["reader"]})
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    assert httpx.get(f"{server}{path}", headers=bearer).status_code == 200


def test_with_fab_the_user_of_ci_who_may_read_one_dag_reads_the_status(fab: Door) -> None:
    for browser in logged_in(fab.url, "master"):
        assert browser.get(STATUS).status_code == 200


def test_status_json_is_valid_and_says_which_table_is_stale(ask: Ask, token: Tokens) -> None:
    answer = ask(STATUS, token("status"))
    found = answer.json()
    jsonschema.validate(found, json.loads(STATUS_SCHEMA.path.read_text()))
    assert found["status"]["indicator"] == "major"
    assert {each["table"]: each["state"] for each in found["tables"]} == {"shop": "stale", "city": "fresh"}
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_table_that_came_since_the_last_answer_is_judged_by_its_loads(door: Door, ask: Ask, token: Tokens) -> None:
    made = token("status")
    ran(door.warehouse, "deploy__new", ago=HOUR, park="loaded")
    ask(STATUS, made).raise_for_status()
    path = door.home / "config" / "tables" / "park.toml"
    path.write_text(declared("park"))
    time.sleep(KEPT_S + 0.1)
    found = {each["table"]: each["state"] for each in ask(STATUS, made).json()["tables"]}
    path.unlink()
    time.sleep(KEPT_S + 0.1)
    assert found == {"shop": "stale", "city": "fresh", "park": "fresh"}
    assert {each["table"] for each in ask(STATUS, made).json()["tables"]} == {"shop", "city"}


def test_the_badge_is_as_shields_takes_it_and_never_names_a_table(ask: Ask, token: Tokens) -> None:
    made = token("badge")
    answer = ask(BADGE, made)
    assert answer.json() == {
        "schemaVersion": 1,
        "label": "data",
        "message": "stale",
        "color": "red",
        "cacheSeconds": 300,
    }
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert not any(each in answer.text + ask(DRAWING, made).text for each in SECRETIVE)


def test_the_drawing_is_well_formed_says_in_words_what_it_shows_and_loads_nothing(ask: Ask, token: Tokens) -> None:
    answer = ask(DRAWING, token("badge"))
    root = ET.fromstring(answer.text)
    svg = "{http://www.w3.org/2000/svg}"
    assert (root.tag, root.get("role"), root.get("aria-label")) == (f"{svg}svg", "img", "data: stale")
    assert root.findtext(f"{svg}title") == "data: stale"
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert "href" not in answer.text and answer.text.count("http") == 1


def test_no_answer_that_is_made_anew_takes_more_than_six_statements(
    ask: Ask, token: Tokens, reader: httpx.Client
) -> None:
    made = token("status")
    for answer in (lambda: reader.get("/sluiceway/"), lambda: ask(STATUS, made)):
        answer()  # what a process asks once
        time.sleep(KEPT_S + 0.1)
        assert 2 < int(answer().headers["X-Statements"]) <= MOST_STATEMENTS


@pytest.mark.parametrize("path", [STATUS, BADGE, DRAWING])
def test_what_has_not_changed_is_not_sent_again(path: str, ask: Ask, token: Tokens) -> None:
    made = token("status", "badge")

    def is_kept() -> bool:
        tag = ask(path, made).headers["ETag"]
        again = ask(path, made, if_none_match=f'"other", {tag}')
        return again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag

    # status.json is another one every two seconds
    eventually(is_kept)
    assert ask(path, made, if_none_match='"other"').status_code == 200


@pytest.mark.parametrize("path", FACES)
def test_head_tells_the_same_without_a_body(path: str, ask: Ask, token: Tokens) -> None:
    made = token("status", "badge", "metrics")
    head, get = ask(path, made, method="HEAD"), ask(path, made)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert ask(path, method="HEAD").status_code == 401
    assert ask(path, made, method="POST").status_code == 405


def test_the_metrics_are_read_by_prometheus_own_parser(ask: Ask, token: Tokens) -> None:
    answer = ask(METRICS, token("metrics"))
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["sluiceway_up",] == 1
    assert samples["sluiceway_state", "stale"] == 1 and samples["sluiceway_state", "in_step"] == 0
    assert samples["sluiceway_table_stale", "shop"] == 1 and samples["sluiceway_table_stale", "city"] == 0
    assert samples["sluiceway_table_fresh_within_seconds", "city"] == 36000
    assert samples["sluiceway_table_rows", "city"] == 3
    assert 3500 < time.time() - samples["sluiceway_table_last_load_timestamp_seconds", "city"] < 3900
    assert samples["sluiceway_load_duration_seconds_count", "city"] == 1


def test_a_public_badge_is_for_everybody_and_opens_no_other_face(ask: Ask, public: Callable[[str], None]) -> None:
    public("[badge]\npublic = true\n")
    eventually(lambda: ask(BADGE).status_code == 200)
    answer = ask(DRAWING)
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert not any(each in answer.text + ask(BADGE).text for each in SECRETIVE)
    assert {ask(path).status_code for path in (STATUS, METRICS)} == {401}
    assert ask(BADGE, cookie="_token=eyJ.no.jwt").status_code == 200, "of a session that has ended"
    assert ask(BADGE, "slw_wrong").status_code == 401


def test_a_public_status_counts_tables_and_names_none(ask: Ask, public: Callable[[str], None], token: Tokens) -> None:
    public("[status]\npublic = true\n")
    eventually(lambda: ask(STATUS).status_code == 200)
    found = ask(STATUS).json()
    jsonschema.validate(found, json.loads(STATUS_SCHEMA.path.read_text()))
    assert found["status"] == {
        "indicator": "major",
        "description": "The data is stale. Of 2 tables: 1 stale, 1 fresh.",
    }
    assert not any(each in json.dumps(found) for each in SECRETIVE)
    assert "city" in ask(STATUS, token("status")).text


def test_a_wrong_faces_toml_opens_nothing_and_the_log_says_what_is_wrong(
    ask: Ask, public: Callable[[str], None], door: Door
) -> None:
    public("[badge]\npublic = true\n")
    eventually(lambda: ask(BADGE).status_code == 200)
    public('[badge]\npublic = "yes"\npubic = true\n')
    eventually(lambda: ask(BADGE).status_code == 401)
    log = door.log()
    assert "faces.toml: badge.pubic = True: no such key; did you mean 'public'?" in log
    assert log.count("no such key; did you mean 'public'?") == 1


@pytest.mark.parametrize(("per_minute", "often"), [(3, "3 times a minute"), (1, "Once a minute")])
def test_who_asks_too_often_without_a_token_is_told_when_to_come_again_and_one_with_a_token_is_not(
    per_minute: int, often: str, ask: Ask, public: Callable[[str], None], token: Tokens
) -> None:
    public(f"[badge]\npublic = true\nper_minute = {per_minute}\n")
    eventually(lambda: often in ask(BADGE).text)
    eventually(lambda: ask(BADGE).status_code in {200, 429})
    answers = [ask(BADGE) for _ in range(5)]
    assert answers[-1].status_code == 429
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60 / per_minute
    assert answers[-1].json() == {"detail": f"{often} without a token."}
    assert ask(BADGE, token("badge")).status_code == 200


def test_with_the_ledger_down_each_face_says_unknown_to_whom_it_knows(
    ask: Ask, token: Tokens, door: Door, postgres: Cluster, public: Callable[[str], None]
) -> None:
    made = token("status", "badge", "metrics")
    public("[badge]\npublic = true\n")
    eventually(lambda: ask(STATUS, made).status_code == 200 and ask(BADGE).status_code == 200)
    with closed(door, postgres):
        eventually(lambda: ask(STATUS, made).json()["status"]["indicator"] == "critical")
        eventually(lambda: ask(BADGE, made).json()["message"] == "unknown")
        eventually(lambda: "sluiceway_up 0.0" in ask(METRICS, made).text)
        assert ask(BADGE).json()["color"] == "lightgrey"
        assert 'aria-label="data: unknown"' in ask(DRAWING, made).text
        assert ask(BADGE, "slw_never").status_code == 401
        shown = ask(STATUS, made).text + ask(METRICS, made).text
        assert "Traceback" not in shown and urlsplit(door.warehouse).password not in shown
    eventually(lambda: ask(STATUS, made).json()["status"]["indicator"] == "major")
    assert "Traceback" not in door.log()


class closed:  # noqa: N801 - reads as a sentence
    """A warehouse that takes no connection."""

    def __init__(self, door: Door, postgres: Cluster) -> None:
        self._name, self._url = urlsplit(door.warehouse).path[1:], postgres.url("postgres", "postgres")

    def __enter__(self) -> None:
        self._allow(False)
        with psycopg.connect(self._url, autocommit=True) as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(ended, [self._name])

    def __exit__(self, *_: object) -> None:
        self._allow(True)

    def _allow(self, allowed: bool) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(self._name), sql.Literal(allowed)
                )
            )
