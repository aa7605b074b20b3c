"""The real API server: `python tests/web/serve.py PORT [prepare]`, with AIRFLOW__ variables.

`prepare`: the metadata database is empty, and the DAGs are to be put into it.
"""

from __future__ import annotations

import sys

import uvicorn

if __name__ == "__main__":
    if "prepare" in sys.argv:
        from airflow.cli.cli_parser import get_parser
        from airflow.utils.db import initdb

        initdb()
        reserialize = get_parser().parse_args(["dags", "reserialize"])
        reserialize.func(reserialize)
    from airflow.api_fastapi.app import create_app

    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
