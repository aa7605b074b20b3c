"""An address that leads nowhere, and a token that is sent where none is taken, are answered with a sentence."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from tests.on_airflow.web.door import Door

FRAME = '<nav aria-label="Sluiceway">'
TOKEN = "slw_" + "x" * 43
PAGES = ("/sluiceway/", "/sluiceway/runs", "/sluiceway/runs/shop/r1", "/sluiceway/tables/a", "/sluiceway/runs/compare")
API = "/sluiceway/api/triggers"
RIGHT_WAY = "Send a token as `Authorization: Bearer`: the word once, a blank, and the token with nothing around it"
ODD = (
    f'Bearer "{TOKEN}"', f"Bearer '{TOKEN}'", f"Bearer Bearer {TOKEN}", f"Bearer <{TOKEN}>", f"Bearer {TOKEN},",
    f"Bearer: {TOKEN}", f"Bearer:{TOKEN}", f'"{TOKEN}"', f'"Bearer {TOKEN}"', f"Bearer token={TOKEN}", 'Bearer "a.b.c"',
    "Bearer Bearer a.b.c",
)  # fmt: skip
"""Ways in which people send a token."""


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("tables/", "There is no page /sluiceway/tables/: a table has /sluiceway/tables/&lt;table&gt;"),
        ("tables/us%2Fstate", "There is no page /sluiceway/tables/us/state: a table has"),
        ("reports//x", "There is no page /sluiceway/reports//x: "),
        ("runs/nope", "The address names no run: write /sluiceway/runs/&lt;dag_id&gt;/&lt;run_id&gt;."),
        ("nothing", "a run /sluiceway/runs/&lt;dag_id&gt;/&lt;run_id&gt;, and all runs /sluiceway/runs."),
        ("runs/shop/", "The address names no run: write /sluiceway/runs/&lt;dag_id&gt;/&lt;run_id&gt;."),
        ("runs/shop/%20", "The address names no run: "),
        ("tables/%20", "The address names no table: write /sluiceway/tables/&lt;table&gt;."),
        ("%3Cscript%3E" + "x" * 5000, "There is no page /sluiceway/&lt;script&gt;xxx"),
        ("runs%0A", "There is no page /sluiceway/runs%0A: a table has"),
        ("tables/us%0A", "There is no page /sluiceway/tables/us%0A: "),
        ("a%0Ab", "There is no page /sluiceway/a%0Ab: "),
        ("runs/shop/x%0Ay%00", "There is no page /sluiceway/runs/shop/x%0Ay%00: "),
    ],
)
def test_an_address_that_leads_nowhere_is_a_page_with_a_sentence(
    address: str, sentence: str, reader: httpx.Client
) -> None:
    answer = reader.get(f"/sluiceway/{address}")
    assert answer.status_code == 404 and FRAME in answer.text and len(answer.text) < 30_000
    assert sentence in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    as_json = reader.get(f"/sluiceway/{address}", headers={"Accept": "application/json"})
    assert list(as_json.json()) == ["detail"] and as_json.json()["detail"] not in {"", "Not Found"}


@pytest.mark.parametrize("address", ["tables/x", "x", "runs", ".json", "-docs/", "tables%0A", "x" * 5000])
def test_an_address_that_lacks_the_slash_leads_nowhere_like_any_other(address: str, reader: httpx.Client) -> None:
    answer = reader.get(f"/sluiceway{address}")
    assert answer.status_code == 404 and FRAME in answer.text and len(answer.text) < 30_000
    assert f"There is no page /sluiceway{address}"[:100] in answer.text
    as_json = reader.get(f"/sluiceway{address}", headers={"Accept": "application/json"})
    assert as_json.json()["detail"].startswith("There is no page /sluiceway")
    assert '<div id="root"' in reader.get("/sluicewa").text, "what is Airflow's is left to it"


def test_the_address_without_any_path_leads_to_the_first_page(reader: httpx.Client) -> None:
    answer = reader.get("/sluiceway?state=stale")
    assert (answer.status_code, urlsplit(answer.headers["location"]).path) == (307, "/sluiceway/")
    assert reader.get("/sluiceway", follow_redirects=True).status_code == 200


LONG = "x" * 5000


@pytest.mark.parametrize(
    "address",
    [
        f"runs/shop/{LONG}", f"runs/cli/{LONG}", f"tables/{LONG}", f"runs/compare?a=shop/{LONG}&b=shop/a",
        f"?state={LONG}", f"?sort={LONG}", f"reports/{LONG}", f"api/{LONG}", f"hooks/a/{LONG}",
    ],
)  # fmt: skip
def test_a_name_of_thousands_of_characters_is_not_repeated_whole(address: str, reader: httpx.Client) -> None:
    for accept in ("text/html", "application/json"):
        answer = reader.get(f"/sluiceway/{address}", headers={"Accept": accept}, follow_redirects=True)
        assert answer.status_code in {400, 404}, answer.status_code
        assert "xxx..." in answer.text and answer.text.count("x" * 50) <= 4


def test_a_page_that_looks_for_a_name_shows_its_beginning(reader: httpx.Client) -> None:
    answer = reader.get(f"/sluiceway/?q={LONG}")
    assert answer.status_code == 200 and f"has “{'x' * 100}...” in its name" in answer.text


def test_an_address_of_the_api_is_answered_in_json_whoever_asks(reader: httpx.Client, server: str) -> None:
    for address, sentence in (
        (
            "api/statuss.json",
            "There is no address /sluiceway/api/statuss.json; did you mean '/sluiceway/api/status.json'?",
        ),
        ("api/", "There is no address /sluiceway/api/; did you mean '/sluiceway/api/triggers'?"),
    ):
        answer = reader.get(f"/sluiceway/{address}")
        assert (answer.status_code, answer.json()) == (404, {"detail": sentence})
    answer = httpx.get(f"{server}{API}", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


def test_what_is_only_read_says_so_to_who_writes(reader: httpx.Client) -> None:
    answer = reader.post("/sluiceway/runs")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET, HEAD"
    assert FRAME in answer.text and "This address takes GET or HEAD, and no POST." in answer.text


def test_whoever_reads_a_webhooks_address_is_told_what_it_takes(reader: httpx.Client) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        for hook in ("generic", "nobody"):
            answer = reader.request(method, f"/sluiceway/hooks/{hook}")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            if method != "HEAD":
                assert answer.json() == {
                    "detail": f"This address takes POST and no {method}: a webhook is posted, signed with its secret."
                }
    for address in ("hooks", "hooks/", "hooks/a/b", "hooks/generic/x"):
        for method in ("GET", "POST"):
            answer = reader.request(method, f"/sluiceway/{address}")
            assert answer.status_code == 404
            assert answer.json() == {
                "detail": f"There is no address /sluiceway/{address}: a webhook has /sluiceway/hooks/<trigger_id>."
            }


@pytest.mark.parametrize("path", [*PAGES, API, "/sluiceway/reports", "/sluiceway/runs/shop", "/sluiceway/none"])
def test_what_can_be_read_can_be_asked_for_its_headers_alone(path: str, reader: httpx.Client, server: str) -> None:
    for client in (reader, httpx.Client(base_url=server)):
        read, asked = client.get(path), client.head(path)
        assert (asked.status_code, asked.content) == (read.status_code, b"")
        for name in ("content-type", "cache-control", "location"):
            assert asked.headers.get(name) == read.headers.get(name), name


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("path", [*PAGES, API])
def test_a_token_of_a_face_opens_no_page_and_the_answer_says_where_it_belongs(
    path: str, accept: str, server: str, reader: httpx.Client
) -> None:
    for authorization, sentence in (
        (f"Bearer {TOKEN}", "This token is for the faces, such as /sluiceway/api/status.json, and opens nothing else"),
        (basic(f"me:{TOKEN}"), "Send a token as `Authorization: Bearer`, and not as Basic"),
        (TOKEN, "Send a token as `Authorization: Bearer`"),
        ("Bearer", "The header Authorization says Bearer and holds no token"),
        *((odd, RIGHT_WAY) for odd in ODD),
    ):
        headers = {"Authorization": authorization, "Accept": accept}
        for answer in (httpx.get(f"{server}{path}", headers=headers), reader.get(path, headers=headers)):
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), authorization
            assert sentence in answer.text and TOKEN not in answer.text
            is_json = accept == "application/json" or path == API
            assert is_json == answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize(
    "address",
    [
        f"/runs?token={TOKEN}", f"/{TOKEN}", f"/metrics/{TOKEN}", f"/runs/{TOKEN}", f"/runs/shop/{TOKEN}",
        f"/tables/{TOKEN}", f"/reports/{TOKEN}", f"/reports/shop/{TOKEN}", f"/api/status.json/{TOKEN}",
        f"/api/{TOKEN}", f"/runs/shop/a{TOKEN}", f"/hooks/{TOKEN}", f"/hooks/a/{TOKEN}", TOKEN, f"/a%0A{TOKEN}",
        f"/runs/compare?a=shop/{TOKEN}", f"/?q=Bearer+{TOKEN}", f"/?state=x{TOKEN}", f"/runs/cli/{TOKEN}",
        f"/nothing?{TOKEN}",
    ],
)  # fmt: skip
def test_a_token_in_an_address_is_refused_and_repeated_nowhere(
    address: str, accept: str, reader: httpx.Client, server: str
) -> None:
    for client in (reader, httpx.Client(base_url=server)):
        answer = client.get(f"/sluiceway{address}", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), answer.text
        assert "A token in an address ends in logs" in answer.text
        assert TOKEN not in answer.text and "location" not in answer.headers


def test_a_part_of_a_token_is_not_shown_and_a_name_that_begins_like_one_is_a_name(reader: httpx.Client) -> None:
    for address in ("slw_customers", "tables/slw_customers", "runs/shop/slw_customers"):
        answer = reader.get(f"/sluiceway/{address}")
        assert answer.status_code == 404 and "slw_..." in answer.text and "customers" not in answer.text


@pytest.mark.parametrize("path", [*PAGES, API, "/sluiceway/reports", "/sluiceway/runs/shop"])
@pytest.mark.parametrize("session", ["x", "made.up.session", "eyJhbGciOiJIUzUxMiJ9.e30.x", "%FF", "'", ""])
def test_a_session_that_nobody_can_read_leads_to_the_login_like_none(path: str, session: str, server: str) -> None:
    cookie = {"Cookie": f"_token={session}"}
    answer = httpx.get(f"{server}{path}", headers={**cookie, "Accept": "text/html"})
    if path == API:
        assert answer.status_code == 401
    else:
        assert answer.status_code == 303
        login = urlsplit(answer.headers["location"])
        assert login.path == "/api/v2/auth/login"
        assert unquote(parse_qs(login.query)["next"][0]) == path
    as_json = httpx.get(f"{server}{path}", headers={**cookie, "Accept": "application/json"})
    assert as_json.status_code == 401
    assert as_json.json()["detail"] in {"Not authenticated", "Airflow cannot read the session's cookie: log in again."}
    assert as_json.json()["detail"] != "Not authenticated" or not session


def test_a_header_that_airflow_cannot_read_is_refused_as_airflows_own_api_does(server: str) -> None:
    headers = {"Authorization": "Bearer made.up.token", "Cookie": "_token=x"}
    for path in (*PAGES, API):
        assert httpx.get(f"{server}{path}", headers=headers).status_code == 403


def test_who_logs_in_to_a_proxy_with_a_password_sees_the_pages_by_the_session(
    reader: httpx.Client, server: str
) -> None:
    proxied = {"Authorization": basic("me:my password"), "Accept": "text/html"}
    assert reader.get("/sluiceway/runs", headers=proxied).status_code == 200
    assert httpx.get(f"{server}/sluiceway/runs", headers=proxied).status_code == 303, "to the login, not refused"


def test_no_refusal_is_a_fault_in_the_log(door: Door) -> None:
    assert "Traceback" not in door.log()
