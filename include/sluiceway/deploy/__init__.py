"""From a deployed commit to a run: what CI calls, what an environment serves, and which build of the DAGs is here."""
