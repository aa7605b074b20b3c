"""Hostile inputs for everything that reads what others write: `make fuzz SECONDS=600`."""
