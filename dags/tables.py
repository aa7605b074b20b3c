"""A DAG `table-<table>__broken` for each table of this deployment whose file is wrong: its text says what is.

None where every file is right. A run loads the other tables, and the broken one is a failed table of it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sluiceway.deploy.build import build_tags
from sluiceway.on_airflow.graphs import tables
from sluiceway.on_airflow.retries import retry_arguments
from sluiceway.on_airflow.step import step

for dag_id, problem in tables.broken().items():
    with DAG(
        dag_id=dag_id,
        description="The file of a table is wrong",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=30),
        default_args={"owner": "data-platform", **retry_arguments()},
        tags=["sluiceway", "table", "broken", *build_tags()],
        doc_md=f"~~~~\n{problem}\n~~~~",  # a file's values are no Markdown
    ):
        step(tables.say_of(problem))
