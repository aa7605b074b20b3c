"""The jobs that come with the project: each a short file, with a flow of its name that starts it."""

from __future__ import annotations

import ast

import pytest

from sluiceway.flows.files import read_flow
from sluiceway.jobs import files
from sluiceway.settings import CONFIG_DIR

JOBS = files.names()


def test_all_that_were_written_are_found() -> None:
    assert JOBS == ["check_backbone", "refresh_thumbnails", "resolve_taxa", "sync_conservation_status"]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_a_docstring_and_a_job_on_less_than_a_page(name: str) -> None:
    text = (CONFIG_DIR / "jobs" / f"{name}.py").read_text()
    assert len(text.splitlines()) < 50
    body = ast.parse(text).body
    assert ast.get_docstring(ast.parse(text))
    told = [each for each in body[1:] if not isinstance(each, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(each.targets[0]) for each in told if isinstance(each, ast.Assign)] == ["JOB"]
    assert len(told) == 1


@pytest.mark.parametrize("name", JOBS)
def test_a_job_starts_by_itself_and_by_hand(name: str) -> None:
    flow = read_flow(name)
    assert flow.spec.flow_type == "job"
    assert [each.type for each in flow.spec.triggers] == ["schedule", "cli"]
