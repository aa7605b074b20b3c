"""See sluiceway.triggers."""

from sluiceway.on_airflow.triggers.deployed_commit import DeployedCommitTrigger as DeployedCommitTrigger
