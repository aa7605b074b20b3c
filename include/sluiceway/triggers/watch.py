"""See sluiceway.triggers."""

from sluiceway.on_airflow.triggers.watch import WatchTrigger as WatchTrigger
