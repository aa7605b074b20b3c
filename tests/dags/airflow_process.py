"""An Airflow that is imported once, and forks a process for each program of a test.

A look at the DAGs takes 3.8 s of a processor in a process of its own, of which 3.3 s go into importing Airflow.
Airflow's own DAG processor parses by such forks. A program sees nothing of those before it: neither our library nor
a DAG file is imported before the fork, and its environment is all its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dev.environment import ROOT

MAY_DIFFER = {"AIRFLOW__CORE__EXECUTOR"}
"""Of Airflow's own variables, those that it looks up whenever it needs them; it reads the others at import."""


class AirflowProcess:
    """The process that has imported Airflow, with one environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._settings = settings(environment)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            env={**environment, "PYTHONPATH": os.pathsep.join([environment["PYTHONPATH"], str(ROOT)])},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, arguments: list[str], environment: dict[str, str]) -> Any:
        """What a program prints in the end, which is JSON; the AssertionError of one that fails has what it says."""
        assert settings(environment) == self._settings, "an Airflow of its own is needed: it reads these at import"
        assert self._process.stdin and self._process.stdout
        order = {"code": code, "arguments": arguments, "environment": environment}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        done = json.loads(self._process.stdout.readline())
        assert done["status"] == 0, done["stderr"]
        return json.loads(done["stdout"].splitlines()[-1])

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)


@dataclass(frozen=True)
class Deployment:
    """An environment in which programs look at DAGs."""

    process: AirflowProcess
    environment: dict[str, str]

    def having(self, **variables: str) -> Deployment:
        """The same with these variables."""
        return Deployment(self.process, {**self.environment, **variables})

    def run(self, code: str, *arguments: str) -> Any:
        """What a program prints in the end."""
        return self.process.run(code, list(arguments), self.environment)


def settings(environment: dict[str, str]) -> dict[str, str]:
    """What Airflow reads once of an environment."""
    return {key: value for key, value in environment.items() if key.startswith("AIRFLOW") and key not in MAY_DIFFER}


def serve() -> None:
    """Fork a process for each order that comes, and answer what came of it."""
    # whatever Airflow says while it is imported is no answer
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        import airflow.dag_processing.dagbag  # noqa: F401

        ours = [name for name in sys.modules if name.partition(".")[0] == "sluiceway"]
        assert not ours, f"{ours} would be shared by all programs"
        for line in sys.stdin:
            with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
                child = os.fork()
                if child == 0:
                    os.dup2(stdout.fileno(), 1)
                    os.dup2(stderr.fileno(), 2)
                    be(**json.loads(line))
                    return
                _, status = os.waitpid(child, 0)
                done = {"status": os.waitstatus_to_exitcode(status), "stdout": said(stdout), "stderr": said(stderr)}
            answers.write(json.dumps(done) + "\n")
            answers.flush()


def said(file: IO[bytes]) -> str:
    """What a child has written."""
    file.seek(0)
    return file.read().decode(errors="replace")


def be(code: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Be the program; then this process ends, as it would by itself."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<program>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    serve()
