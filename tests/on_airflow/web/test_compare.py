"""The page that compares two runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from tests.on_airflow.web.conftest import logged_in
from tests.on_airflow.web.door import Door

A, B = RunKey("shop", "cmp__2026-08-03T14:02:09+00:00/é"), RunKey("shop", "cmp_b")
COMMITS = {A: "a1" * 20, B: "b2" * 20}


def ran(door: Door, key: RunKey, commit: str | None = None, **tables: dict[str, Any]) -> None:
    with connect(door.warehouse) as session:
        store.open_run(session, key, commit, "manual")
        for name, told in tables.items():
            read = sum(told.get(each, 0) for each in ("inserted", "updated", "rejected"))
            loaded = {"status": "loaded", **key._asdict(), "table_name": name, "extracted": read, **told}
            store.write_table_run(session, TableRun.model_validate(loaded))
        store.close_run(session, key, "success", f"Said of {key.dag_id}.")


@pytest.fixture(scope="module", autouse=True)
def runs(door: Door) -> None:
    ran(
        door, A, COMMITS[A],
        cmp_city={"inserted": 10, "table_rows": 10, "source_columns": {"id": "int", "old": "text"}},
        cmp_calm={"inserted": 1, "table_rows": 1, "source_columns": {"id": "int"}},
        cmp_unknown={"inserted": 1, "table_rows": 1},
    )  # fmt: skip
    ran(door, RunKey("shop", "cmp_between"), cmp_city={"inserted": 5, "rejected": 2, "table_rows": 15})
    ran(
        door, B, COMMITS[B],
        cmp_city={"updated": 3, "deleted": 1, "table_rows": 14, "source_columns": {"id": "int", "new<": "text"}},
        cmp_calm={"status": "unchanged", "table_rows": 1},
        cmp_unknown={"updated": 1, "table_rows": 1},
    )  # fmt: skip


def compare(client: httpx.Client, a: RunKey | str | None, b: RunKey | str | None) -> httpx.Response:
    named = {name: str(each) for name, each in (("a", a), ("b", b)) if each is not None}
    return client.get(f"/sluiceway/runs/compare?{urlencode(named)}")


def row(text: str, table: str) -> str:
    return text.split(f"<b>{table}</b>")[1].split("</tr>")[0]


def test_the_rows_and_columns_between_two_runs_are_told(reader: httpx.Client) -> None:
    answer = compare(reader, A, B)
    assert answer.status_code == 200
    told = row(answer.text, "cmp_city")
    cells = [cell.split(">")[1] for cell in told.split("<td")[1:-1] for cell in [cell.split("</td>")[0]]]
    assert cells == ["2", "0", "10", "14", "5", "3", "1", "2"]
    assert "+ new&lt;" in told and "− old" in told
    assert "not recorded" in row(answer.text, "cmp_unknown")
    assert "As they were: cmp_calm" in answer.text


def test_the_order_in_which_they_are_named_does_not_matter(reader: httpx.Client) -> None:
    assert compare(reader, B, A).text == compare(reader, A, B).text


def test_the_page_of_a_run_leads_to_the_comparison_with_the_one_before(reader: httpx.Client) -> None:
    page = reader.get(f"/sluiceway/runs/shop/{B.run_id}").text
    between = RunKey("shop", "cmp_between")
    address = f"/sluiceway/runs/compare?a={quote(str(between), safe='')}&amp;b={quote(str(B), safe='')}"
    assert f'href="{address}"' in page
    assert reader.get(address.replace("&amp;", "&")).status_code == 200


def test_an_id_that_was_written_by_hand_into_the_address_is_found(reader: httpx.Client) -> None:
    answer = reader.get(f"/sluiceway/runs/compare?a={A.dag_id}/{A.run_id}&b={B.dag_id}/{B.run_id}")
    assert answer.status_code == 200


def test_commits_are_linked_where_the_run_says_whose_they_are(
    reader: httpx.Client, starter: httpx.Client, door: Door
) -> None:
    assert "Compare the commits" not in compare(reader, A, B).text
    told = {"repository": "shop/data", "ci_run_url": "https://forge.example/shop/data/actions/runs/7"}
    body = {"dag_run_id": "cmp_forge", "logical_date": None, "conf": told}
    starter.post("/api/v2/dags/shop/dagRuns", json=body).raise_for_status()
    ran(door, RunKey("shop", "cmp_forge"), "c3" * 20)
    link = f'href="https://forge.example/shop/data/compare/{COMMITS[A]}...{"c3" * 20}"'
    assert link in compare(reader, A, RunKey("shop", "cmp_forge")).text


@pytest.mark.parametrize(
    ("a", "b", "code", "said"),
    [
        (None, B, 400, "a names no run: write a=&lt;dag_id&gt;/&lt;run_id&gt;; the newest is "),
        (A, "", 400, "b names no run: write b="),
        (
            A,
            "shop/cmp_c",
            404,
            "b = &#39;shop/cmp_c&#39; is no run that you may read; did you mean &#39;shop/cmp_b&#39;?",
        ),
        ("cmp_b", B, 404, "a = &#39;cmp_b&#39; is no run that you may read"),
        ("shop/\0", B, 404, "is no run that you may read"),
        ("<script>", B, 404, "a = &#39;&lt;script&gt;&#39; is no run"),
        (B, B, 400, "a and b are the same run; the one before it is &#39;shop/cmp_between&#39;"),
    ],
)
def test_a_run_that_is_named_wrongly_is_one_sentence(
    reader: httpx.Client, a: RunKey | str | None, b: RunKey | str | None, code: int, said: str
) -> None:
    answer = compare(reader, a, b)
    assert answer.status_code == code and said in answer.text


def test_nobody_without_a_token_or_a_role_compares_anything(server: str, stranger: httpx.Client) -> None:
    address = f"/sluiceway/runs/compare?{urlencode({'a': str(A), 'b': str(B)})}"
    assert httpx.get(f"{server}{address}").status_code == 401
    assert stranger.get(address).status_code == 403


def of_user(fab: Door, user: str) -> Iterator[httpx.Client]:
    yield from logged_in(fab.url, user)


def test_loads_of_other_dags_are_neither_counted_nor_named(fab: Door) -> None:
    ran(fab, RunKey("shop", "cmp_1"), cmp_city={"inserted": 1, "table_rows": 1})
    ran(fab, RunKey("master_etl", "cmp_2"), cmp_city={"inserted": 40, "table_rows": 41}, cmp_hidden={"inserted": 7})
    ran(fab, RunKey("shop", "cmp_3"), cmp_city={"inserted": 2, "table_rows": 43})
    shops = RunKey("shop", "cmp_1"), RunKey("shop", "cmp_3")
    for client in of_user(fab, "shopper"):
        text = compare(client, *shops).text
        assert ">2</td>" in row(text, "cmp_city") and "cmp_hidden" not in text and "master_etl" not in text
        hidden, made_up = (compare(client, shops[0], f"master_etl/{name}") for name in ("cmp_2", "cmp_9"))
        assert hidden.status_code == made_up.status_code == 404
        assert hidden.text.replace("cmp_2", "x") == made_up.text.replace("cmp_9", "x")
    for client in of_user(fab, "both"):
        text = compare(client, *shops).text
        assert ">42</td>" in row(text, "cmp_city") and "cmp_hidden" in text
