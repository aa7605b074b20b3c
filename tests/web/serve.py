"""The real API server on a fresh metadata database: `python tests/web/serve.py PORT`, with AIRFLOW__ variables."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from airflow.configuration import conf
from airflow.utils.db import initdb

if __name__ == "__main__":
    initdb()
    if Path(conf.get("core", "dags_folder")).is_dir():
        from airflow.cli.cli_parser import get_parser

        reserialize = get_parser().parse_args(["dags", "reserialize"])
        reserialize.func(reserialize)
    from airflow.api_fastapi.app import create_app

    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
