"""The pages under /sluiceway of Airflow's API server: one frame, one stylesheet, one script."""
