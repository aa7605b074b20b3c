"""The real API server on a fresh metadata database: `python tests/web/serve.py PORT`, with AIRFLOW__ variables."""

from __future__ import annotations

import sys

import uvicorn
from airflow.utils.db import initdb

if __name__ == "__main__":
    initdb()
    from airflow.api_fastapi.app import create_app

    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
