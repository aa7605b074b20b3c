"""What operators answer to Airflow's OpenLineage provider, which is imported inside of functions: nothing needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sluiceway.ledger.store import RunKey
from sluiceway.on_airflow.connections import connections, warehouse_url
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk.types import RuntimeTaskInstanceProtocol
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet
    from openlineage.client.generated.column_lineage_dataset import Fields

    from sluiceway.ledger.rows import Run, TableRun
    from sluiceway.ledger.warehouse import Session
    from sluiceway.run.lineage import Dataset, From, TableLineage

    Lineage = OperatorLineage[Any, Any]

COMMIT_FACET, LOAD_FACET = "sluiceway_commit", "sluiceway_load"
COUNTS = ("extracted", "inserted", "updated", "unchanged", "deleted", "rejected", "repaired", "table_rows")


class OfTable:
    """Of an operator that loads a table, or a part of it: the source, the table, and once it has ended what it did.

    The provider calls these in a process beside the task's; what they raise is a warning in its log, and no more.
    """

    table: str
    conn_id: str
    stages_only = False
    """Whether the rows wait for those of other parts: then no table is an output."""

    def get_openlineage_facets_on_start(self) -> Lineage:
        """What the table's file says; which run it is nobody tells."""
        return _of_table(self.conn_id, self.table, None, stages_only=self.stages_only)

    def get_openlineage_facets_on_complete(self, task_instance: RuntimeTaskInstanceProtocol) -> Lineage:
        """The same, with the run's commit, and the counts of the ledger."""
        run = RunKey(task_instance.dag_id, task_instance.run_id)
        return _of_table(self.conn_id, self.table, run, stages_only=self.stages_only)

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete


def of_publishing(run: RunKey | None) -> Lineage:
    """The views that a run has published, and the tables that they read.

    :param run: None: it only begins, and nobody knows which ones.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    from sluiceway.ledger import publications
    from sluiceway.ledger.warehouse import connect
    from sluiceway.run.lineage import warehouse_table

    if run is None:
        return OperatorLineage()
    url = warehouse_url()
    with connect(url) as session:
        row = _row(session, run)
        views = [each for each in publications.of_run(session, run) if not each.withheld]
    tables = sorted({table for view in views for table in view.tables})
    return OperatorLineage(
        inputs=[_input(warehouse_table(url, table)) for table in tables],
        outputs=[_output(warehouse_table(url, view.view_name)) for view in views],
        run_facets=_commit(row),
    )


def _of_table(conn_id: str, table: str, run: RunKey | None, *, stages_only: bool) -> Lineage:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.facet_v2 import sql_job

    from sluiceway.ledger import last_loads, store
    from sluiceway.ledger.warehouse import connect
    from sluiceway.run.lineage import lineage_of
    from sluiceway.tables import registry

    spec, url = registry.read_one(table), warehouse_url(conn_id)
    with connect(url) as session:
        row = _row(session, run) if run is not None else None
        own = [each for each in store.table_runs(session, run) if each.table_name == table] if run is not None else []
        load = own[0] if own else None
        seen = load if load is not None and load.source_columns else last_loads.last_good_look(session, table)
    dataset = load_settings().bigquery_dataset if spec.target == "bigquery" else None
    found = lineage_of(spec, url, connections, dataset=dataset, loaded=seen)
    done = load if load is not None and load.status in {"loaded", "unchanged"} and not stages_only else None
    return OperatorLineage(
        inputs=[_input(found.source, done)] if found.source is not None else [],
        outputs=[] if stages_only else [_output(found.table, found, done)],
        run_facets=_commit(row) | _counts(done),
        job_facets={"sql": sql_job.SQLJobFacet(query=found.query)} if found.query is not None else {},
    )


def _row(session: Session, run: RunKey) -> Run | None:
    from sluiceway.ledger import store

    return store.run(session, run)


def _commit(row: Run | None) -> dict[str, RunFacet]:
    if row is None or not (row.commit_sha or row.deployed_sha):
        return {}
    return {COMMIT_FACET: _custom(commit=row.commit_sha, deployed=row.deployed_sha)}


def _counts(load: TableRun | None) -> dict[str, RunFacet]:
    if load is None:
        return {}
    told = {"status": load.status, **{name: getattr(load, name) for name in COUNTS}}
    return {LOAD_FACET: _custom(**told)}


def _custom(**told: Any) -> RunFacet:
    from openlineage.client.facet_v2 import RunFacet

    return cast("RunFacet", RunFacet().with_additional_properties(**told))


def _input(source: Dataset, load: TableRun | None = None) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset

    read = load is not None and load.status == "loaded"
    statistics = (
        input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=load.extracted, size=load.bytes)
        if load is not None and read
        else None
    )
    return InputDataset(
        namespace=source.namespace,
        name=source.name,
        facets=_described(source),
        inputFacets={"inputStatistics": statistics} if statistics is not None else {},
    )


def _output(table: Dataset, lineage: TableLineage | None = None, load: TableRun | None = None) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import column_lineage_dataset, output_statistics_output_dataset

    facets = _described(table)
    if lineage is not None and lineage.source is not None:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={name: _fields(lineage.source, each) for name, each in lineage.columns.items()}
        )
    statistics = (
        output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=load.inserted + load.updated)
        if load is not None
        else None
    )
    return OutputDataset(
        namespace=table.namespace,
        name=table.name,
        facets=facets,
        outputFacets={"outputStatistics": statistics} if statistics is not None else {},
    )


def _fields(source: Dataset, made_of: From) -> Fields:
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    subtype = "IDENTITY" if made_of.how is None else "TRANSFORMATION"
    how = facet.Transformation(type="DIRECT", subtype=subtype, description=made_of.how, masking=False)
    return facet.Fields(
        inputFields=[
            facet.InputField(namespace=source.namespace, name=source.name, field=field, transformations=[how])
            for field in made_of.fields
        ]
    )


def _described(dataset: Dataset) -> dict[str, DatasetFacet]:
    from openlineage.client.facet_v2 import documentation_dataset, schema_dataset

    found: dict[str, DatasetFacet] = {}
    if dataset.fields:
        found["schema"] = schema_dataset.SchemaDatasetFacet(
            fields=[schema_dataset.SchemaDatasetFacetFields(name=name, type=type_) for name, type_ in dataset.fields]
        )
    if dataset.description is not None:
        found["documentation"] = documentation_dataset.DocumentationDatasetFacet(description=dataset.description)
    return found
