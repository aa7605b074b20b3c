"""What a run did, as a pure model and as one self-contained page. Imports no Airflow."""
