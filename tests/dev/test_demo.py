"""make demo waits for a table that Airflow has not read yet, and gives no link into a stack that it stops."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dev import demo
from dev.errors import StackError
from dev.stack import Stack
from sluiceway.deploy.order import contradiction
from sluiceway.errors import AirflowApiError, AirflowUnreachableError
from sluiceway.rest.airflow_api import AirflowApi

SHA = "0123456789" * 4


class Form:
    """An Airflow whose form lists one table more with each look, as its DAG processor reads files one by one."""

    def __init__(self, *looks: list[str]) -> None:
        self.looks = list(looks)
        self.asked: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        names = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {"params": {"tables": {"value": [], "schema": {"type": "array", "items": {"enum": names}}}}}


def wait(form: Form, tables: list[str], within_s: float = 5) -> None:
    demo.wait_for_tables(cast(AirflowApi, form), tables, within_s=within_s)


class Asked:
    """An Airflow that has runs already, and misses some questions."""

    def __init__(self, *taken: str, misses: int = 0, hears: bool = True, state: str = "success") -> None:
        self.runs: dict[str, dict[str, Any]] = {run_id: {} for run_id in taken}
        self.misses = misses
        self.hears = hears
        """It does what it is asked, also where its answer does not come."""
        self.state = state

    def trigger(self, _dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        exists = run_id in self.runs
        if self.hears or not self.misses:
            self.runs.setdefault(run_id, conf)
        self._answer()
        if exists:
            raise AirflowApiError("it exists", status=409)

    def run(self, _dag_id: str, _run_id: str) -> dict[str, str]:
        self._answer()
        return {"state": self.state}

    def _answer(self) -> None:
        if self.misses:
            self.misses -= 1
            raise AirflowUnreachableError("it takes too long")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "POLL_S", 0)


def test_a_table_that_was_saved_a_moment_ago_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    form = Form(["flight"], ["flight"], ["flight", "penguin"])
    wait(form, ["penguin", "flight"])
    assert len(form.asked) == 3
    assert capsys.readouterr().out.count("has not read the file of penguin yet") == 1


def test_nothing_is_asked_for_that_airflow_knows(capsys: pytest.CaptureFixture[str]) -> None:
    wait(Form(["flight"]), ["flight"])
    assert capsys.readouterr().out == ""


def test_a_table_that_airflow_never_reads_ends_in_a_sentence() -> None:
    with pytest.raises(StackError, match="TABLES names penguin, which the running Airflow does not know"):
        wait(Form(["flight"]), ["penguin"], within_s=0)


@pytest.mark.parametrize("stays", [True, False])
def test_a_link_is_given_into_a_stack_that_stays_alone(
    stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "connect", nullcontext)
    monkeypatch.setattr(demo.store, "runs", lambda *_, **__: [])
    stack = SimpleNamespace(
        url="http://127.0.0.1:46521", warehouse_url="postgresql://x", env={"SLUICEWAY_REPORTS_DIR": str(tmp_path)}
    )
    demo.verdict(cast(Stack, stack), "deploy__1", "success", [], 1.0, stays=stays)
    said = capsys.readouterr().out
    assert ("http://" in said) is stays
    assert ("`sluiceway status` says it again" in said) is stays
    assert "/dags/master_etl/runs/deploy__1" in said
    assert "Data:   unknown." in said and "/sluiceway/" in said


@pytest.mark.parametrize(("tables", "run_id"), [((), f"deploy__{SHA}"), (("flight",), f"demo__{SHA[:7]}")])
def test_the_gate_lets_the_demos_run_pass(tables: tuple[str, ...], run_id: str) -> None:
    airflow = Asked()
    assert demo.enqueue(cast(AirflowApi, airflow), SHA, tables) == run_id
    assert contradiction(run_id, airflow.runs[run_id]) is None
    assert airflow.runs[run_id].get("tables", []) == list(tables)
    second = demo.enqueue(cast(AirflowApi, airflow), SHA, tables)
    assert second == f"{run_id}__2" and contradiction(second, airflow.runs[second]) is None


def test_an_answer_that_does_not_come_in_time_is_asked_for_again(
    warehouse_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = demo._progress(cast(AirflowApi, Asked(misses=demo.SILENT - 1)), warehouse_url, "r1")
    assert list(progress) == [("success", [])]
    assert capsys.readouterr().out.count("asking again") == demo.SILENT - 1
    with pytest.raises(AirflowUnreachableError):
        list(demo._progress(cast(AirflowApi, Asked(misses=demo.SILENT)), warehouse_url, "r1"))


@pytest.mark.parametrize("hears", [True, False])
def test_a_run_whose_enqueueing_was_not_answered_is_asked_for_again_and_is_one_run(
    hears: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow = Asked(misses=demo.SILENT - 1, hears=hears, state="queued")
    assert demo.enqueue(cast(AirflowApi, airflow), SHA, ()) == f"deploy__{SHA}"
    assert list(airflow.runs) == [f"deploy__{SHA}"]
    assert capsys.readouterr().out.count("asking again") == demo.SILENT - 1
    with pytest.raises(AirflowUnreachableError):
        demo.enqueue(cast(AirflowApi, Asked(misses=demo.SILENT)), SHA, ())


def test_a_run_that_has_ended_is_not_taken_for_the_one_that_was_not_answered() -> None:
    airflow = Asked(f"deploy__{SHA}", misses=1)
    assert demo.enqueue(cast(AirflowApi, airflow), SHA, ()) == f"deploy__{SHA}__2"
