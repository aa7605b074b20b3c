"""The table that a command names: by its name, by its file, or by data of which a draft makes one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from sluiceway.cli.console import err, plain
from sluiceway.cli.standard_input import NAME, STDIN, check_kind, spooled
from sluiceway.errors import ConfigError
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.tables.spec import TableSpec


@contextmanager
def named_table(
    table: str, *, uri: str | None = None, kind: str | None = None, name: str | None = None
) -> Iterator[TableSpec]:
    """The table, and what the standard input holds for as long as the block lasts.

    :param table: a name, a table's file, other data, or `-` for the standard input.
    :param uri: what is read instead of the declared source; `-` as well.
    :param kind: what data is, if not what it looks like.
    :param name: of the table that is made of data.
    :raises SluicewayError: there is no such table, or its file is wrong, or the data cannot be read.
    """
    from sluiceway.tables import registry

    check_kind(kind)
    if table == STDIN:
        with spooled() as path:
            yield _drafted(str(path), kind, name or NAME, called=STDIN)
        return
    spec = _spec(table, kind, name)
    if uri is None:
        yield spec
    elif uri != STDIN:
        yield registry.read_from(spec, uri)
    else:
        given = registry.read_from(spec, uri)
        with spooled(given.source.max_bytes) as path:  # type: ignore[union-attr]  # read_from takes files alone
            # so that the same data is known again, wherever it lay meanwhile
            yield registry.read_from(spec, str(path)).model_copy(update={"written_uri": STDIN})


def _spec(table: str, kind: str | None, name: str | None) -> TableSpec:
    from sluiceway.tables import registry

    is_described = table.endswith(".toml") or not {".", "/", "*"} & set(table)
    if not is_described:
        return _drafted(table, kind, name)
    if odd := next((option for option, said in (("--kind", kind), ("--name", name)) if said is not None), None):
        raise ConfigError(
            f"{odd}: the table's file says that; leave it out, or name the data itself in place of {table}"
        )
    return registry.read_spec(Path(table)) if table.endswith(".toml") else registry.read_one(table)


def _drafted(uri: str, kind: str | None, name: str | None, *, called: str | None = None) -> TableSpec:
    """The table that a draft makes of data; the draft is shown."""
    from sluiceway.infer import infer
    from sluiceway.infer.asked import Asked, table_name, validated

    asked = Asked(uri, kind=kind, called=called, name=name)
    draft = infer.infer(asked)
    data = tomllib.loads(draft)
    if called is not None:
        # the draft names what is nobody's file
        data["source"]["uri"] = uri
    spec = validated(table_name(asked), data)
    # line by line, and none of them wrapped: it is a file
    err.print("\n".join(map(plain, draft.split("\n"))), soft_wrap=True)
    shown = called or uri
    kept = quote(str(load_settings().config_dir / "tables" / f"{spec.name}.toml"))
    err.print(plain(f"This draft is used once. To keep it: sluiceway tables infer {quote(shown)} -o {kept}"))
    return spec if called is None else spec.model_copy(update={"written_uri": called})
