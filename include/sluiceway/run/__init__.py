"""One run: what it does around its loads, and whether that went well. Knows no Airflow; on_airflow/ wraps it."""
