"""The real API server: `python tests/on_airflow/web/serve.py PORT [prepare]`, with AIRFLOW__ variables.

`prepare`: the metadata database is empty, and the DAGs are to be put into it. `users`: so are FAB's users.
"""

from __future__ import annotations

import sys

import uvicorn

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

    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
