"""One file per kind of source, named as the kind; KIND is what the cases ask."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from tests.sources.conformance.kind import Kind


def kind_of(name: str) -> Kind:
    """The kind of that name.

    :raises LookupError: nobody has written its file yet.
    """
    module = f"{__name__}.{name}"
    if find_spec(module) is None:
        raise LookupError(
            f"the kind {name!r} has no file tests/sources/conformance/kinds/{name}.py; docs/how-to/add-a-source.md "
            f"says what belongs in it"
        )
    kind: Kind = import_module(module).KIND
    return kind
