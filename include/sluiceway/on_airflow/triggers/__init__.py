"""What waits in the triggerer instead of a worker. Imported there, so a DAG bundle alone does not bring it."""
