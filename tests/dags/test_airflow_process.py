"""The process that the tests of DAGs share: its programs see nothing of each other, and one that fails says why."""

from __future__ import annotations

import pytest

from tests.dags.airflow_process import Deployment

LEAVE = """
import json, os, sys
import sluiceway.settings
os.environ["SLUICEWAY_GROUPS"] = "left"
json.dump("left", sys.stdout)
"""
LOOK = """
import json, os, sys
json.dump(["sluiceway" in sys.modules, os.environ.get("SLUICEWAY_GROUPS"), sys.argv[1:]], sys.stdout)
"""


def test_a_program_sees_nothing_of_the_one_before(airflow: Deployment) -> None:
    assert airflow.run(LEAVE) == "left"
    assert airflow.run(LOOK, "mine") == [False, None, ["mine"]]
    assert airflow.having(SLUICEWAY_GROUPS="own").run(LOOK) == [False, "own", []]


@pytest.mark.parametrize("code", ["raise ValueError('no such DAG')", "import sys; sys.exit('no such DAG')"])
def test_a_program_that_fails_says_why_and_the_next_one_runs(airflow: Deployment, code: str) -> None:
    with pytest.raises(AssertionError, match="no such DAG"):
        airflow.run(code)
    assert airflow.run(LOOK)[0] is False


def test_what_airflow_reads_once_cannot_be_asked_for_later(airflow: Deployment) -> None:
    with pytest.raises(AssertionError, match="an Airflow of its own is needed"):
        airflow.having(AIRFLOW__CORE__DAGS_FOLDER="/elsewhere").run(LOOK)
