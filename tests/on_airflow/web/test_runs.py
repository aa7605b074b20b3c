"""The pages of runs: whose they are, and what they say of a run that was changed after its verdict."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import psycopg
import pytest

from sluiceway.ledger import locks, store
from sluiceway.ledger.store import RunKey, RunStatus
from sluiceway.ledger.warehouse import connect
from sluiceway.run.opening import Opening
from sluiceway.run.report.model import TableMap
from sluiceway.run.report.write import report_file, write_report
from sluiceway.run.steps import close_ledger
from tests.on_airflow.web.door import Door, timed
from tests.on_airflow.web.runs import GOOD, SENTENCE, in_airflow, in_ledger
from tests.run.report.builders import a_report, a_table

Post = Callable[[str], RunKey]


def address(key: RunKey) -> str:
    return f"/sluiceway/runs/{quote(key.dag_id, safe='')}/{quote(key.run_id, safe='')}"


@pytest.fixture
def post(starter: httpx.Client) -> Post:
    """Makes a run of a DAG in Airflow."""

    def make(dag_id: str) -> RunKey:
        run_id = f"by_hand__{uuid4().hex[:8]}"
        body = {"dag_run_id": run_id, "logical_date": None}
        starter.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body).raise_for_status()
        return RunKey(dag_id, run_id)

    return make


@pytest.fixture
def good(door: Door, post: Post) -> RunKey:
    """A green run of master_etl, as ledger and Airflow have it."""
    key = post("master_etl")
    in_ledger(door, key)
    in_airflow(door, key)
    return key


def mark(starter: httpx.Client, key: RunKey, task: str, state: str) -> None:
    path = f"/api/v2/dags/{key.dag_id}/dagRuns/{key.run_id}/taskInstances/{task}"
    starter.patch(path, json={"new_state": state}).raise_for_status()


def clear(starter: httpx.Client, key: RunKey, *tasks: object) -> None:
    body = {"dag_run_id": key.run_id, "dry_run": False, "only_failed": False, "task_ids": tasks}
    starter.post(f"/api/v2/dags/{key.dag_id}/clearTaskInstances", json=body).raise_for_status()


def test_a_run_without_a_file_has_its_page(reader: httpx.Client, good: RunKey) -> None:
    answer = reader.get(address(good))
    assert answer.status_code == 200
    assert "Green" in answer.text and SENTENCE in answer.text and 'class="remark"' not in answer.text


def test_a_person_who_marks_a_task_after_the_verdict_is_named(
    reader: httpx.Client, starter: httpx.Client, good: RunKey
) -> None:
    mark(starter, good, "final.aggregate", "failed")
    text = reader.get(address(good)).text
    assert "Red: final.aggregate" in text
    assert "Changed after its verdict (final.aggregate marked failed by starter at " in text
    assert "final.aggregate success -&gt; failed" in text


def test_the_person_is_still_named_when_the_ledger_has_been_put_right(
    reader: httpx.Client, starter: httpx.Client, good: RunKey, door: Door
) -> None:
    mark(starter, good, "final.aggregate", "failed")
    with psycopg.connect(door.warehouse) as ledger:
        ledger.execute(
            "UPDATE etl.run SET status = 'failed', note = 'x', remark = 'Changed after its verdict: y.', "
            """judged = judged || '{"final.aggregate": "failed"}' WHERE run_id = %s""",
            (good.run_id,),
        )
    assert "final.aggregate marked failed by starter at " in reader.get(address(good)).text


def test_somebody_who_was_not_allowed_to_mark_is_not_named(
    reader: httpx.Client, starter: httpx.Client, good: RunKey
) -> None:
    path = f"/api/v2/dags/{good.dag_id}/dagRuns/{good.run_id}/taskInstances/plan"
    mark(starter, good, "plan", "failed")
    assert reader.patch(path, json={"new_state": "failed"}).status_code == 403
    text = reader.get(address(good)).text
    assert "plan marked failed by starter at" in text and "by reader" not in text


def test_a_run_that_a_person_marked_is_told_so(reader: httpx.Client, starter: httpx.Client, good: RunKey) -> None:
    starter.patch(f"/api/v2/dags/{good.dag_id}/dagRuns/{good.run_id}", json={"state": "failed"}).raise_for_status()
    text = reader.get(address(good)).text
    assert "Airflow shows the run as failed" in text and "the run marked failed by starter at " in text


def test_a_cleared_task_reopens_the_verdict_that_is_shown(
    reader: httpx.Client, starter: httpx.Client, good: RunKey
) -> None:
    clear(starter, good, ["sub.load_table", 1])
    text = reader.get(address(good)).text
    assert "Running" in text and "A part of the run runs again (sub.load_table[1] cleared by starter at " in text
    assert f"It was judged success before: {SENTENCE}" in text
    assert 'class="state running"' in reader.get("/sluiceway/runs").text


def test_an_aggregate_that_was_marked_success_by_hand_has_published_nothing(
    reader: httpx.Client, starter: httpx.Client, door: Door, post: Post
) -> None:
    key = post("master_etl")
    failed = {"final.aggregate": "failed"}
    error = "column x does not exist"
    sentence = f"final.aggregate failed: ValueError: {error} (log: https://airflow.example/final.aggregate). "
    in_ledger(
        door, key, status="failed", sentence=f"{sentence}Nothing was published.", states={**GOOD, **failed},
        published=False, errors={"final.aggregate": error},
    )  # fmt: skip
    in_airflow(door, key, state="failed", states={**failed, "verdict": "failed"})
    before = reader.get(address(key)).text
    assert before.count(error) == 1 and 'href="https://airflow.example/final.aggregate"' in before
    mark(starter, key, "final.aggregate", "success")
    # Airflow clears the failed tasks behind one that is marked: the verdict is spoken again
    running = reader.get(address(key)).text
    assert "Running" in running and "runs again (final.aggregate marked success by starter at " in running
    close_ledger(door.warehouse, Opening(key, None, "manual", None), GOOD)
    ended = "UPDATE task_instance SET state = 'failed' WHERE run_id = '{0}' AND task_id = 'verdict'; "
    door.metadata((ended + "UPDATE dag_run SET state = 'failed' WHERE run_id = '{0}'").format(key.run_id))
    text = reader.get(address(key)).text
    assert "<h1>Red" in text and "Nothing was published." in text and "has not published" in text
    assert "By hand: final.aggregate marked success by starter at " in text and "marked success by hand</span>" in text


def test_ci_is_told_the_status_and_the_sentence_alone(
    reader: httpx.Client, starter: httpx.Client, good: RunKey
) -> None:
    as_json = {"Accept": "application/json"}
    assert reader.get(address(good), headers=as_json).json() == {
        **good._asdict(),
        "status": "success",
        "sentence": SENTENCE,
    }
    mark(starter, good, "final.aggregate", "failed")
    found = reader.get(address(good), headers=as_json).json()
    assert found["status"] == "failed" and "marked failed by starter" in found["sentence"]


def test_a_run_that_ended_before_its_first_task_is_no_good_one_before_it_has_a_row(
    reader: httpx.Client, starter: httpx.Client, door: Door, post: Post
) -> None:
    key = post("master_etl")
    as_json = {"Accept": "application/json"}
    assert reader.get(address(key), headers=as_json).status_code == 404, "it waits"
    in_airflow(door, key, states=dict.fromkeys([*GOOD, "verdict"], "skipped"))
    found = reader.get(address(key), headers=as_json).json()
    assert found["status"] == "failed" and "its verdict is skipped in Airflow" in found["sentence"]
    shown = reader.get(address(key))
    assert shown.status_code == 404 and "its verdict is skipped in Airflow" in shown.text


def test_a_run_of_a_dag_without_a_verdict_has_no_report(reader: httpx.Client, starter: httpx.Client) -> None:
    starter.post("/api/v2/dags/plain/dagRuns", json={"dag_run_id": "p1", "logical_date": None}).raise_for_status()
    starter.patch("/api/v2/dags/plain/dagRuns/p1", json={"state": "success"}).raise_for_status()
    for accepted in ("application/json", "text/html"):
        assert reader.get("/sluiceway/runs/plain/p1", headers={"Accept": accepted}).status_code == 404


def test_the_maps_come_from_what_the_run_kept(reader: httpx.Client, good: RunKey, reports_dir: Path) -> None:
    drawing = TableMap(style="dots", width=10, height=10, dot=2, path="M1 1h7", sampled=False)
    page = write_report(a_report(a_table("a", map=drawing), **good._asdict()), reports_dir)
    assert "M1 1h7" in reader.get(address(good)).text
    page.with_suffix(".json").unlink()
    answer = reader.get(address(good))
    assert answer.status_code == 200 and "M1 1h7" not in answer.text


def test_the_same_run_id_of_two_dags_has_two_pages(
    reader: httpx.Client, starter: httpx.Client, door: Door, post: Post
) -> None:
    key = post("master_etl")
    other = RunKey("shop", key.run_id)
    in_ledger(door, key, sentence="This is the master's.")
    in_ledger(door, other, sentence="This is the shop's.")
    assert "This is the master's." in reader.get(address(key)).text.replace("&#39;", "'")
    assert "This is the shop's." in reader.get(address(other)).text.replace("&#39;", "'")
    listed = reader.get("/sluiceway/runs").text
    assert f'href="{address(key)}"' in listed and f'href="{address(other)}"' in listed


def test_an_old_address_leads_to_the_page_of_the_run(reader: httpx.Client, good: RunKey, door: Door) -> None:
    odd = RunKey("shop", "manual__2026-08-03T14:02:09+00:00/x y%2F?#ü")
    in_ledger(door, odd)
    quoted = quote(odd.run_id, safe="")
    # before DAGs had reports of their own, a run of master_etl had its address to itself
    for old, new in {
        good.run_id: address(good),
        f"master_etl/{good.run_id}": address(good),
        f"shop/{quoted}": address(odd),
    }.items():
        answer = reader.get(f"/sluiceway/reports/{old}")
        assert (answer.status_code, answer.headers["location"]) == (307, new)
        assert reader.get(new).status_code == 200
    answer = reader.get("/sluiceway/reports")
    assert (answer.status_code, answer.headers["location"]) == (307, "/sluiceway/runs")


def test_an_old_program_of_ci_is_answered_at_the_old_address(reader: httpx.Client, good: RunKey) -> None:
    """urllib takes no token along to where it is sent."""
    answer = reader.get(address(good).replace("runs", "reports"), headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["status"]) == (200, "success")


def test_a_run_of_the_command_line_has_its_page_and_is_in_no_list(reader: httpx.Client, door: Door) -> None:
    key = RunKey("cli", "cli__1")
    in_ledger(door, key, published=False)
    answer = reader.get(address(key))
    assert answer.status_code == 200 and SENTENCE in answer.text and "Green" in answer.text
    assert "sluiceway tables run" in answer.text
    assert "/dags/cli" not in answer.text and "compare" not in answer.text, "there is no such DAG"
    assert "maps of this run are not here" not in answer.text
    as_json = reader.get(address(key), headers={"Accept": "application/json"})
    assert as_json.json() == {**key._asdict(), "status": "success", "sentence": SENTENCE}
    assert "cli__1" not in reader.get("/sluiceway/runs").text
    gone = reader.get(address(RunKey("cli", "cli__2")))
    assert gone.status_code == 404
    assert "There is no run cli__2 of `sluiceway tables run`; `sluiceway runs list` shows those there are." in gone.text


def of_command_line(
    door: Door, run_id: str, status: RunStatus, note: str | None = None, table: dict[str, Any] | None = None
) -> RunKey:
    """A run as `sluiceway tables run` leaves it, beside which there is a job."""
    key = RunKey("cli", run_id)
    with connect(door.warehouse) as session:
        store.open_run(session, key, commit_sha=None, trigger_kind="cli")
        store.plan_tables(session, key, ["a"])
        if table:
            store.write_table_run(session, store.TableRun(**key._asdict(), table_name="a", **table))
        if status != "running":
            store.close_run(session, key, status, note)
    with psycopg.connect(door.as_role("sluiceway_owner")) as ledger:
        ledger.execute(
            "INSERT INTO etl_jobs.item (job, item, state) VALUES ('others_job', 'one', 'due') ON CONFLICT DO NOTHING"
        )
    return key


@pytest.mark.parametrize(
    ("status", "note", "table", "sentence"),
    [
        (
            "success",
            None,
            {"status": "loaded", "extracted": 1_234, "inserted": 1_200, "updated": 4, "unchanged": 29, "rejected": 1},
            "The table was loaded: 1,234 rows read, 1,200 inserted, 4 updated, 0 deleted, 1 rejected.",
        ),
        (
            "success",
            None,
            {"status": "loaded", "extracted": 1, "inserted": 1},
            "The table was loaded: 1 row read, 1 inserted, 0 updated, 0 deleted, 0 rejected.",
        ),
        ("success", None, {"status": "unchanged"}, "The source is unchanged since its last load: nothing was loaded."),
        ("failed", "a: no rows", {"status": "failed", "error_type": "E", "error": "a: no rows"}, "a: no rows"),
        ("running", None, {}, "The table is being loaded."),
        (
            "abandoned",
            None,
            {},
            "Its process is gone without a word (killed, or its machine went down): `sluiceway runs",
        ),
    ],
)
def test_a_run_of_the_command_line_tells_of_itself_alone(
    status: RunStatus, note: str | None, table: dict[str, Any], sentence: str, reader: httpx.Client, door: Door
) -> None:
    written: RunStatus = "running" if status == "abandoned" else status
    key = of_command_line(door, f"cli__{uuid4().hex[:6]}", written, note, table)
    lives = locks.hold(door.warehouse, locks.of_run(key), application_name="a test")
    try:
        with lives if status == "running" else nullcontext():
            text = reader.get(address(key)).text
            as_json = reader.get(address(key), headers={"Accept": "application/json"}).json()
        assert sentence in text
        for not_its_own in (
            "others_job", "<h2>Jobs</h2>", "verdict yet", "1 tables", "All tables", "as the verdict saw it",
            "Published", "Served when", "its task",
        ):  # fmt: skip
            assert not_its_own not in text, not_its_own
        assert "did to its table." in text and "as the command left it" in text
        assert as_json["sentence"].startswith(sentence)
        assert as_json == {**key._asdict(), "status": status, "sentence": as_json["sentence"]}
        of_a_dag = RunKey("shop", key.run_id)
        in_ledger(door, of_a_dag)
        assert "others_job" in reader.get(address(of_a_dag)).text, "beside a run of tables all jobs are shown"
    finally:
        with psycopg.connect(door.as_role("sluiceway_owner")) as ledger:
            ledger.execute("DELETE FROM etl_jobs.item WHERE job = 'others_job'")
            ledger.execute("DELETE FROM etl.run WHERE dag_id = 'cli' AND run_id = %s", [key.run_id])


@pytest.mark.parametrize(
    "address",
    [
        "..%2F..%2Fserver.log", "..%2F..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "shop/..%2F..%2Fserver.log",
        "shop/%00", "%00/x", "shop/%FF", "%FF/x", "shop/%ED%A0%80", "~/x", "shop/", "shop/%3Cscript%3E", "sh'op/x'",
        "shop/x%0Ay",
    ],
)  # fmt: skip
def test_a_hostile_address_is_no_report_and_no_error(reader: httpx.Client, address: str) -> None:
    for place in ("runs", "reports"):
        answer = reader.get(f"/sluiceway/{place}/{address}", follow_redirects=True)
        assert answer.status_code == 404 and answer.text.count("<script") <= 1, place


def test_a_run_of_a_hostile_id_has_its_page(reader: httpx.Client, door: Door) -> None:
    for run_id in ("x/../y", "a b%2F?#<script>", "'; DROP TABLE etl.run; --"):
        key = RunKey("shop", run_id)
        in_ledger(door, key)
        answer = reader.get(address(key))
        assert answer.status_code == 200 and SENTENCE in answer.text and answer.text.count("<script") == 1


def test_without_the_ledger_the_page_as_it_was_written_is_served_and_says_so(
    without_ledger: str, reader: httpx.Client, good: RunKey, reports_dir: Path
) -> None:
    write_report(a_report(a_table("only_here"), **good._asdict()), reports_dir)
    assert (reports_dir / report_file(good)).is_file()
    with httpx.Client(base_url=without_ledger, cookies=reader.cookies, headers={"Accept": "text/html"}) as client:
        kept = client.get(address(good))
        assert kept.status_code == 200 and "only_here" in kept.text
        assert "The ledger does not answer. This page is as the run" in kept.text
        gone = client.get(address(RunKey("shop", "nobody")))
        assert gone.status_code == 503 and "Not at the moment" in gone.text
        assert client.get("/sluiceway/runs").status_code == 503


def test_whatever_cannot_be_answered_at_the_moment_says_when_to_ask_again(
    without_ledger: str, reader: httpx.Client
) -> None:
    with httpx.Client(base_url=without_ledger, cookies=reader.cookies) as client:
        asked = [
            client.get(f"/sluiceway/{path}", headers={"Accept": accept})
            for path in (
                "runs",
                "runs/shop/x",
                "runs/cli/x",
                "runs/compare?a=shop/a&b=shop/b",
                "tables/t",
                "api/triggers",
            )
            for accept in ("text/html", "application/json")
        ]
    faces = ("api/status.json", "badge.json", "badge.svg", "metrics")
    token = {"Authorization": "Bearer slw_" + "x" * 43}
    asked += [httpx.get(f"{without_ledger}/sluiceway/{face}", headers=token) for face in faces]
    asked += [
        httpx.post(f"{without_ledger}/sluiceway/hooks/bare", content=body, headers=timed(body)) for body in [b"{}"]
    ]
    for answer in asked:
        assert answer.status_code == 503, answer.url
        assert int(answer.headers["Retry-After"]) > 0, answer.url


def test_a_hundred_runs_are_listed_with_the_statements_of_ten(
    reader: httpx.Client, starter: httpx.Client, door: Door, post: Post
) -> None:
    """What a page asks both databases does not grow with the runs that it shows."""
    for number in range(100):
        key = post("shop")
        in_ledger(door, key)
        in_airflow(door, key)
        if number == 9:
            mark(starter, key, "plan", "failed")
            few = _statements(reader)
    listed = reader.get("/sluiceway/runs").text
    assert listed.count('class="state ') == 100 and "plan marked failed by starter" in listed
    assert 0 < _statements(reader) <= few


def _statements(reader: httpx.Client) -> int:
    """How many statements the list takes."""
    reader.get("/sluiceway/runs").raise_for_status()  # what a process asks once
    return int(reader.get("/sluiceway/runs").raise_for_status().headers["X-Statements"])
