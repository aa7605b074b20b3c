"""Small files as agencies write them, handed over beside the project: each is drafted, loaded, and as its list says.

They are no part of the project; what each is an example of is tested with files of our own beside this.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from dev.environment import ROOT
from sluiceway.errors import SluicewayError
from sluiceway.infer import infer
from sluiceway.infer.asked import Asked, table_name, validated
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table

HANDED_OVER = ROOT.parent / "shared" / "data" / "files2"
pytestmark = pytest.mark.skipif(not HANDED_OVER.is_dir(), reason="the files are handed over beside the project")

LOADED: dict[str, tuple[str, str, list[tuple[Any, ...]]]] = {
    "baddate": ("", "SELECT d FROM pts ORDER BY id", [("20201345",), ("2020-02-29",), ("2020",)]),
    "n20": (
        'key = "apn"',
        "SELECT apn::text, gisid::text FROM apn ORDER BY 1",
        [("12345678901234567891", "1234567890123456789"), ("12345678901234567892", "1234567890123456788")],
    ),
    "decint": ("", "SELECT dosis::float FROM pts ORDER BY id", [(120.5,), (99.25,)]),
    "ckan": ('records = "result.records"', "SELECT count(*), max(well) FROM search", [(40, "W-040")]),
    "json_links": ("other arrays of it: links (2)", "SELECT id, v FROM b ORDER BY id", [(1, 2), (2, 3), (3, 4)]),
    "esri": ("", "SELECT count(*), min(ST_SRID(geom)), round(avg(ST_X(geom))) FROM query", [(5, 4326, -122)]),
    "gbk_small": ("gb18030", "SELECT column_1 FROM t ORDER BY column_2", [("黑龙江省",), ("安徽省",)]),
    "pound": ("cp1252", "SELECT count(*) FROM spend", [(3,)]),
    "gj_2d3d": (
        "1 shape without a height",
        "SELECT ST_AsText(geom) FROM a ORDER BY i",
        [("MULTILINESTRING Z ((0 0 10,1 1 20))",), ("MULTILINESTRING Z ((0 0 0,1 1 0))",)],
    ),
    "z_gpkg4269": ("", "SELECT count(*), bool_and(ST_NDims(geom) = 3) FROM z", [(3, True)]),
    "gpkg_geomonly": ('key = "content"', "SELECT count(*) FROM g", [(3,)]),
    "gpkg_curve": ("curve_tolerance", "SELECT count(*), bool_or(ST_HasArc(geom)) FROM clc", [(3, False)]),
    "gpkg_pk": ('key = "facility_id"', "SELECT facility_id FROM nz ORDER BY 1", [(101,), (205,), (309,)]),
    "gj_numid": ('key = "id"', "SELECT count(*), min(id), max(id) FROM n", [(10, 1000, 1027)]),
    "int96_9999": ("", 'SELECT max("end")::text FROM t', [("9999-12-31 23:59:59",)]),
    "pq_fsb": ("'fsb' is left out", "SELECT count(*) FROM fsb", [(2,)]),
    "md5_csv": ("", "SELECT checksum FROM files ORDER BY size LIMIT 1", [("CFCD208495D565EF66E7DFF9F98764DA",)]),
    "spacecomma2": ("skip_spaces", "SELECT name, addr FROM c ORDER BY id LIMIT 1", [("Smith, J", "1 Main St, Apt 2")]),
    "tabquotes": (
        "",
        "SELECT primary_title FROM titles ORDER BY tconst",
        [('"Giliap',), ('He said "no"',), ('"Quoted"',), ('5" pipe',)],
    ),
    "units": ("degC, cfs", "SELECT sum(temp), sum(flow) FROM units", [(37.5, 315)]),
    "xl_blankpre": ("", "SELECT count(*), min(site_id), min(date)::text FROM t", [(12, "001", "2024-01-01")]),
    "xl_wide": ("no name", "SELECT count(*), min(column_5), count(column_4) FROM t", [(12, "note 0", 12)]),
    "xl_formats": ("", "SELECT zip FROM f ORDER BY zip", [("00501",), ("02138",), ("90210",)]),
    "mif": ("", "SELECT count(*), bool_and(ST_GeometryType(geom) ~ 'Polygon') FROM aonb", [(2, True)]),
    "cpg_lie": ("cp1252", "SELECT name FROM pts ORDER BY id", [("Peñasco",), ("Cañón",)]),
    "gdb_oid": ("", "SELECT count(*) > 0 FROM {table}", [(True,)]),
    "gj_gz": ("", "SELECT count(*) > 0 FROM a", [(True,)]),
}
"""What the draft says, a question to the table, and its answer."""
REFUSED = {
    "gj_empty": "is empty: it holds no feature",
    "gj_webmerc_nocrs": "does not say its CRS; declare geometry.source_crs",
}


def cases() -> list[Any]:
    """Of the list that comes with the files."""
    if not HANDED_OVER.is_dir():
        return []
    with (HANDED_OVER / "expected.tsv").open(encoding="utf-8", newline="") as lines:
        return [pytest.param(row, id=row["case"]) for row in csv.DictReader(lines, delimiter="\t")]


@pytest.mark.parametrize("case", cases())
def test_a_file_as_an_agency_writes_it_is_loaded_right(
    case: dict[str, str], warehouse_url: str, open_run: Callable[[str], RunKey], query: Callable[..., Any]
) -> None:
    asked = Asked(str(HANDED_OVER / case["case"] / case["file"]), case["layer"] or None)
    if case["case"] in REFUSED:
        with pytest.raises(SluicewayError, match=REFUSED[case["case"]]):
            draft = infer.infer(asked)
            load_table(validated(table_name(asked), tomllib.loads(draft)), warehouse_url, run=open_run("r"))
        return
    said, question, answer = LOADED[case["case"]]
    draft = infer.infer(asked)
    spec = validated(table_name(asked), tomllib.loads(draft))
    result = load_table(spec, warehouse_url, run=open_run("r"))
    assert said in draft
    assert query(question.format(table=spec.name)) == answer
    assert result.rejected == 0
    if case["rows"]:
        assert result.inserted == int(case["rows"])


def test_every_file_of_the_list_is_looked_at() -> None:
    listed = {str(case.id) for case in cases()}
    assert listed == {*LOADED, *REFUSED}
