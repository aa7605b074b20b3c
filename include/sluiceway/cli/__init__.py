"""The command line: `sluiceway`."""
