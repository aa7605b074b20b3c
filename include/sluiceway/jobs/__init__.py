"""Item work: what is due, claimed, done, dead or waiting for a person, in schema `etl_jobs`. Knows no Airflow."""
