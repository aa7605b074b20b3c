"""An address that leads nowhere, and a token that is sent where none is taken, are answered with a sentence."""

from __future__ import annotations

import base64

import httpx
import pytest

from tests.on_airflow.web.door import Door

FRAME = '<nav aria-label="Sluiceway">'
TOKEN = "slw_" + "x" * 43
PAGES = ("/sluiceway/", "/sluiceway/runs", "/sluiceway/runs/shop/r1", "/sluiceway/tables/a", "/sluiceway/runs/compare")
API = "/sluiceway/api/triggers"


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
    assert answer.status_code == 405 and answer.headers["allow"] == "GET"
    assert FRAME in answer.text and "This address takes GET and no POST." in answer.text


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
    ):
        headers = {"Authorization": authorization, "Accept": accept}
        for answer in (httpx.get(f"{server}{path}", headers=headers), reader.get(path, headers=headers)):
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), authorization
            assert sentence in answer.text and TOKEN not in answer.text
            is_json = accept == "application/json" or path == API
            assert is_json == answer.headers["content-type"].startswith("application/json")


def test_a_token_in_the_address_of_a_page_is_refused(reader: httpx.Client) -> None:
    answer = reader.get(f"/sluiceway/runs?token={TOKEN}")
    assert answer.status_code == 401 and "A token in an address ends in logs" in answer.text
    assert TOKEN not in answer.text


def test_who_logs_in_to_a_proxy_with_a_password_sees_the_pages_by_the_session(
    reader: httpx.Client, server: str
) -> None:
    proxied = {"Authorization": basic("me:my password"), "Accept": "text/html"}
    assert reader.get("/sluiceway/runs", headers=proxied).status_code == 200
    assert httpx.get(f"{server}/sluiceway/runs", headers=proxied).status_code == 303, "to the login, not refused"


def test_no_refusal_is_a_fault_in_the_log(door: Door) -> None:
    assert "Traceback" not in door.log()
