"""Tools for a developer's own machine: set-up, PostgreSQL, the Airflow stack. Production never imports this."""
