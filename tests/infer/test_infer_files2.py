"""Vector files and JSON answers as agencies wrote them, drafted and loaded; the folder is no part of the repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dev.environment import ROOT
from sluiceway.errors import EmptyExtractionError, SourceUnreadableError
from sluiceway.ledger.store import TableRun

FILES = ROOT.parent / "shared" / "data" / "files2"
pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason=f"{FILES} is not there")
Load = Callable[..., TableRun]
Query = Callable[..., list[tuple[Any, ...]]]


def brought(case: str, folder: Path) -> None:
    for entry in (FILES / case).iterdir():
        copy: Callable[..., object] = shutil.copytree if entry.is_dir() else shutil.copy
        copy(entry, folder / entry.name)


@pytest.mark.parametrize(
    ("case", "file", "rows", "key"),
    [
        ("ckan", "search.json", 40, "id"),
        ("json_links", "b.json", 3, "id"),
        ("esri", "query.json", 5, "objectid"),
        ("gj_2d3d", "a.geojson", 2, "i"),
        ("z_gpkg4269", "z.gpkg", 3, "id"),
        ("gpkg_geomonly", "g.gpkg", 3, "content"),
        ("gpkg_curve", "clc.gpkg", 3, "code"),
        ("gpkg_pk", "nz.gpkg", 3, "facility_id"),
        ("gj_numid", "n.geojson", 10, "id"),
        ("mif", "aonb.mif", 2, "name"),
        ("gdb_oid", "x.gdb", 2, "id"),
        ("gj_gz", "a.geojson.gz", None, "i"),
    ],
)
def test_every_row_of_a_file_arrives(
    load: Load, tmp_path: Path, query: Query, case: str, file: str, rows: int | None, key: str
) -> None:
    brought(case, tmp_path)
    found = load(file)
    assert (found.inserted, found.rejected) == (rows or found.extracted, 0)
    assert query("SELECT count(*) FROM drafted") == [(found.extracted,)]
    assert f'key = "{key}"' in (tmp_path / "drafted.toml").read_text(encoding="utf-8")


def test_an_empty_collection_and_metres_without_a_crs_are_told(load: Load, tmp_path: Path) -> None:
    brought("gj_empty", tmp_path)
    brought("gj_webmerc_nocrs", tmp_path)
    with pytest.raises(EmptyExtractionError, match="holds no feature"):
        load("e.geojson")
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs"):
        load("c.geojson")
