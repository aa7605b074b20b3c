"""The tables of keys in docs/reference/environments.md, from the models of an environment's file."""

from __future__ import annotations

from dev.docs.keys import Document
from dev.docs.page import DOCS
from sluiceway.deploy import spec

_EVERY = spec.HttpEnvironment.__mro__[1]

ENVIRONMENTS = Document(
    path=DOCS / "reference" / "environments.md",
    models={
        "Environment": _EVERY,
        "GitHub": spec.GitHub,
        "HttpEnvironment": spec.HttpEnvironment,
        "CloudRunEnvironment": spec.CloudRunEnvironment,
    },
    no_keys=frozenset({"name", "kind"}),
)
