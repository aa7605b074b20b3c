"""Whether the data is as new as the code: one verdict of the ledger, the tables' files and the environment's probe.

Asking reads and never writes, and needs no scheduler, no worker and no run.
"""
