"""Airflow seen from outside, over its REST API."""
