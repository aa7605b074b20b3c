"""All that imports Airflow. Nothing outside of this wing, dags/ and plugins/ imports it."""
