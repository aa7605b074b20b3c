"""Rows that are asked for: databases and services, and how to sign in there."""
