"""The JSON Schema of status.json, from its model: docs/reference/status.schema.json."""

from __future__ import annotations

import json

from dev.docs.page import DOCS, Page
from sluiceway.freshness.document import StatusDocument


class Schema(Page):
    """The file; nothing in it is written by hand."""

    def written(self, _text: str) -> str:
        """The schema of today."""
        schema = StatusDocument.model_json_schema(mode="serialization")
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        return json.dumps({**head, **schema}, indent=2, ensure_ascii=False) + "\n"


STATUS_SCHEMA = Schema(path=DOCS / "reference" / "status.schema.json")
