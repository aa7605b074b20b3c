"""run_watch beside a real Airflow tells GitHub, for which a stand-in answers, what became of a commit."""

from __future__ import annotations

from typing import Any

from tests.integration.deployment import DAG_ID, name_of
from tests.integration.sensors.deploy.staging import Staging, sha_of
from tests.stand_ins.github import GITHUB_FAULTS, GitHub

DECLARED = '[github]\nkind = "status"\nrepository = "shop/web"\nconnection = "github"\n'


def test_a_commit_says_how_its_run_goes_and_ends_and_what_it_comes_to_again(staging: Staging, hub: GitHub) -> None:
    staging.settings(more=DECLARED)
    staging.parse("run_watch.py")
    sha = sha_of("told to GitHub")
    hub.commits.append(sha)
    staging.source(name_of(1), "id,value\n")
    run_id = staging.enqueue(sha)
    said(staging, hub, sha, "pending")
    hub.faults = [GITHUB_FAULTS["500"]]
    staging.deploy("told to GitHub")
    assert staging.wait(run_id) == "failed"
    refused = f"SELECT problem FROM etl.commit_status WHERE commit_sha = '{sha}' AND problem IS NOT NULL"
    ((problem,),) = staging.until(lambda: (look(staging) and staging.query(refused)) or None)
    assert "answers 500" in problem
    staging.query(f"UPDATE etl.commit_status SET next_try_at = now() WHERE commit_sha = '{sha}'")
    told = said(staging, hub, sha, "failure")
    assert told["description"].startswith(f"1 of 1 table failed: {name_of(1)} (EmptyExtractionError")
    assert told["target_url"].startswith(f"{staging.stack.url}/sluiceway/")
    assert told["target_url"].endswith(f"/{DAG_ID}/{run_id}")

    staging.restore()
    staging.api.retry(DAG_ID, run_id)
    assert staging.wait(run_id) == "success"
    assert said(staging, hub, sha, "success")["description"] == "data is at your commit"


def look(staging: Staging) -> bool:
    """Have run_watch look now: by itself it does so every half a minute."""
    run: dict[str, Any] = staging.api.trigger("run_watch", None, {})  # type: ignore[arg-type]
    return staging.wait(run["dag_run_id"], "run_watch") == "success"


def said(staging: Staging, hub: GitHub, sha: str, state: str) -> dict[str, str]:
    """What the commit says, as soon as it is in that state."""

    def newest() -> dict[str, str] | None:
        look(staging)
        found = [each for each in hub.statuses if each["sha"] == sha]
        return found[-1] if found and found[-1]["state"] == state else None

    found: dict[str, str] = staging.until(newest)
    return found
