"""Told, not only shown: what is wrong becomes an incident in the ledger, and who is to know of it is told once.

Looking reads; settling writes incidents; telling claims before it sends. Knows no Airflow.
"""
