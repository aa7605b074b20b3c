from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
import pytest

from sluiceway.ledger.store import RunKey
from tests.on_airflow.web.door import Door
from tests.on_airflow.web.runs import in_ledger

RUN = "manual__2026-08-03T14:02:09+00:00/x y%2F?#"
KEY = RunKey("shop", RUN)
ADDRESS = f"/sluiceway/runs/shop/{quote(RUN, safe='')}"
OLD = ADDRESS.replace("/runs/", "/reports/")
ADDRESSES = [ADDRESS, "/sluiceway/runs", "/sluiceway/runs/shop/nobody", OLD, "/sluiceway/reports/nobody"]
SENTENCE = "only_here was loaded."


@pytest.fixture(autouse=True)
def report(door: Door) -> None:
    in_ledger(door, KEY, sentence=SENTENCE)


def test_a_reader_of_the_runs_sees_the_report(reader: httpx.Client) -> None:
    answer = reader.get(ADDRESS)
    assert answer.status_code == 200
    assert SENTENCE in answer.text


def test_a_token_in_the_header_does_as_well(server: str, reader: httpx.Client) -> None:
    token = reader.cookies["_token"]
    answer = httpx.get(f"{server}{ADDRESS}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200 and "only_here" in answer.text


def test_a_report_may_neither_run_nor_fetch_nor_be_kept(reader: httpx.Client) -> None:
    headers = reader.get(ADDRESS).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_without_a_token_learns_anything(server: str, address: str) -> None:
    answer = httpx.get(f"{server}{address}")
    assert answer.status_code == 401 and answer.json() == {"detail": "Not authenticated"}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_user_who_may_not_read_runs_is_refused(stranger: httpx.Client, address: str) -> None:
    answer = stranger.get(address)
    assert answer.status_code == 403
    assert "You may not see this" in answer.text and "only_here" not in answer.text


def test_a_made_up_token_is_refused(server: str) -> None:
    answer = httpx.get(f"{server}{ADDRESS}", headers={"Authorization": "Bearer made.up.token"})
    assert answer.status_code == 403 and "only_here" not in answer.text


def test_a_browser_without_a_token_goes_to_the_login_page_and_back(server: str, reader: httpx.Client) -> None:
    answer = httpx.get(f"{server}{ADDRESS}", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    with httpx.Client(base_url=server, follow_redirects=True) as browser:
        login = browser.get(answer.headers["location"])
    assert login.status_code == 200 and urlsplit(str(login.url)).path == "/auth/login"
    (back,) = parse_qs(urlsplit(str(login.url)).query)["next"]
    assert unquote(back) == unquote(ADDRESS)
    assert reader.get(back).status_code == 200


def test_a_run_without_a_report_says_so(reader: httpx.Client) -> None:
    answer = reader.get("/sluiceway/runs/shop/nobody%3Cscript%3E")
    assert answer.status_code == 404
    assert "There is no report of run nobody&lt;script&gt;." in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_list_leads_to_each_report(reader: httpx.Client) -> None:
    text = reader.get("/sluiceway/runs").text
    assert f'href="{ADDRESS}"' in text and SENTENCE in text


def test_the_menu_entry_and_the_pages_are_registered(reader: httpx.Client) -> None:
    answer = reader.get("/sluiceway/nothing")
    assert answer.status_code == 404
    assert '<div id="root">' not in answer.text  # the plugin answered, not the UI's catch-all
