"""See sluiceway.triggers."""

from sluiceway.on_airflow.triggers.deploy_watch import DeployWatchTrigger as DeployWatchTrigger
