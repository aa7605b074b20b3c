"""The class paths of triggers up to release 0.1: Airflow has stored them for tasks that wait, and for watchers.

Deleted in the release after the next.
"""
