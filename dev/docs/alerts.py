"""The tables of keys in docs/how-to/alerts.md, from the models of the file of alerts."""

from __future__ import annotations

from dev.docs.keys import Document
from dev.docs.page import DOCS
from sluiceway.alerts.spec import Alert, AlertsSpec

ALERTS = Document(
    path=DOCS / "how-to" / "alerts.md",
    models={"AlertsSpec": AlertsSpec, "Alert": Alert},
    no_keys=frozenset({"name", "alerts"}),
)
