"""The real API server: `python tests/on_airflow/web/serve.py PORT [prepare]`, with AIRFLOW__ variables.

`prepare`: the metadata database is empty, and the DAGs are to be put into it. `users`: so are FAB's users.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

USERS = {"master": "master_etl", "shopper": "shop", "both": "master_etl shop"}
"""Each may read the runs of these DAGs and of no other, and has its name as its password."""


def add_users() -> None:
    from airflow.providers.fab.www.security_appless import ApplessAirflowSecurityManager
    from airflow.utils.session import create_session
    from werkzeug.security import generate_password_hash

    with create_session() as session:
        security = ApplessAirflowSecurityManager(session)
        security.sync_roles()
        for name, dag_ids in USERS.items():
            role = security.add_role(name)
            resources = [f"{kind}:{dag_id}" for dag_id in dag_ids.split() for kind in ("DAG", "DAG Run")]
            for resource in [*resources, "Website"]:
                security.add_permission_to_role(role, security.create_permission("can_read", resource))
            hashed = generate_password_hash(name)
            security.add_user(name, name, name, f"{name}@localhost", role, hashed_password=hashed)


def count_statements(app: FastAPI) -> None:
    """Each answer says in X-Statements how many statements both databases were sent since the answer before."""
    import psycopg
    from sqlalchemy import Engine, event

    sent: list[str] = []
    event.listen(Engine, "before_cursor_execute", lambda _connection, _cursor, statement, *_: sent.append(statement))
    execute = psycopg.Cursor.execute

    def counted(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return execute(cursor, query, *arguments, **options)

    psycopg.Cursor.execute = counted  # type: ignore[method-assign]

    @app.middleware("http")
    async def tell(request: Any, call_next: Any) -> Any:
        answer = await call_next(request)
        answer.headers["X-Statements"] = str(len(sent))
        sent.clear()
        return answer


if __name__ == "__main__":
    if "prepare" in sys.argv:
        from airflow.cli.cli_parser import get_parser
        from airflow.utils.db import initdb

        initdb()
        reserialize = get_parser().parse_args(["dags", "reserialize"])
        reserialize.func(reserialize)
    if "users" in sys.argv:
        add_users()
    from airflow.api_fastapi.app import create_app

    served = create_app(apps="core")
    count_statements(served)
    uvicorn.run(served, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
