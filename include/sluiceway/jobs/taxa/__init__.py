"""What the jobs that look up taxa know of names and of the services that they ask."""
