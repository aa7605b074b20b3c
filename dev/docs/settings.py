"""The table of variables in docs/reference/settings.md, from the model of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from dev.docs.page import DOCS, Parts, cell, code, table
from sluiceway.settings import CONFIG_DIR, PREFIX, Settings


def variables() -> dict[str, FieldInfo]:
    """The environment variables and what each sets."""
    return {f"{PREFIX}{name.upper()}": field for name, field in Settings.model_fields.items()}


def _table() -> str:
    rows = [
        (code(name), _default(field), cell(field.description or ""), _values(field))
        for name, field in variables().items()
    ]
    return table(("variable", "default", "meaning", "example"), *rows)


def _values(field: FieldInfo) -> str:
    choices = [each for each in get_args(field.annotation) if isinstance(each, str)]
    return ", ".join(code(str(each)) for each in choices or field.examples or [])


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or value == "":
        return "not set"
    # where this machine keeps its checkout is nobody's business
    return (
        "beside the library"
        if value == CONFIG_DIR
        else code(str(value) if not isinstance(value, Path) else value.as_posix())
    )


SETTINGS = Parts(path=DOCS / "reference" / "settings.md", parts={"variables": _table})
