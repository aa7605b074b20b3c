"""What starts a flow, declared in include/config/flows/<dag_id>.toml. Knows no Airflow; operators/ and triggers/ do."""
