"""Sluiceway: refreshes a PostGIS warehouse after every deploy, and never calls a lost row a success."""

__version__ = "0.1.0"
