"""DAGs of other teams, as docs/how-to/follow.md shows them, start when a table or a view has changed, and not else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.deployment import ENDED, ROWS, Deployment, csv_of
from tests.integration.master.conftest import FOLLOWERS

SHA = "f" * 40
TELLS = {"city_map": "draw", "city_page": "write", "catalogue": "note"}
EVENTS = """
    SELECT a.name, e.extra, e.source_run_id FROM asset_event e JOIN asset a ON a.id = e.asset_id
    WHERE a.name LIKE 'warehouse/%%' ORDER BY e.id
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def followed(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment, in which t01, t02 and the view over t01 stand, and each follower has had its first run.

    That one sees what came while its DAG was paused, too.
    """
    for each in FOLLOWERS:
        deployment.api.patch(f"dags/{each}", {"is_paused": False})
    deployment.source("t01", csv_of(ROWS, value="first"))
    deployment.run(tables=["t01", "t02"], force=True)
    settled(deployment)
    yield deployment
    for each in FOLLOWERS:
        deployment.api.patch(f"dags/{each}", {"is_paused": True})
    deployment.query("DELETE FROM t01 WHERE id > %s", ROWS)


def settled(deployment: Deployment) -> dict[str, set[str]]:
    """Wait until followers have taken every event and nothing of theirs goes on; their runs."""

    def ended() -> dict[str, set[str]] | None:
        waiting = deployment.metadata("SELECT 1 FROM asset_dag_run_queue WHERE target_dag_id = ANY (%s)", [*FOLLOWERS])
        runs = {each: deployment.runs(each) for each in FOLLOWERS}
        all_ended = all(run["state"] in ENDED for those in runs.values() for run in those.values())
        return {each: set(those) for each, those in runs.items()} if not waiting and all_ended else None

    return deployment.until(ended)


def events(deployment: Deployment) -> list[dict[str, Any]]:
    return deployment.metadata(EVENTS)


def seen(deployment: Deployment, follower: str, run_id: str) -> list[dict[str, Any]]:
    """What a run of a follower was told."""
    path = f"dags/{follower}/dagRuns/{run_id}/taskInstances/{TELLS[follower]}/xcomEntries/return_value"
    found: list[dict[str, Any]] = deployment.api.get(path, stringify="false")["value"]
    return found


def test_a_follower_runs_once_after_a_load_that_changed_rows_and_sees_its_counts_and_not_after_one_that_did_not(
    followed: Deployment,
) -> None:
    before = settled(followed)
    followed.source("t01", csv_of(ROWS + 1, value="second"))
    run_id = followed.run(tables=["t01", "t02"], commit_sha=SHA)
    assert followed.state(run_id) == "success"
    after = settled(followed)
    (of_table,), (of_view,) = (after[each] - before[each] for each in ("city_map", "city_page"))
    source = {"dag_id": "master_etl", "run_id": run_id, "commit": SHA}

    (load,) = seen(followed, "city_map", of_table)
    assert source.items() <= load.items()
    counts = ("table", "extracted", "inserted", "updated", "unchanged", "rejected", "table_rows")
    assert [load[each] for each in counts] == ["t01", ROWS + 1, 1, ROWS, 0, 0, ROWS + 1]

    (view,) = seen(followed, "city_page", of_view)
    assert source.items() <= view.items()
    assert (view["view"], view["tables"]) == ("published", ["t01"])

    told = [each for run in after["catalogue"] - before["catalogue"] for each in seen(followed, "catalogue", run)]
    assert sorted(each.get("table") or each["view"] for each in told) == ["published", "t01"]

    known = events(followed)
    assert followed.state(followed.run(tables=["t01", "t02"])) == "success"
    assert followed.state(followed.run(tables=["t01", "t02"], force=True)) == "success"
    assert events(followed) == known
    assert settled(followed) == after


def test_what_is_cleared_tells_no_second_time(followed: Deployment) -> None:
    run_id = followed.run(tables=["t01"], force=True)
    followed.source("t01", csv_of(ROWS, value="third"))
    run_id = followed.run(tables=["t01"])
    known = events(followed)
    assert [each["name"] for each in known if each["source_run_id"] == run_id] == [
        "warehouse/t01",
        "warehouse/published",
    ]
    followed.clear(run_id)
    assert followed.wait(run_id) == "success"
    assert followed.tasks(run_id)["sub.load_table[t01]"]["try_number"] == 2
    assert events(followed) == known


def test_a_red_run_tells_of_the_table_that_it_changed_and_the_run_that_publishes_it_of_the_view(
    followed: Deployment,
) -> None:
    followed.source("t01", csv_of(ROWS, value="fourth"))
    followed.source("t02", "id,value\n")
    red = followed.run(tables=["t01", "t02"])
    assert followed.state(red) == "failed"
    assert [each["name"] for each in events(followed) if each["source_run_id"] == red] == ["warehouse/t01"]
    followed.source("t02", csv_of(ROWS))
    green = followed.run(tables=["t01", "t02"])
    assert followed.state(green) == "success"
    told = [each["name"] for each in events(followed) if each["source_run_id"] == green]
    assert told == ["warehouse/published"]
