"""What a table is: its spec, and the registry of include/config/tables/."""
