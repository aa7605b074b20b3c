"""`sluiceway status` as a person and as CI use it, on a real ledger and a real endpoint."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.docs.schemas import STATUS_SCHEMA
from sluiceway.cli.app import app
from sluiceway.deploy import stints
from sluiceway.deploy.commit import Sighting
from sluiceway.freshness import wait
from sluiceway.ledger.warehouse import connect
from tests.freshness.ledgered import A, B, ran
from tests.stand_ins.version_endpoint import VersionEndpoint

HOUR = timedelta(hours=1)
Status = Callable[..., Result]
Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def endpoint() -> Iterator[VersionEndpoint]:
    with VersionEndpoint(commit=A) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, endpoint: VersionEndpoint, setting: Callable[..., None], warehouse_url: str) -> Path:
    """Two tables that promise something and one that does not, and an environment."""
    for below in ("tables", "environments", "flows"):
        (tmp_path / below).mkdir()
    for name, promise in (("city", 'fresh_within = "10h"'), ("town", 'fresh_within = "10h"'), ("old", "")):
        (tmp_path / "tables" / f"{name}.toml").write_text(
            f'description = "{name}"\nkey = "id"\n{promise}\nsource = {{ kind = "csv", uri = "a.csv" }}\n'
            'columns = { id = "integer" }\n'
        )
    (tmp_path / "environments" / "staging.toml").write_text(
        f'kind = "http"\nurl = "{endpoint.uri}"\njson_path = "build.commit"\ndata_within = "45min"\n'
    )
    setting(config_dir=tmp_path, environment="staging", warehouse_url=warehouse_url)
    return tmp_path


@pytest.fixture
def status(folder: Path) -> Status:
    return lambda *arguments: CliRunner().invoke(app, ["status", *arguments])


def told(result: Result) -> str:
    """What it printed, without the folds of a screen."""
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def deployed(url: str, commit: str, ago: timedelta) -> None:
    at = datetime.now(UTC) - ago
    with connect(url) as session:
        stints.note(session, "staging", Sighting(commit=commit, began_at=at, ended_at=at))


def green(url: str, run_id: str = "deploy__1", ago: timedelta = HOUR, **more: Any) -> None:
    ran(url, run_id, ago=ago, city="loaded", town="unchanged", old="loaded", **more)


def test_in_step_is_0_and_says_so_with_both_commits(status: Status, warehouse_url: str) -> None:
    ran(warehouse_url, "r0", ago=90 * HOUR, town="loaded")
    green(warehouse_url)
    deployed(warehouse_url, A, 2 * HOUR)
    result = status()
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"in step. staging is in step: deployed {A}, 2 h ago; data {A}, all 3 tables, each looked" in told(result)
    assert "Of 3 tables: 1 without a promise, 2 fresh." in told(result)
    (town,) = [line.split() for line in result.stdout.splitlines() if line.startswith("town ")]
    assert (town[:7], town[-1]) == (["town", "fresh", "1", "h", "ago", "10", "h"], "3")
    data_from = datetime.now(UTC) - 90 * HOUR
    assert town[7] in {f"{data_from:%Y-%m-%d}", f"{data_from - timedelta(minutes=1):%Y-%m-%d}"}


def test_a_deploy_is_behind_until_its_run_is_green_and_stale_when_that_is_red(
    status: Status, warehouse_url: str, endpoint: VersionEndpoint
) -> None:
    green(warehouse_url)
    deployed(warehouse_url, A, 2 * HOUR)
    deployed(warehouse_url, B, timedelta(minutes=2))
    endpoint.commit = B
    behind = status()
    assert (behind.exit_code, told(behind).startswith("behind. staging is behind: deployed")) == (0, True)
    assert "3 of 3 tables hold other data: city" in told(behind)
    ran(warehouse_url, f"deploy__{B}", ago=timedelta(minutes=1), commit=B, status="failed", note="1 of 3 tables failed",
        city="loaded", town="failed", old="loaded")  # fmt: skip
    red = status()
    assert red.exit_code == 1
    assert f"Its run deploy__{B} is failed: 1 of 3 tables failed" in told(red)
    ran(warehouse_url, f"deploy__{B}__2", ago=timedelta(0), commit=B, city="loaded", town="loaded", old="unchanged")
    assert status().exit_code == 0


def test_a_deploy_whose_run_never_starts_breaks_the_promise(
    status: Status, warehouse_url: str, endpoint: VersionEndpoint
) -> None:
    green(warehouse_url)
    deployed(warehouse_url, A, 2 * HOUR)
    deployed(warehouse_url, B, timedelta(minutes=50))
    endpoint.commit = B
    result = status()
    assert result.exit_code == 1
    assert "No run of it has begun, and the 45 min that are promised are over" in told(result)


def test_a_broken_promise_is_1_and_the_worst_table_stands_first(status: Status, warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=30 * HOUR, city="loaded", town="loaded", old="loaded")
    ran(warehouse_url, "r2", ago=2 * HOUR, city="unchanged", town="failed", status="failed")
    ran(warehouse_url, "r3", ago=HOUR, city="unchanged")
    result = status()
    assert result.exit_code == 1
    names = [line.split()[0] for line in result.stdout.splitlines()[3:7]]
    assert names == ["table", "town", "old", "city"]
    assert (
        "looked at 1 d 6 h ago, 10 h are promised; the last try failed in master_etl/r2: EmptyExtractionError"
        in result.stdout
    )


def test_an_endpoint_that_is_down_is_unknown_and_the_tables_are_told_all_the_same(
    status: Status, warehouse_url: str, endpoint: VersionEndpoint
) -> None:
    green(warehouse_url)
    endpoint.fault = "500"
    result = status()
    assert result.exit_code == 3
    assert f"which commit is deployed cannot be seen: {endpoint.uri} answers 500" in told(result)
    assert "2 fresh" in told(result)


def test_an_endpoint_that_is_no_version_is_unknown(status: Status, endpoint: VersionEndpoint) -> None:
    endpoint.fault = "html"
    assert status().exit_code == 3


def test_a_warehouse_that_does_not_answer_is_unknown_with_its_sentence(status: Status) -> None:
    result = status("--warehouse", "postgresql://u:secret@127.0.0.1:1/none")
    assert result.exit_code == 3
    assert f"{A} is deployed, and what the tables hold cannot be read: The warehouse at 127.0.0.1:1/none" in told(
        result
    )
    assert "secret" not in result.output
    assert "3 unknown (city, old, town)" in told(result)


def test_a_warehouse_without_a_ledger_is_unknown_and_the_sentence_says_what_to_do(
    status: Status, owner_url: str
) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    result = status()
    assert result.exit_code == 3
    assert "run `sluiceway ledger migrate`" in told(result)


def test_a_deployed_commit_that_no_run_has_loaded_is_stale_and_the_tables_are_unknown(status: Status) -> None:
    result = status("--environment", "staging")
    assert result.exit_code == 1, "a commit is deployed, and no run of it has begun"
    assert "3 unknown" in told(result)


def test_a_table_whose_file_is_wrong_is_unknown_with_the_sentence_of_its_file(
    status: Status, folder: Path, warehouse_url: str
) -> None:
    green(warehouse_url)
    (folder / "tables" / "town.toml").write_text("wrong", encoding="utf-8")
    result = status()
    assert result.exit_code == 3
    assert "1 unknown (town)" in told(result) and "is not valid TOML" in told(result)


def test_without_an_environment_the_promises_decide(
    status: Status, warehouse_url: str, setting: Callable[..., None]
) -> None:
    setting(environment="")
    green(warehouse_url)
    result = status()
    assert (result.exit_code, told(result).startswith("in step. Of 3 tables:")) == (0, True)


def test_without_an_environment_and_a_promise_nothing_is_called_fresh(
    status: Status, folder: Path, warehouse_url: str, setting: Callable[..., None]
) -> None:
    setting(environment="")
    green(warehouse_url)
    for name in ("city", "town"):
        (folder / "tables" / f"{name}.toml").unlink()
    result = status()
    assert (result.exit_code, "Nothing is promised" in told(result)) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--environment", "stagin"), "--environment names 'stagin'.*did you mean 'staging'?"),
        (("--wait",), "--wait needs the commit"),
        (("--commit", A), "--commit says what --wait waits for"),
        (("--timeout", "5m"), "--timeout says what --wait waits for"),
        (("--wait", "--commit", "main"), "'main' is no commit: write 7 to 40"),
        (("--wait", "--commit", A, "--timeout", "soon"), "--timeout 'soon' is no time"),
        (("--warehouse", "mysql://x"), "--warehouse"),
    ],
)
def test_a_wrong_option_is_2_and_one_sentence(status: Status, arguments: tuple[str, ...], said: str) -> None:
    result = status(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(said, told(result))


def test_no_warehouse_is_2(status: Status, setting: Callable[..., None]) -> None:
    setting(warehouse_url="")
    result = status()
    assert (result.exit_code, "No warehouse is named" in told(result)) == (2, True)


def test_asking_changes_nothing(status: Status, warehouse_url: str, query: Query) -> None:
    green(warehouse_url)
    # whoever else looks at the ledger closes what such a run has left behind
    ran(warehouse_url, "cli__1", ago=HOUR, dag_id="cli", commit=None, status="running", city="planned")
    deployed(warehouse_url, B, HOUR)

    def everything() -> list[Any]:
        tables = ("run", "table_run", "deployment", "task_run", "publication")
        return [query(f"SELECT xmin::text, t.* FROM etl.{table} t ORDER BY 1, 2") for table in tables]

    before = everything()
    status()
    status("--json")
    status("--wait", "--commit", A, "--timeout", "0s")
    assert everything() == before


Validate = Callable[[Any], None]


@pytest.fixture
def validate() -> Validate:
    """Checks a document against the schema that is published."""
    schema = json.loads(STATUS_SCHEMA.path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return lambda document: checker.validate(document)


def test_json_is_a_document_of_the_published_schema_in_every_state(
    status: Status, warehouse_url: str, endpoint: VersionEndpoint, validate: Validate, setting: Callable[..., None]
) -> None:
    documents = {}

    def ask(name: str, *arguments: str) -> None:
        result = status("--json", *arguments)
        documents[name] = json.loads(result.stdout)
        assert (
            result.exit_code
            == {"none": 0, "minor": 0, "major": 1, "critical": 3}[documents[name]["status"]["indicator"]]
        )

    setting(airflow_url="https://airflow.example")
    green(warehouse_url)
    ask("in step")
    endpoint.commit = B
    deployed(warehouse_url, B, timedelta(0))
    ask("behind")
    ran(warehouse_url, "deploy__2", ago=timedelta(0), commit=B, status="failed", note="no", city="failed")
    ask("stale")
    ask("unknown", "--warehouse", "postgresql://u@127.0.0.1:1/none")
    for state, document in documents.items():
        validate(document)
        assert document["state"] == state
        assert document["page"]["updated_at"] == document["computed_at"]
    assert {key: documents["in step"]["page"][key] for key in ("id", "name", "url")} == {
        "id": "sluiceway.staging",
        "name": "Data of staging",
        "url": "https://airflow.example",
    }
    assert documents["behind"]["environment"]["deployed_commit"] == B
    assert documents["behind"]["environment"]["data_commit"] == A
    assert documents["in step"]["version"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"status": {"indicator": "fine", "description": "x"}},
        {"computed_at": "now"},
        {"more": 1},
        {"tables": [{}]},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_no_such_document(
    status: Status, warehouse_url: str, validate: Validate, change: dict[str, Any]
) -> None:
    green(warehouse_url)
    document = json.loads(status("--json").stdout)
    validate(document)
    with pytest.raises(jsonschema.ValidationError):
        validate({**document, **change})


def test_waiting_ends_at_once_when_the_data_is_there_and_a_prefix_will_do(status: Status, warehouse_url: str) -> None:
    green(warehouse_url)
    result = status("--wait", "--commit", A[:7])
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"The data of all 3 tables belongs to {A[:7]}." in told(result)


def test_waiting_needs_neither_an_environment_nor_its_answer(
    status: Status, warehouse_url: str, endpoint: VersionEndpoint
) -> None:
    green(warehouse_url)
    endpoint.fault = "500"
    assert status("--wait", "--commit", A).exit_code == 0


def test_waiting_says_for_what_and_ends_when_the_run_is_green(
    status: Status, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    green(warehouse_url)

    monkeypatch.setattr(wait, "POLL_S", 0.05)
    told_once = threading.Event()
    look = wait.look

    def looked(*arguments: Any) -> Any:
        told_once.set()
        return look(*arguments)

    monkeypatch.setattr(wait, "look", looked)
    ends = threading.Thread(
        target=lambda: told_once.wait() and green(warehouse_url, f"deploy__{B}", timedelta(0), commit=B)
    )
    ends.start()
    result = status("--wait", "--commit", B, "--timeout", "5m", "--json")
    ends.join()
    assert result.exit_code == 0
    assert f"Waiting up to 5m until the data belongs to {B}: no run of {B} has begun; 3 of 3" in " ".join(
        result.stderr.split()
    )
    assert json.loads(result.stdout)["environment"]["data_commit"] == B


@pytest.mark.parametrize(
    ("state", "said"), [("failed", "is failed: town failed"), ("superseded", "is superseded: town failed")]
)
def test_waiting_ends_with_1_when_the_run_is_red_or_superseded(
    status: Status, warehouse_url: str, monkeypatch: pytest.MonkeyPatch, state: Any, said: str
) -> None:
    green(warehouse_url)
    ran(warehouse_url, f"deploy__{B}", ago=timedelta(0), commit=B, status=state, note="town failed", town="failed")
    monkeypatch.setattr(wait, "SETTLE_S", 0)
    result = status("--wait", "--commit", B)
    assert result.exit_code == 1
    assert f"The data does not come to belong to {B}: its run deploy__{B} {said}" in told(result)


def test_waiting_for_what_has_passed_ends_with_1_and_names_what_came(
    status: Status, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "SETTLE_S", 0)
    green(warehouse_url, f"deploy__{A}", 2 * HOUR)
    green(warehouse_url, f"deploy__{B}", HOUR, commit=B)
    result = status("--wait", "--commit", A)
    assert (result.exit_code, f"was green, and other data came after it: city ({B})" in told(result)) == (1, True)


def test_waiting_ends_with_its_time_and_names_the_commit_that_was_perhaps_meant(
    status: Status, warehouse_url: str
) -> None:
    green(warehouse_url)
    wrong = f"{A[:-1]}f"
    result = status("--wait", "--commit", wrong, "--timeout", "0s")
    assert result.exit_code == 1
    assert f"The 0s are over, and no run of {wrong} has begun; did you mean '{A}'?" in told(result)


def test_waiting_for_a_warehouse_that_never_answers_is_unknown(status: Status) -> None:
    result = status("--wait", "--commit", A, "--timeout", "0s", "--warehouse", "postgresql://u@127.0.0.1:1/none")
    assert (result.exit_code, "does not answer" in told(result)) == (3, True)


def test_a_promise_that_no_schedule_keeps_is_refused_by_the_check_of_tables(folder: Path) -> None:
    def check(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["tables", "check", *arguments])

    city = folder / "tables" / "city.toml"
    found = check("--json")
    assert found.exit_code == 2
    problems = json.loads(found.stdout)["problems"]
    assert [Path(each["file"]).stem for each in problems] == ["city", "town"]
    assert problems[0]["sentence"].startswith(f"{city}: fresh_within = '10h': no schedule loads it")
    assert check(str(city)).exit_code == 2
    (folder / "flows" / "shop.toml").write_text(
        'flow_type = "tables"\ntables = ["city", "town"]\n[[triggers]]\nid = "often"\ntype = "schedule"\n'
        'schedule = "0 */8 * * *"\n',
        encoding="utf-8",
    )
    assert (check().exit_code, check(str(city)).exit_code) == (0, 0)
    # what lies elsewhere is in no flow
    elsewhere = folder / "draft.toml"
    elsewhere.write_text(city.read_text(encoding="utf-8"), encoding="utf-8")
    assert check(str(elsewhere)).exit_code == 0


@pytest.mark.parametrize("wrong", ["26", "1 day", "-1h", "0h", "99999d", ""])
def test_a_promise_that_is_no_span_of_time_is_refused_in_a_sentence(folder: Path, wrong: str) -> None:
    path = folder / "tables" / "city.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"10h"', f'"{wrong}"'), encoding="utf-8")
    result = CliRunner().invoke(app, ["tables", "check", str(path)])
    assert result.exit_code == 2
    assert f"city.toml: fresh_within = '{wrong}': '{wrong}' " in told(result)
