"""The rows of a table with target = "bigquery": from PostgreSQL's staging table into one of BigQuery, then merged.

PostgreSQL casts, rejects and counts them as it does for a table of its own, and keeps the ledger. What is imported here
is imported for such a table alone: Google's client takes a second.
"""
