"""What a workflow may do: zizmor finds what is unsafe anywhere, here stands what is meant to be so in this project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.environment import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
USES = re.compile(r"(?m)^ *-? *uses: (\S+)(?: (# .+))?$")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
OWN = "$/.github/actions/trigger-etl"
RUN_WHAT_A_REGISTRY_SENDS = re.compile(r"\b(make|pip|uv|npm|npx|python3?)\b|^\.ci/", re.MULTILINE)


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return dict(found["jobs"])


def used(path: Path) -> list[tuple[str, str]]:
    return [(action, comment) for action, comment in USES.findall(path.read_text(encoding="utf-8")) if action != OWN]


def builds(job: dict[str, Any]) -> bool:
    """Whether it runs what a package registry sends."""
    return any(RUN_WHAT_A_REGISTRY_SENDS.search(step.get("run", "")) for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_is_named_by_its_commit_and_the_version_beside_it(path: Path) -> None:
    assert [action for action, _ in used(path) if not PINNED.fullmatch(action)] == []
    assert [action for action, comment in used(path) if not re.fullmatch(r"# v\d+\.\d+\.\d+", comment)] == []


def test_a_version_is_one_commit_and_an_action_has_one_version() -> None:
    pins = {pin for path in WORKFLOWS for pin in used(path)}
    repositories = [(*action.split("@")[0].split("/")[:2], action.split("@")[1], comment) for action, comment in pins]
    assert len(repositories) > 8
    assert len({(owner, name) for owner, name, *_ in repositories}) == len(set(repositories))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_has_the_rights_that_it_names_and_ends(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"] == {}
    assert [name for name, job in jobs(path).items() if "permissions" not in job or "timeout-minutes" not in job] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_registry_sends_is_run_only_where_it_can_change_nothing(path: Path) -> None:
    rights = {name: job["permissions"] for name, job in jobs(path).items() if builds(job)}
    assert {name: held for name, held in rights.items() if held != {"contents": "read"}} == {}


def test_what_builds_is_seen_to_build() -> None:
    assert {name for path in WORKFLOWS for name, job in jobs(path).items() if builds(job)} == {
        *("check", "versions", "audit", "build", "package", "lives", "hostile", "chaos", "next", "chart")
    }


def test_each_job_of_a_release_has_one_business() -> None:
    release = jobs(GITHUB / "workflows" / "release.yml")
    assert {name: (job["permissions"], job.get("environment")) for name, job in release.items()} == {
        "build": ({"contents": "read"}, None),
        "attest": ({"id-token": "write", "attestations": "write"}, None),
        "publish": ({"contents": "write"}, "release"),
        "pypi": ({"id-token": "write"}, "pypi"),
    }
    # nothing is published by hand, nor before it is signed
    assert release["attest"]["if"] == "github.event_name == 'push'"
    assert (release["attest"]["needs"], release["publish"]["needs"], release["pypi"]["needs"]) == (
        "build",
        "attest",
        "attest",
    )


def test_ci_runs_every_python_and_the_oldest_airflow() -> None:
    found = jobs(GITHUB / "workflows" / "ci.yml")
    (check,) = [
        step["with"]["python-version"] for step in found["check"]["steps"] if "python-version" in step.get("with", {})
    ]
    runs = [
        (check, None),
        *((each["python"], each.get("airflow")) for each in found["versions"]["strategy"]["matrix"]["include"]),
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = {each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r":: 3\.\d+$", each)}
    setup = (ROOT / "dev" / "setup").read_text(encoding="utf-8")
    assert (
        {python for python, airflow in runs if airflow is None}
        == said
        == set(re.findall(r"python(3\.\d+)", setup.split("type -aP")[1].split("\n")[0]))
    )
    assert "oldest" in {airflow for _, airflow in runs}


def test_the_oldest_airflow_is_the_one_that_the_requirements_allow() -> None:
    allowed = re.search(r"(?m)^apache-airflow>=([\d.]+),", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    pins = re.findall(
        r"(?m)^(apache-airflow\S*)==([\d.]+)", (ROOT / "dev" / "airflow-oldest.lock").read_text(encoding="utf-8")
    )
    assert allowed and dict(pins)["apache-airflow"] == dict(pins)["apache-airflow-core"] == allowed[1]
    assert f"apache-airflow=={allowed[1]}" in (ROOT / "dev" / "airflow-oldest.txt").read_text(encoding="utf-8").split()


def test_updates_come_in_groups_once_a_week_and_not_on_their_first_day() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {each["package-ecosystem"] for each in updates} == {"pip", "github-actions", "docker", "docker-compose"}
    for each in updates:
        assert each["schedule"]["interval"] == "weekly" and each["groups"] and each["cooldown"]["default-days"] >= 7


def test_a_kind_of_source_can_be_named_in_the_form() -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "source.yml").read_text(encoding="utf-8"))
    (kinds,) = [each["attributes"]["options"] for each in form["body"] if each.get("id") == "kind"]
    spec = (ROOT / "include" / "sluiceway" / "tables" / "source_spec.py").read_text(encoding="utf-8")
    assert {each.split(" ")[0] for each in kinds[:-1]} == set(re.findall(r'kind: Literal\["(\w+)"\]', spec))


def test_the_owner_is_asked_about_files_that_exist() -> None:
    lines = [
        line for line in (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    patterns = [line.split()[0] for line in lines]
    assert patterns[0] == "*"
    assert [each for each in patterns[1:] if not list(ROOT.glob(each.strip("/")))] == []
