"""Which workers a local stack shall have."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import workers
from dev.errors import StackError
from dev.stack import workers_asked_for
from dev.workers import Worker


def test_more_workers_are_like_the_last_and_take_the_names_that_are_free() -> None:
    fleet = [Worker("worker-2", 4, ("heavy",)), Worker("odd", 1, ("default",))]
    assert workers.scaled(fleet, 4) == [
        *fleet,
        Worker("worker-1", 1, ("default",)),
        Worker("worker-3", 1, ("default",)),
    ]
    assert workers.scaled(fleet, 1) == fleet[:1]
    assert workers.scaled([], 1) == [Worker("worker-1")]


def test_a_worker_is_stopped_by_its_name_alone() -> None:
    fleet = workers.several(2)
    assert workers.without(fleet, "worker-1") == [Worker("worker-2")]
    with pytest.raises(StackError, match="there is no worker 'worker-9': NAME is one of worker-1, worker-2"):
        workers.without(fleet, "worker-9")


def test_what_is_wanted_is_written_and_read_back(tmp_path: Path) -> None:
    fleet = [Worker("a", 3, ("x", "y"), "net"), Worker("b")]
    path = tmp_path / "workers.json"
    assert workers.read(path) == []
    workers.write(path, fleet)
    assert workers.read(path) == fleet


@pytest.mark.parametrize(
    ("given", "count"),
    [({}, None), ({"WORKERS": "5"}, None), ({"EXECUTOR": "celery"}, 3), ({"EXECUTOR": "celery", "WORKERS": "1"}, 1)],
)
def test_the_executor_and_the_number_come_from_make(given: dict[str, str], count: int | None) -> None:
    found = workers_asked_for(given)
    assert (None if found is None else len(found)) == count


def test_an_executor_or_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(StackError, match="EXECUTOR=dask: there is no such executor here; write EXECUTOR=celery"):
        workers_asked_for({"EXECUTOR": "dask"})
    with pytest.raises(StackError, match="WORKERS=many: write a number, as in WORKERS=3"):
        workers_asked_for({"EXECUTOR": "celery", "WORKERS": "many"})


def test_the_commands_say_what_they_want(capsys: pytest.CaptureFixture[str]) -> None:
    assert workers.main(["scale", "many"]) == 2
    assert "make workers N=5" in capsys.readouterr().out
