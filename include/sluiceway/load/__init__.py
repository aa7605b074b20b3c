"""From an extraction to the warehouse: cast, stage, check, merge, in one transaction. Knows no Airflow."""
