"""Reads include/config/tables/: one file per table, the file's stem is the table's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pydantic

from sluiceway.config_files import Words, read_toml, sentences, together
from sluiceway.errors import ConfigError, UnknownTableError, nearest
from sluiceway.settings import Settings, load_settings
from sluiceway.tables.checks import Checks, ColumnChecks, Range, RowCheck
from sluiceway.tables.column import Column
from sluiceway.tables.files import as_text, is_deployed, table_files
from sluiceway.tables.paging import Paging
from sluiceway.tables.source_spec import SOURCE_KINDS, LocatedSource
from sluiceway.tables.spec import Geometry, TableSpec

T = TypeVar("T")

_INSIDE: dict[type[pydantic.BaseModel], dict[str, type[pydantic.BaseModel]]] = {
    TableSpec: {**SOURCE_KINDS, "geometry": Geometry, "checks": Checks, "columns": Column},
    Checks: {"columns": ColumnChecks, "rows": RowCheck},
    ColumnChecks: {"range": Range},
    **{model: {"paging": Paging} for model in SOURCE_KINDS.values()},
}
"""The models of keys within a model's keys."""


_NO_KEYS = frozenset({"name", "transform", "written_uri"})
"""Fields of a TableSpec that no file may hold."""


def _known_keys(location: tuple[str, ...]) -> list[str]:
    """Field names that are valid where pydantic found an unknown one."""
    model: type[pydantic.BaseModel] = TableSpec
    for part in location[:-1]:
        model = _INSIDE.get(model, {}).get(part, model)
    return [name for name in model.model_fields if not (model is TableSpec and name in _NO_KEYS)]


_WORDS = Words(
    keys=_known_keys,
    branches=frozenset({*SOURCE_KINDS, "[key]", "literal['content']"}),
    kinds=tuple(SOURCE_KINDS),
)


def read_spec(path: Path) -> TableSpec:
    """The spec in one file; raises ConfigError with a sentence per problem."""
    return spec_of(path, read_toml(path))


def spec_of(path: Path, data: dict[str, Any]) -> TableSpec:
    """The spec that a file says which holds `data`; raises ConfigError with a sentence per problem."""
    if "name" in data:
        raise ConfigError(f"{path}: name: a table is named by its file, {path.stem!r}; remove the key")
    if "transform" in data:
        raise ConfigError(f"{path}: transform: is found by its name, transforms/{path.stem}.py; remove the key")
    if "written_uri" in data:
        raise ConfigError(f"{path}: written_uri: no such key{nearest('written_uri', _known_keys(('',)))}")
    source = data.get("source")
    if isinstance(source, dict) and isinstance(uri := source.get("uri"), str) and "://" not in uri:
        # a path in a file is relative to that file, wherever the worker stands
        data = {**data, "source": {**source, "uri": str((path.parent / uri).resolve())}, "written_uri": uri}
    transform = path.parent.parent / "transforms" / f"{path.stem}.py"
    if transform.is_file():
        data = {**data, "transform": transform.resolve()}
    try:
        return TableSpec.model_validate({"name": path.stem, **data})
    except pydantic.ValidationError as error:
        # what pydantic says shows values, which may be secrets, to whoever reads a log
        raise ConfigError(together(path, sentences(path, error.errors(), _WORDS))) from None


def read_from(spec: TableSpec, uri: str) -> TableSpec:
    """The same table from another file or address; a path is relative to where the command is typed.

    :raises ConfigError: the source has no uri.
    """
    if not isinstance(spec.source, LocatedSource):
        raise ConfigError(f"{spec.name}: --uri: a source of kind {spec.source.kind} is no file")
    place = uri if "://" in uri else str(Path(uri).resolve())
    source = spec.source.model_copy(update={"uri": place})
    return spec.model_copy(update={"source": source, "written_uri": None})


class Tables(NamedTuple):
    """The tables of files that are right, and what is wrong with the others: a sentence by the file's stem."""

    right: dict[str, TableSpec]
    wrong: dict[str, str]

    def names(self) -> list[str]:
        """Of all of them."""
        return sorted({*self.right, *self.wrong})

    def require(self) -> dict[str, TableSpec]:
        """Every table; raises ConfigError with every problem of every file."""
        if self.wrong:
            raise ConfigError("\n".join(self.wrong.values()))
        return self.right


def read(settings: Settings | None = None) -> Tables:
    """Every table under include/config/tables/, of all groups; a file that is wrong hinders no other table."""
    tables = Tables({}, {})
    for path in table_files((settings or load_settings()).config_dir):
        try:
            tables.right[path.stem] = read_spec(path)
        except ConfigError as error:
            tables.wrong[as_text(path.stem)] = as_text(str(error))
    return tables


def read_deployed(settings: Settings | None = None) -> Tables:
    """The tables this deployment runs, as `read`: those of its groups, also where the file that names one is wrong."""
    settings = settings or load_settings()
    right, wrong = read(settings)
    paths = {as_text(path.stem): path for path in table_files(settings.config_dir)}
    return Tables(
        {name: spec for name, spec in right.items() if settings.runs_group(spec.group)},
        {name: said for name, said in wrong.items() if name in paths and is_deployed(paths[name], settings)},
    )


def read_all(settings: Settings | None = None) -> dict[str, TableSpec]:
    """Every table under include/config/tables/, of all groups; raises ConfigError with every problem of every file."""
    return read(settings).require()


def deployed(settings: Settings | None = None) -> dict[str, TableSpec]:
    """The tables this deployment runs: those of its groups; raises ConfigError with every problem of their files."""
    return read_deployed(settings).require()


def read_one(name: str, settings: Settings | None = None) -> TableSpec:
    """The spec of one table, of any group; reads no other file.

    :raises UnknownTableError: there is no such file; names the nearest.
    """
    paths = {path.stem: path for path in table_files((settings or load_settings()).config_dir)}
    if name not in paths:
        raise UnknownTableError(f"There is no table {name!r}{nearest(name, paths)}")
    return read_spec(paths[name])


def choose(specs: Mapping[str, T], names: Iterable[str]) -> dict[str, T]:
    """The named ones of `specs`; raises UnknownTableError that names the nearest."""
    wanted = list(names)
    for name in wanted:
        if name not in specs:
            raise UnknownTableError(f"There is no table {name!r}{nearest(name, specs)}")
    return {name: specs[name] for name in wanted}
