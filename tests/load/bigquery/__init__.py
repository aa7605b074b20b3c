"""Tables whose rows go to BigQuery."""
