"""Thin Airflow adapters over run/ and load/. No business code."""
