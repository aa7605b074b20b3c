"""A real Airflow whose tables go to BigQuery, or to what stands in for it."""
