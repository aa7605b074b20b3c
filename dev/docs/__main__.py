"""Write every page of docs/ that is made from the code: python -m dev.docs. A test says when one is not current."""

from __future__ import annotations

from dev.docs.access import ACCESS
from dev.docs.alerts import ALERTS
from dev.docs.cli import CLI
from dev.docs.environments import ENVIRONMENTS
from dev.docs.flows import TRIGGERS
from dev.docs.ledger import LEDGER
from dev.docs.page import Page
from dev.docs.schemas import SCHEMAS
from dev.docs.settings import SETTINGS
from dev.docs.tables import TABLES

PAGES: tuple[Page, ...] = (TABLES, TRIGGERS, ENVIRONMENTS, ALERTS, CLI, LEDGER, SETTINGS, ACCESS)

if __name__ == "__main__":
    for page in (*PAGES, *SCHEMAS):
        page.write()
