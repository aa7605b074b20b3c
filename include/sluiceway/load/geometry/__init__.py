"""Shapes on their way into the warehouse: checked, repaired, reprojected."""
