"""Tasks that wait for something outside of Airflow."""
