"""`sluiceway ledger`: the ledger in the warehouse."""

from __future__ import annotations

from sluiceway.cli.console import out, print_json, sentences
from sluiceway.cli.options import JsonOption, WarehouseOption, warehouse_url
from sluiceway.cli.program import Commands
from sluiceway.settings import load_settings

app = Commands(help="The ledger in the warehouse.")


@app.command("migrate")
def ledger_migrate(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Bring the ledger to the version this code needs, as the role that owns the warehouse.

    Example: sluiceway ledger migrate --warehouse postgresql://owner@localhost/warehouse
    """
    from sluiceway.ledger.migrate import migrate

    with sentences():
        revision = migrate(warehouse or load_settings().owner_url or warehouse_url(None))
    if as_json:
        print_json({"revision": revision})
        return
    out.print(f"The ledger is at revision {revision}.")
