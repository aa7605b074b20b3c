"""deploy/docker-compose.yml: valid, shaped as Airflow's own, and without a password of its own."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.docs.access import LIMITS, ROLES, STATEMENTS, Statement
from dev.docs.page import DOCS
from dev.environment import ROOT
from sluiceway.ledger.migrate import migrate
from tests.conftest import THROWN_AWAY, let_through
from tests.deployments.files import COMPOSE, DEPLOY, compose, pools
from tests.dev.docs.markdown import blocks

OFFICIAL = {
    "postgres": "postgres:16",
    "redis": "redis:7.2-bookworm",
    "airflow-apiserver": "api-server",
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag-processor",
    "airflow-worker": "celery worker",
    "airflow-triggerer": "triggerer",
    "airflow-init": None,
    "airflow-cli": None,
    "flower": "celery flower",
}
"""The services of Airflow's own docker-compose.yaml (3.3), and what each runs: the image, or the command."""
OURS = {"warehouse", "ledger-migrate"}


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    """By the schema of the Compose specification that check-jsonschema brings (Apache-2.0)."""
    program = Path(sys.executable).parent / "check-jsonschema"
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_file_is_one_by_the_schema(tmp_path: Path) -> None:
    assert checked(COMPOSE).returncode == 0, checked(COMPOSE).stdout
    wrong = tmp_path / COMPOSE.name
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("healthcheck:", "healthchek:"), encoding="utf-8")
    assert "healthchek" in checked(wrong).stdout


def test_services_are_named_as_in_airflows_own_file() -> None:
    services = compose()["services"]
    assert services.keys() == OFFICIAL.keys() | OURS
    for name, runs in OFFICIAL.items():
        if runs:
            assert services[name].get("command", services[name].get("image")) == runs or services[name]["image"] == runs


def test_every_component_is_watched_and_started_again() -> None:
    once = {"airflow-init", "airflow-cli", "ledger-migrate"}
    for name, service in compose()["services"].items():
        assert ("healthcheck" in service, service.get("restart")) == (
            (False, None) if name in once else (True, "always")
        )


def test_no_component_starts_before_both_migrations() -> None:
    services = compose()["services"]
    for name in OFFICIAL.keys() - {"postgres", "redis", "airflow-init", "airflow-cli"}:
        waits = services[name]["depends_on"]
        for migration in ("airflow-init", "ledger-migrate"):
            assert waits[migration] == {"condition": "service_completed_successfully"}, name


def test_no_code_and_no_folder_of_the_machine_is_mounted() -> None:
    whole = compose()
    for name, service in whole["services"].items():
        mounted = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert set(mounted) <= whole["volumes"].keys(), name


def test_only_this_machine_reaches_what_is_published() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_init_makes_each_pool_that_the_code_names() -> None:
    script = compose()["services"]["airflow-init"]["command"][-1]
    assert dict(re.findall(r"airflow pools set (\w+) (\d+)", script)) == {
        name: str(slots) for name, slots in pools().items()
    }


def required() -> set[str]:
    """Variables without which Compose refuses to start."""
    return set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text(encoding="utf-8")))


def with_default() -> set[str]:
    return set(re.findall(r"\$\{(\w+):-", COMPOSE.read_text(encoding="utf-8")))


def test_no_secret_has_a_default() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) == required() | with_default()
    assert [name for name in with_default() if re.search("PASSWORD|KEY|SECRET", name)] == []
    passwords = re.findall(r"\w+://\w*:(\S*)@", re.sub(r":\?[^}]*\}", "}", text))
    passwords += re.findall(r"(?m)^ +\w*(?:PASSWORD|KEY|SECRET|AUTH): (.*)", re.sub(r":\?[^}]*\}", "}", text))
    assert len(passwords) > 12
    assert [each for each in passwords if not re.fullmatch(r"\$\{\w+\}", each)] == []


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A .env that generate-env has written."""
    shutil.copy(DEPLOY / "generate-env", tmp_path)
    subprocess.run([tmp_path / "generate-env"], check=True, capture_output=True)
    return tmp_path / ".env"


def read(path: Path) -> dict[str, str]:
    return dict(line.split("=", maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())


def test_a_generated_env_has_all_that_compose_asks_for(generated: Path) -> None:
    variables = read(generated)
    assert variables.keys() == required()
    assert len(set(variables.values())) == len(variables)
    assert min(map(len, variables.values())) >= 44
    assert stat.S_IMODE(generated.stat().st_mode) == 0o600
    Fernet(variables["FERNET_KEY"])
    passwords = [value for name, value in variables.items() if name != "FERNET_KEY"]
    assert all(re.fullmatch("[0-9a-f]+", each) for each in passwords)  # nothing that a URL would have to escape


def test_an_env_that_is_there_is_kept(generated: Path) -> None:
    before = generated.read_text(encoding="utf-8")
    done = subprocess.run([generated.with_name("generate-env")], capture_output=True, text=True, check=False)
    assert (done.returncode, generated.read_text(encoding="utf-8")) == (1, before)
    assert "keep it" in done.stderr


def statements(text: str) -> set[str]:
    """SQL statements, without the passwords that a deployment adds."""
    text = re.sub(r" PASSWORD :'\w+'|(?m:^\\.*$)", "", text)
    return {" ".join(each.split()) for each in text.split(";") if each.strip()}


def test_the_roles_are_those_of_the_ledgers_page() -> None:
    page = (ROOT / "docs" / "reference" / "ledger.md").read_text(encoding="utf-8")
    told = "".join(
        re.findall(r"```(?:postgre)?sql\n(.*?)```", page.split("## Roles")[1].split("## Migrations")[0], re.DOTALL)
    )
    script = (DEPLOY / "create-roles.sh").read_text(encoding="utf-8").split("<<'SQL'\n")[1].removesuffix("SQL\n")
    assert statements(script) == statements(told)
    assert len(statements(told)) > 10


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Cluster]:
    """A server as its image starts it: without our roles and without a warehouse."""
    let_through(tmp_path)
    cluster = Cluster(tmp_path / "pg", Credentials(tmp_path / "secrets"), settings=THROWN_AWAY)
    cluster.start()
    try:
        with psycopg.connect(cluster.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE warehouse")
            for role in ("owner", "loader", "jobs", "reader"):
                connection.execute(f"DROP ROLE sluiceway_{role}".encode())
        yield cluster
    finally:
        cluster.stop()


def test_a_new_server_gets_its_roles_and_the_ledger(new_server: Cluster) -> None:
    """What the services `warehouse` and `ledger-migrate` run."""
    env = {
        "PATH": os.environ["PATH"],
        "PGHOST": "127.0.0.1",
        "PGPORT": str(new_server.port),
        "PGPASSWORD": new_server.credentials.password("postgres"),
        **{f"{role.upper()}_PASSWORD": role for role in ("owner", "loader", "jobs", "reader")},
    }
    subprocess.run([DEPLOY / "create-roles.sh"], env=env, check=True, capture_output=True)
    address = f"127.0.0.1:{new_server.port}/warehouse"
    migrate(f"postgresql://sluiceway_owner:owner@{address}")
    with psycopg.connect(f"postgresql://sluiceway_loader:loader@{address}") as loader:
        assert loader.execute("SELECT count(*) FROM etl.run").fetchone() == (0,)
        loader.execute("CREATE TABLE city (id integer)")
    for role in ROLES:
        server = f"postgresql://sluiceway_{role}:{role}@127.0.0.1:{new_server.port}"
        with psycopg.connect(f"{server}/warehouse", autocommit=True) as session:
            # as dev/cluster.py has them, of which tests/ledger/test_access.py tries each
            assert {each.text for each in STATEMENTS if role not in each.may and _may(session, server, each)} == set()
            assert {name: session.execute(f"SHOW {name}").fetchone() for name in LIMITS[role]} == {
                name: (value,) for name, value in LIMITS[role].items()
            }


def _may(session: psycopg.Connection[tuple[object, ...]], server: str, statement: Statement) -> bool:
    try:
        if statement.database == "warehouse":
            session.execute(statement.text)
        else:
            psycopg.connect(f"{server}/{statement.database}").close()
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.OperationalError as error:
        return "permission denied" not in str(error)
    return True


def test_the_roles_of_the_page_are_those_of_the_script() -> None:
    script = (DEPLOY / "create-roles.sh").read_text(encoding="utf-8")
    page = " ".join(block.text for block in blocks(DOCS / "reference" / "ledger.md") if "sql" in block.language)

    def statements(text: str) -> list[str]:
        text = re.sub(r"(?m)^\\.*$", "", text).replace("CREATE ROLE", "\nCREATE ROLE")
        text = re.sub(r" PASSWORD :'\w+'", "", text)
        return sorted(" ".join(each.split()) for each in re.split(r";\s*\n", f"{text}\n") if each.strip())

    assert statements(script[script.index("CREATE ROLE") : script.rindex("SQL")]) == statements(page)
