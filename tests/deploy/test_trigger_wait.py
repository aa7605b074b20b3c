"""`trigger.py --wait`: ends when the data belongs to the commit, or when it is known that it will not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluiceway.deploy import trigger
from tests.stand_ins.airflow_rest import PASSWORD, USERNAME, AirflowRest

SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"
RUN = f"deploy__{SHA}"
Wait = Callable[..., int]


@pytest.fixture
def airflow() -> Iterator[AirflowRest]:
    with AirflowRest() as service:
        service.add_dag()
        yield service


@pytest.fixture
def wait(airflow: AirflowRest, monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Starts the commit's run and waits; the exit code."""
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "AIRFLOW_TOKEN", "AIRFLOW_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_USERNAME", USERNAME)
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)
    monkeypatch.setattr(trigger, "DATA_POLL_S", 0.02)
    monkeypatch.setattr(trigger, "OVERTAKEN_S", 0.1)
    return lambda *more: trigger.main(["--url", airflow.uri, "--commit", SHA, "--wait", "60", *more])


def said(status: str, sentence: str = "It says so.") -> dict[str, str]:
    return {"status": status, "sentence": sentence}


def data(*commits: str | None, all_of: str | None = None, environment: bool = True) -> dict[str, Any]:
    """A status.json of tables with these commits."""
    return {
        "version": 1,
        "status": {"indicator": "none", "description": "There is no table."},
        "environment": {"name": "staging", "data_commit": all_of} if environment else None,
        "tables": [{"table": f"table_{number}", "commit": commit} for number, commit in enumerate(commits)],
    }


def test_it_waits_until_the_data_belongs_to_the_commit(
    airflow: AirflowRest, wait: Wait, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, status = [0], trigger.Airflow.status

    def comes(self: trigger.Airflow) -> trigger.Answer:
        asked[0] += 1
        airflow.reports[RUN] = said("success" if asked[0] > 4 else "running")
        # a green run of which a second kept document does not know yet is no reason to give up
        airflow.data = data(SHA, SHA, all_of=SHA) if asked[0] > 6 else data(OTHER, SHA)
        return status(self)

    monkeypatch.setattr(trigger.Airflow, "status", comes)
    monkeypatch.setattr(trigger, "OVERTAKEN_S", 60)
    assert wait() == 0
    shown = capsys.readouterr()
    assert shown.out == f"{airflow.uri}/dags/master_etl/runs/{RUN}\n"
    assert f"its run {RUN} is running; 1 of 2 tables holds other data: table_0 ({OTHER})" in shown.err
    assert shown.err.endswith(f"The data of all 2 tables belongs to {SHA}.\n")
    assert shown.err.count("is running;") == 1, "told once"


@pytest.mark.parametrize("status", ["failed", "abandoned", "superseded"])
def test_a_red_or_superseded_run_ends_the_wait(
    status: str, airflow: AirflowRest, wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.data, airflow.reports[RUN] = data(OTHER), said(status, "city: no rows\n::error::x")
    assert wait() == 6
    assert f"its run {RUN} is {status}: city: no rows ::error::x\n" in capsys.readouterr().err


def test_a_short_commit_that_the_service_publishes_is_the_same(airflow: AirflowRest, wait: Wait) -> None:
    airflow.data, airflow.reports[RUN] = data(SHA[:8], all_of=SHA[:8]), said("running")
    assert wait() == 0


def test_of_one_table_it_is_not_said_that_there_are_several(
    airflow: AirflowRest, wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.data, airflow.reports[RUN] = data(SHA, all_of=SHA), said("success")
    assert wait() == 0
    assert f"The data of the one table belongs to {SHA}.\n" in capsys.readouterr().err


def test_a_table_that_a_red_run_has_loaded_for_the_commit_is_not_enough(airflow: AirflowRest, wait: Wait) -> None:
    airflow.data, airflow.reports[RUN] = data(SHA, SHA, all_of=None), said("failed")
    assert wait() == 6


@pytest.mark.parametrize(("status", "code"), [("success", 0), ("failed", 6)])
def test_without_an_environment_the_runs_verdict_says_whether_its_tables_are_green(
    status: str, code: int, airflow: AirflowRest, wait: Wait
) -> None:
    airflow.data, airflow.reports[RUN] = data(SHA, SHA, environment=False), said(status)
    assert wait() == code


def test_other_data_after_a_green_run_ends_the_wait(
    airflow: AirflowRest, wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.data, airflow.reports[RUN] = data(SHA, OTHER), said("success")
    assert wait() == 6
    assert f"was green, and 1 of 2 tables holds other data: table_1 ({OTHER})" in capsys.readouterr().err


def test_when_the_time_is_over_the_last_answer_is_told(
    airflow: AirflowRest, wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.data = data(OTHER, None)
    assert wait("--wait", "0.2") == 6
    assert f"The 0.2 s are over (--wait), and its run {RUN} has no report yet; 2 of 2" in capsys.readouterr().err


def test_an_airflow_that_is_silent_for_a_while_ends_no_wait_and_one_that_stays_silent_is_3(
    airflow: AirflowRest, wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.data, airflow.reports[RUN] = data(SHA, all_of=SHA), said("success")
    airflow.fault("status", times=2, path="status.json", status=503)
    assert wait("--timeout", "1") == 0
    airflow.fault("status", times=10_000, path="status.json", status=503)
    assert wait("--timeout", "1", "--wait", "1.5") == 3
    assert "The 1.5 s are over (--wait), and No answer from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (None, "has no /sluiceway/api/status.json: deploy a newer Sluiceway"),
        ((403, {"detail": "You may read the runs of no DAG."}), "does not say how the data stands: 403 You may read"),
        ((200, {"version": 2}), "does not say how the data stands: 200"),
    ],
)
def test_a_document_that_cannot_be_read_is_told_at_once(
    fault: tuple[int, Any] | None, said: str, airflow: AirflowRest, wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    if fault is not None:
        airflow.fault("status", times=99, path="status.json", status=fault[0], body=fault[1])
    assert wait() == 3
    assert said in capsys.readouterr().err


def test_without_wait_nothing_is_waited_for(airflow: AirflowRest, wait: Wait) -> None:
    assert wait("--wait", "0") == 0
    assert airflow.asked("GET", "status.json") == 0
