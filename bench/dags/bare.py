"""bare: the same fan-out without Sluiceway, plan -> 20 mapped no-op tasks -> report. The peer of bench/master.py."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(schedule=None, max_active_runs=1)
def bare() -> None:
    """Nothing but Airflow."""

    @task
    def plan() -> list[str]:
        return [f"noop_{number:02}" for number in range(1, 21)]

    @task
    def load_table(table: str) -> str:
        return table

    @task
    def report(tables: list[str]) -> int:
        return len(list(tables))

    report(load_table.expand(table=plan()))  # type: ignore[arg-type]  # Airflow resolves it at run time


bare()
