"""What Airflow's API server shows of Sluiceway; plugins/sluiceway_plugin.py registers it."""
