"""`sluiceway runs`: what runs did, and running again what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluiceway.amounts import counted
from sluiceway.cli import complete
from sluiceway.cli.console import EXIT_FAILED, err, out, plain, print_json, sentences
from sluiceway.cli.numbers import whole
from sluiceway.cli.options import JsonOption, LimitOption, WarehouseOption, warehouse_url
from sluiceway.cli.program import Commands
from sluiceway.cli.records import print_records
from sluiceway.cli.run_names import the_commit, the_one
from sluiceway.errors import ConfigError
from sluiceway.ids import MASTER
from sluiceway.ledger.rejects import rejects_of
from sluiceway.ledger.store import RunKey
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.ledger.store import Run
    from sluiceway.ledger.warehouse import Session
    from sluiceway.run.reconcile import Seen

app = Commands(help="Runs, as the ledger knows them and Airflow shows them.")

RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's id, or its first characters.", autocompletion=complete.runs),
]
DagOption = Annotated[
    str | None,
    typer.Option(
        "--dag",
        metavar="DAG",
        help="The run's DAG, where several have a run of that id.",
        autocompletion=complete.flows,
    ),
]


@app.command("list")
def runs_list(
    limit: LimitOption = "20",
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest runs with their verdicts, compared with Airflow where SLUICEWAY_AIRFLOW_URL names one.

    Example: sluiceway runs list --limit 5
    """
    from sluiceway.ledger import newest, store
    from sluiceway.ledger.left_behind import close_left_behind
    from sluiceway.ledger.warehouse import connect
    from sluiceway.run.reconcile import as_written
    from sluiceway.run.truth import truths_of

    with sentences():
        most, url = whole("--limit", limit), warehouse_url(warehouse)
        with connect(url) as session:
            close_left_behind(session)
            found = store.runs(session, limit=most)
            loads = newest.tables_of(session, found)
        seen = _asked(found)
        with connect(url) as session:
            asked = [run for run in found if run.key in seen]
            reconciled = truths_of(session, [(run, seen[run.key]) for run in asked])
            told = {run.key: truth for run, truth in zip(asked, reconciled, strict=True)}
            truths = [told.get(run.key) or as_written(run) for run in found]
    if as_json:
        print_json(
            [
                _document(run, truth, run.key in seen) | {"table": loads.get(run.key)}
                for run, truth in zip(found, truths, strict=True)
            ]
        )
        return
    if not found:
        err.print("The ledger has no run yet.")
        return
    rows = [
        (
            f"{run.dag_id}: {loads[run.key]}" if run.key in loads else run.dag_id,
            run.run_id,
            (run.commit_sha or "")[:9],
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            truth.status,
            truth.text,
        )
        for run, truth in zip(found, truths, strict=True)
    ]
    print_records(("dag", "run", "commit", "started (UTC)", "status", "note"), rows, prose={"note"})


@app.command("show")
def runs_show(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's id, or its first characters.", autocompletion=complete.runs),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option("--commit", metavar="SHA", help="Instead of RUN: the newest run of a commit, or what begins so."),
    ] = None,
    dag_id: DagOption = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what one run did to each table, why it is red, and the first rejects. Exit 1 when it is red.

    Compared with Airflow where SLUICEWAY_AIRFLOW_URL names one.

    Example: sluiceway runs show --commit 1f0c2ab
    """
    from sluiceway.ledger import commit_statuses, store
    from sluiceway.ledger.left_behind import close_left_behind
    from sluiceway.ledger.warehouse import connect
    from sluiceway.run.report.collect import collect

    with sentences():
        url = warehouse_url(warehouse)
        with connect(url) as session:
            close_left_behind(session)
            run, *others = _chosen(session, run_id, commit, dag_id)
        seen = _asked([run]).get(run.key)
        with connect(url) as session:
            report = collect(session, run.key, {}, seen=seen, maps={})
            tables = store.table_runs(session, run.key)
            told = commit_statuses.of_run(session, run.run_id) if run.dag_id == MASTER else []
            rejects = {t.table_name: rejects_of(session, t, limit=5) for t in tables if t.rejected}
    if as_json:
        from sluiceway.run.reconcile import Truth

        truth = Truth(status=report.verdict.status, sentence=report.note, remark=report.remark)
        document = _document(run, truth, seen is not None)
        document["tables"] = [table.model_dump(mode="json") for table in tables]
        document["tasks"] = [task.model_dump(mode="json") for task in report.tasks]
        document["withheld"] = {view.name: view.reason for view in report.withheld}
        document["commit_statuses"] = [status.model_dump(mode="json") for status in told]
        if commit is not None:
            document["other_runs"] = [{**each.key._asdict(), "status": each.status} for each in others]
        print_json(document)
    else:
        from sluiceway.cli import shown_runs

        shown_runs.run(report)
        shown_runs.rejects(rejects)
        shown_runs.not_told(told)
        shown_runs.others(others)
    if report.verdict.status in {"failed", "abandoned"}:
        raise typer.Exit(EXIT_FAILED)


def _chosen(session: Session, run_id: str | None, commit: str | None, dag_id: str | None) -> list[Run]:
    """The run that is meant; after it, where a commit names it, the older ones of that commit."""
    from sluiceway.ledger import newest

    if (run_id is None) == (commit is None):
        raise ConfigError("Name a run by its id, or by its commit with --commit.")
    if commit is not None:
        spellings = the_commit(commit, newest.commits(session, dag_id))
        return newest.runs_of_commits(session, spellings, dag_id)
    beginning = newest.runs_beginning(session, str(run_id), dag_id)
    key = the_one(str(run_id), [run.key for run in beginning])
    if key is None:
        raise ConfigError(f"The ledger has no run {run_id!r}; `sluiceway runs list` shows the newest.")
    return [run for run in beginning if run.key == key]


@app.command("retry")
def runs_retry(run_id: RunArgument, dag_id: DagOption = None, as_json: JsonOption = False) -> None:
    """Run only the failed tasks of a run again, and what follows them, in Airflow; its verdict judges it anew.

    Example: sluiceway runs retry deploy__1f0c...
    """
    from sluiceway.rest.airflow_api import AirflowApi

    with sentences(), AirflowApi.from_settings(load_settings()) as api:
        key = the_one(run_id, [RunKey(*each) for each in api.runs_beginning(run_id, dag_id)])
        if key is None:
            raise ConfigError(f"Airflow has no run {run_id!r} that you may read.")
        cleared = api.retry(*key)
    if as_json:
        print_json({**key._asdict(), "cleared": sorted(cleared)})
        return
    verb = "runs" if len(cleared) == 1 else "run"
    out.print(f"{counted(len(cleared), 'task')} of {plain(str(key))} {verb} again: {plain(', '.join(sorted(cleared)))}")


def _asked(runs: Sequence[Run]) -> Mapping[RunKey, Seen]:
    """The runs as Airflow shows them; where it cannot be asked, one line says so."""
    from sluiceway.cli.airflow_runs import NotAskedError, ask

    try:
        return ask(load_settings(), runs)
    except NotAskedError as error:
        err.print(plain(str(error)))
        return {}


def _document(run: Run, truth: Any, is_compared: bool) -> dict[str, Any]:
    return run.model_dump(mode="json") | {
        "status": truth.status,
        "note": truth.sentence,
        "remark": truth.remark,
        "compared_with_airflow": is_compared,
    }
