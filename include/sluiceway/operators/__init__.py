"""Thin Airflow adapters over steps.py and load/. No business code."""
