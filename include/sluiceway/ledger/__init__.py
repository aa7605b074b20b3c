"""The ledger, schema `etl` of the warehouse: which run did what to which table, and every row it refused."""
