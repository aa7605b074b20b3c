"""What is told of Celery's workers, from what Celery says; tests/integration/workers asks real ones."""

from __future__ import annotations

from sluiceway import workers
from sluiceway.workers import Task, Worker


def test_a_task_is_known_by_what_airflow_gave_to_the_worker() -> None:
    told = {"args": ['{"ti": {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 3, "pool_slots": 1}}']}
    found = workers._task(told)
    assert found == Task(dag_id="d", run_id="r", task_id="t", map_index=3)
    assert str(found) == "d r t[3]"
    assert str(Task(dag_id="d", run_id="r", task_id="t")) == "d r t"


def test_a_task_of_something_else_is_none_of_airflows() -> None:
    for told in ({}, {"args": []}, {"args": ["no json"]}, {"args": ["{}"]}, {"args": [7]}):
        assert workers._task(told) is None


def test_a_worker_that_airflow_believes_to_run_something_and_that_does_not_answer_is_lost() -> None:
    running = [
        {"hostname": "here", "dag_id": "d", "dag_run_id": "r", "task_id": "a", "map_index": -1},
        {"hostname": "gone", "dag_id": "d", "dag_run_id": "r", "task_id": "b", "map_index": 0},
        {"hostname": "gone", "dag_id": "d", "dag_run_id": "r", "task_id": "b", "map_index": 1},
        {"hostname": "", "dag_id": "d", "dag_run_id": "r", "task_id": "c", "map_index": -1},
    ]
    (lost,) = workers._silent([Worker(name="here")], running)
    assert (lost.name, lost.answers, len(lost.tasks)) == ("gone", False, 2)
