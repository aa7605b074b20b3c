"""Runs on the command line: `sluiceway runs`."""
