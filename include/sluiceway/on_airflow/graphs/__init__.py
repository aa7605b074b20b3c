"""The graphs of the DAGs, as functions: dags/ calls them."""
