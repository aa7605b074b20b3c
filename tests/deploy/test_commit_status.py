"""What GitHub is told of a commit, against a stand-in of its API, and what becomes of it when it cannot be told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluiceway.deploy import github
from sluiceway.deploy.commit_status import outcome_of, tell_due
from sluiceway.deploy.spec import GitHub as Declared
from sluiceway.deploy.spec import HttpEnvironment
from sluiceway.errors import SettingsError
from sluiceway.ids import MASTER
from sluiceway.ledger import store
from sluiceway.ledger.rows import RunKey, RunStatus
from sluiceway.ledger.warehouse import connect
from sluiceway.run import steps
from sluiceway.settings import Settings
from sluiceway.sources.connections import Connection
from tests.stand_ins.github import GITHUB_FAULTS, TOKEN, GitHub, limited
from tests.stand_ins.web_service import Reply

SHA, OTHER = "a" * 40, "b" * 40
RED = (
    "1 of 2 tables failed: flight (EmptyExtractionError: no rows) (log: https://airflow.example/log?x=1). "
    "Nothing was published."
)

Query = Callable[..., list[tuple[object, ...]]]


def environment(kind: str = "status", **keys: str) -> HttpEnvironment:
    """Staging, whose file has a table [github]."""
    declared = Declared.model_validate({"kind": kind, "repository": "shop/web", "connection": "github", **keys})
    return HttpEnvironment(kind="http", name="staging", url="https://staging.example/version", github=declared)


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with GitHub(commits=[SHA, OTHER]) as running:
        yield running


@pytest.fixture
def tell(warehouse_url: str, hub: GitHub) -> Callable[..., int]:
    """One look of run_watch; how many outcomes were told."""

    def connection(conn_id: str) -> Connection:
        return Connection(conn_id=conn_id, conn_type="http", host=hub.uri, password=TOKEN)

    def run(spec: HttpEnvironment | None = None, connections: Callable[[str], Connection] = connection) -> int:
        return tell_due(
            warehouse_url, spec or environment(), connections, lambda dag, run: f"https://airflow.example/{dag}/{run}"
        )

    return run


@pytest.fixture
def begin(warehouse_url: str) -> Callable[..., RunKey]:
    def run(commit: str = SHA, number: str = "", kind: str = "deploy") -> RunKey:
        key = RunKey(MASTER, f"deploy__{commit}{number}")
        with connect(warehouse_url) as session:
            store.open_run(session, key, commit, kind)
        return key

    return run


@pytest.fixture
def end(warehouse_url: str) -> Callable[..., None]:
    def run(key: RunKey, status: RunStatus, note: str | None = None) -> None:
        with connect(warehouse_url) as session:
            store.close_run(session, key, status, note)

    return run


def said(hub: GitHub) -> list[tuple[str, str]]:
    return [(each["state"], each["description"]) for each in hub.statuses]


def due_now(query: Query) -> None:
    query("UPDATE etl.commit_status SET next_try_at = now()")


def test_a_commit_says_that_its_run_goes_on_and_that_the_data_is_there(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    run = begin()
    assert tell() == 1
    end(run, "success", "2 of 2 tables loaded.")
    assert tell() == 1
    assert said(hub) == [("pending", "data is not at your commit yet"), ("success", "data is at your commit")]
    newest = hub.statuses[-1]
    assert (newest["sha"], newest["context"]) == (SHA, "sluiceway/staging")
    assert newest["target_url"] == f"https://airflow.example/{MASTER}/deploy__{SHA}"


def test_an_outcome_is_told_once(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin(), "success")
    assert [tell(), tell(), tell()] == [1, 0, 0]
    assert hub.posted == 1


def test_two_looks_at_once_tell_an_outcome_once(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin(), "success")
    ready = threading.Barrier(4)

    def look(_: int) -> int:
        ready.wait()
        return tell()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(look, range(4))) == [0, 0, 0, 1]
    assert hub.posted == 1


def test_a_red_run_says_its_sentence_without_the_address_of_its_log(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin(), "failed", RED)
    tell()
    assert said(hub) == [
        ("failure", "1 of 2 tables failed: flight (EmptyExtractionError: no rows). Nothing was published.")
    ]


def test_a_long_sentence_is_cut_to_what_github_takes(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin(), "failed", "x " * 200)
    tell()
    assert len(hub.statuses[0]["description"]) <= 140
    assert hub.statuses[0]["description"].endswith("...")


@pytest.mark.parametrize(
    ("status", "state", "of_deployment"),
    [
        ("success", "success", "success"),
        ("failed", "failure", "failure"),
        ("superseded", "error", "inactive"),
        ("abandoned", "error", "error"),
    ],
)
def test_every_end_has_a_state_of_either_kind(
    status: RunStatus,
    state: str,
    of_deployment: str,
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    query: Query,
) -> None:
    end(begin(), status, "why")
    number = hub.deploys(SHA, "staging")
    assert tell() == 1
    query("DELETE FROM etl.commit_status")
    assert tell(environment("deployment")) == 1
    assert hub.statuses[0]["state"] == state
    (of_it,) = hub.deployment_statuses
    assert (of_it["deployment_id"], of_it["state"], of_it["auto_inactive"]) == (number, of_deployment, False)
    assert of_it["log_url"] == f"https://airflow.example/{MASTER}/deploy__{SHA}"


def test_a_run_that_is_judged_again_is_told_again(
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    warehouse_url: str,
    query: Query,
) -> None:
    run = begin()
    end(run, "success")
    tell()
    # long ago: what was told of is told of again, however old the run
    query("UPDATE etl.run SET finished_at = now() - interval '9 days'")
    query("UPDATE etl.commit_status SET since = now() - interval '9 days', told_at = now() - interval '9 days'")
    with connect(warehouse_url) as session:
        store.rewrite(session, run, "failed", "flight was marked failed", None, None, "by hand")
    assert [tell(), tell()] == [1, 0]
    assert said(hub)[-1] == ("failure", "flight was marked failed")


def test_the_newest_run_of_a_commit_speaks_for_it(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin(), "failed", "red")
    end(begin(number="__2"), "success")
    assert tell() == 1
    assert said(hub) == [("success", "data is at your commit")]


def test_a_run_that_no_deploy_asked_for_says_nothing(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin(kind="manual"), "success")
    assert tell() == 0
    assert not hub.requests


def test_runs_of_before_yesterday_say_nothing_when_it_is_switched_on(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    end(begin(), "success")
    query("UPDATE etl.run SET finished_at = now() - interval '25 hours'")
    assert tell() == 0
    assert not hub.requests


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("401", "the token of the connection 'github' is wrong or has expired; write a new one as its password"),
        ("403", "give the token of the connection 'github' the permission to write 'Commit statuses' of shop/web"),
        ("403 secondary limit", "has no request left for 90 s; give Sluiceway one of its own"),
        ("404", "correct `repository`, or let the token of the connection 'github' see shop/web"),
        ("301", "shop/web has moved; write its new name as `repository`"),
        ("422", "has reached the maximum number of statuses.); is the commit in shop/web?"),
        ("429 with Retry-After", "has no request left for 7 s"),
        ("500", "answers 500"),
        ("HTML with 200", "not as GitHub does"),
        ("broken off", "does not answer"),
        ("error body with 200", "not as GitHub does"),
    ],
)
def test_what_cannot_be_told_is_a_line_is_kept_and_is_told_later(
    fault: str,
    what: str,
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    query: Query,
    caplog: pytest.LogCaptureFixture,
) -> None:
    end(begin(), "success")
    hub.faults = [GITHUB_FAULTS[fault]]
    with caplog.at_level(logging.INFO, logger="sluiceway"):
        assert tell() == 0
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("sluiceway")]
    assert what in line
    assert f"GitHub was not told that the run deploy__{SHA} of {SHA} is success" in line
    assert TOKEN not in caplog.text
    ((problem, tries),) = query("SELECT problem, tries FROM etl.commit_status")
    assert what in str(problem)
    assert tries == 1
    # not before its time
    assert tell() == 0
    due_now(query)
    assert tell() == 1
    assert said(hub) == [("success", "data is at your commit")]
    assert query("SELECT problem FROM etl.commit_status") == [(None,)]


def test_a_service_that_hangs_is_given_up_in_time(
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(github, "WITHIN_S", 0.3)
    end(begin(), "success")
    hub.faults = [GITHUB_FAULTS["time-out"]]
    assert tell() == 0
    ((problem,),) = query("SELECT problem FROM etl.commit_status")
    assert "gave no whole answer within 0.3 s" in str(problem)


def test_all_questions_about_a_commit_together_have_that_time(
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(github, "WITHIN_S", 6)
    end(begin(), "success")
    hub.faults = [Reply(200, {"statuses": []}, waits_s=3.5), Reply(201, {}, waits_s=3.5)]
    assert tell() == 0


def test_an_answer_that_was_lost_does_not_double_the_status(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    end(begin(), "success")
    answer = hub.answer

    def lose_the_first(request: object) -> Reply:
        reply = answer(request)  # type: ignore[arg-type]
        return Reply(502, b"lost") if hub.posted == 1 and request.method == "POST" else reply  # type: ignore[attr-defined]

    hub.answer = lose_the_first
    assert tell() == 0
    assert len(hub.statuses) == 1
    due_now(query)
    assert tell() == 1
    assert len(hub.statuses) == 1


def test_a_rate_limit_is_waited_for_and_no_other_commit_is_tried(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    end(begin(), "success")
    end(begin(OTHER), "success")
    hub.faults = [limited(1800)]
    assert tell() == 0
    assert len(hub.requests) == 1
    ((waits,),) = query(
        "SELECT extract(epoch FROM next_try_at - now())::int FROM etl.commit_status WHERE problem IS NOT NULL"
    )
    assert 1700 < int(str(waits)) <= 1800


def test_a_commit_that_github_does_not_know_holds_no_other_back(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    end(begin("c" * 40), "success")
    end(begin(), "success")
    assert tell() == 1
    assert [each["sha"] for each in hub.statuses] == [SHA]


def test_it_is_tried_for_a_day(
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    query: Query,
    caplog: pytest.LogCaptureFixture,
) -> None:
    end(begin(), "success")
    hub.faults = [limited(3 * 86_400)]
    assert tell() == 0
    assert "It is not tried again." in caplog.text
    query("UPDATE etl.commit_status SET next_try_at = now(), since = now() - interval '25 hours'")
    asked = len(hub.requests)
    assert tell() == 0
    assert len(hub.requests) == asked


def test_who_died_while_telling_lets_go_after_a_minute(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    end(begin(), "success")
    hub.faults = [GITHUB_FAULTS["500"]]
    tell()
    query("UPDATE etl.commit_status SET next_try_at = now(), claimed_until = now() + interval '1 minute'")
    assert tell() == 0
    query("UPDATE etl.commit_status SET claimed_until = now() - interval '1 s'")
    assert tell() == 1


def test_what_a_run_comes_to_while_another_state_is_told_is_told_next(
    tell: Callable[..., int], hub: GitHub, begin: Callable[..., RunKey], end: Callable[..., None]
) -> None:
    run = begin()
    answer = hub.answer

    def ends_meanwhile(request: object) -> Reply:
        hub.answer = answer
        end(run, "success")
        # its look finds the claim of the first, and leaves it
        assert tell() == 0
        return answer(request)  # type: ignore[arg-type]

    hub.answer = ends_meanwhile
    assert tell() == 2
    assert [state for state, _ in said(hub)] == ["pending", "success"]


def test_a_deployment_that_is_not_there_is_told_of(
    tell: Callable[..., int], begin: Callable[..., RunKey], end: Callable[..., None], hub: GitHub, query: Query
) -> None:
    end(begin(), "success")
    hub.deploys(SHA, "production")
    assert tell(environment("deployment")) == 0
    ((problem,),) = query("SELECT problem FROM etl.commit_status")
    assert problem == (
        f"shop/web has no deployment of {SHA} to 'staging' of which it could be told: correct `environment`, or let "
        f"the deploy make one"
    )
    due_now(query)
    assert tell(environment("deployment", environment="production")) == 1


def test_a_connection_without_a_token_is_a_sentence(
    tell: Callable[..., int], begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    end(begin(), "success")
    assert tell(connections=lambda conn_id: Connection(conn_id=conn_id, conn_type="github")) == 0
    assert query("SELECT problem FROM etl.commit_status") == [
        ("The connection 'github' holds no token: write one as its password.",)
    ]


def test_no_token_travels_unencrypted(
    tell: Callable[..., int], begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    end(begin(), "success")
    host = "http://github.example.org"
    assert tell(connections=lambda c: Connection(conn_id=c, conn_type="http", host=host, password=TOKEN)) == 0
    ((problem,),) = query("SELECT problem FROM etl.commit_status")
    assert "would travel unencrypted" in str(problem)


def test_a_missing_connection_is_a_sentence(
    tell: Callable[..., int], begin: Callable[..., RunKey], end: Callable[..., None], query: Query
) -> None:
    def none(conn_id: str) -> Connection:
        raise SettingsError(f"There is no connection {conn_id!r}: add it in Airflow.")

    end(begin(), "success")
    assert tell(connections=none) == 0
    assert query("SELECT problem FROM etl.commit_status") == [("There is no connection 'github': add it in Airflow.",)]


def test_a_short_commit_is_told_by_what_was_deployed(warehouse_url: str, begin: Callable[..., RunKey]) -> None:
    run = begin(SHA[:8])
    with connect(warehouse_url) as session:
        store.record_deployed_sha(session, run, SHA)
        found = store.run(session, run)
    assert found is not None
    assert outcome_of(found).commit_sha == SHA


def test_what_was_told_is_forgotten_with_the_runs(
    warehouse_url: str,
    tell: Callable[..., int],
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    query: Query,
    tmp_path: Path,
) -> None:
    end(begin(), "success")
    end(begin(OTHER), "success")
    tell()
    query("UPDATE etl.commit_status SET since = now() - interval '91 days' WHERE commit_sha = %s", SHA)
    steps.cleanup_history(warehouse_url, Settings(reports_dir=tmp_path))
    assert query("SELECT commit_sha FROM etl.commit_status") == [(OTHER,)]


def test_a_token_that_an_answer_repeats_is_shown_nowhere(
    tell: Callable[..., int],
    hub: GitHub,
    begin: Callable[..., RunKey],
    end: Callable[..., None],
    query: Query,
    caplog: pytest.LogCaptureFixture,
) -> None:
    end(begin(), "success")
    hub.faults = [Reply(401, {"message": f"Bad credentials: Bearer {TOKEN}"})]
    with caplog.at_level(logging.DEBUG):
        assert tell() == 0
    ((problem,),) = query("SELECT problem FROM etl.commit_status")
    assert "Bad credentials: ***" in str(problem)
    assert TOKEN not in f"{problem}{caplog.text}"
