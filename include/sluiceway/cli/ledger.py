"""`sluiceway ledger`: the ledger in the warehouse."""

from __future__ import annotations

from sluiceway.cli.console import out, print_json, sentences
from sluiceway.cli.options import JsonOption, WarehouseOption, owner_url
from sluiceway.cli.program import Commands

app = Commands(help="The ledger in the warehouse.")


@app.command("migrate")
def ledger_migrate(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Bring the ledger to the version this code needs, as the role that owns the warehouse.

    Example: sluiceway ledger migrate --warehouse postgresql://owner@localhost/warehouse
    """
    from sluiceway.ledger.migrate import migrate

    with sentences():
        revision = migrate(owner_url(warehouse))
    if as_json:
        print_json({"revision": revision})
        return
    out.print(f"The ledger is at revision {revision}.")
