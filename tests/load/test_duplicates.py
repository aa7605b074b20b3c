"""Rows that are alike in full, and have no key: each of them is a row where the table's file keeps them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import shapely

from bench.landiq_file import write_shapefile
from sluiceway.errors import ConfigError
from sluiceway.infer.preview import preview
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.parts import load_part, plan_parts
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec
from tests.load.fields import Fields

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]

RIFLES = ["RIFLE,CA"] * 5 + ["TRUCK,NV"] * 2 + ["RIFLE,NV"]
"""Surplus, as it is listed: one line for each."""


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Loads a spec as run r1, r2, ..., also where nothing has changed."""
    runs: list[RunKey] = []

    def run(spec: TableSpec) -> TableRun:
        runs.append(open_run(f"r{len(runs) + 1}"))
        return load_table(spec, warehouse_url, run=runs[-1], force=True)

    return run


@pytest.fixture
def surplus(write_spec: WriteSpec) -> Callable[..., TableSpec]:
    """A spec over these lines, which keeps alike ones."""

    def make(lines: Sequence[str], duplicates: str = "keep", more: str = "") -> TableSpec:
        toml = (
            f'description = "Surplus"\nkey = "content"\nduplicates = "{duplicates}"\n{more}\n'
            '[source]\nkind = "csv"\nuri = "surplus.csv"\n[columns]\nitem = "text"\nstate = "text"\n'
            "[checks]\nmax_rejects = 100\nmax_shrink = 0.9\n"
        )
        return write_spec("surplus", toml, surplus__csv="item,state\n" + "".join(f"{line}\n" for line in lines))

    return make


def accounting(run: TableRun) -> tuple[int, ...]:
    return run.extracted, run.inserted, run.updated, run.unchanged, run.rejected, run.deleted


def rows(query: Query) -> Counter[tuple[object, ...]]:
    return Counter(query("SELECT item, state FROM surplus"))


def test_every_alike_row_is_loaded(surplus: Callable[..., TableSpec], load: Load, query: Query) -> None:
    assert accounting(load(surplus(RIFLES))) == (8, 8, 0, 0, 0, 0)
    assert rows(query) == {("RIFLE", "CA"): 5, ("TRUCK", "NV"): 2, ("RIFLE", "NV"): 1}
    assert query("SELECT count(*) FROM etl.reject") == [(0,)]
    assert query("SELECT count(DISTINCT content_key) FROM surplus") == [(8,)]


def test_a_second_load_changes_nothing_in_whatever_order(
    surplus: Callable[..., TableSpec], load: Load, query: Query
) -> None:
    load(surplus(RIFLES))
    before = query("SELECT * FROM surplus ORDER BY content_key")
    for seed in range(3):
        lines = random.Random(seed).sample(RIFLES, len(RIFLES))
        assert accounting(load(surplus(lines))) == (8, 0, 0, 8, 0, 0)
    assert query("SELECT * FROM surplus ORDER BY content_key") == before


@pytest.mark.parametrize(
    ("missing", "deleted", "live"), [("keep", 0, 5), ("delete", 2, 3), ("mark", 2, 3)], ids=lambda value: str(value)
)
def test_one_more_is_a_new_row_and_fewer_are_missing_ones(
    surplus: Callable[..., TableSpec], load: Load, query: Query, missing: str, deleted: int, live: int
) -> None:
    more = f'on_missing = "{missing}"'
    load(surplus(RIFLES, more=more))
    assert accounting(load(surplus(RIFLES[2:], more=more))) == (6, 0, 0, 6, 0, deleted)
    where = "AND deleted_at IS NULL" if missing == "mark" else ""
    assert query(f"SELECT count(*) FROM surplus WHERE item = 'RIFLE' AND state = 'CA' {where}") == [(live,)]
    again = load(surplus([*RIFLES, "RIFLE,CA"], more=more))
    assert (again.extracted, again.table_rows, again.rejected) == (9, 9, 0)
    assert rows(query)[("RIFLE", "CA")] == 6


def test_who_begins_to_keep_them_gains_those_that_were_rejects(
    surplus: Callable[..., TableSpec], load: Load, query: Query
) -> None:
    assert accounting(load(surplus(RIFLES, "reject"))) == (8, 3, 0, 0, 5, 0)
    assert accounting(load(surplus(RIFLES))) == (8, 5, 0, 3, 0, 0)
    assert rows(query)[("RIFLE", "CA")] == 5


def test_texts_that_look_like_numbered_ones_are_other_rows(
    surplus: Callable[..., TableSpec], load: Load, query: Query
) -> None:
    lines = ["A,#2", "A,#2", "A)#2,", "A,", "A,", '"(A,)#2",', "A,"]
    assert accounting(load(surplus(lines))) == (7, 7, 0, 0, 0, 0)
    assert rows(query) == {("A", "#2"): 2, ("A)#2", None): 1, ("A", None): 3, ("(A,)#2", None): 1}


def test_a_row_that_cannot_be_read_is_a_reject_still(surplus: Callable[..., TableSpec], load: Load) -> None:
    assert accounting(load(surplus([*RIFLES, "one,too,many"]))) == (9, 8, 0, 0, 1, 0)


def test_alike_rows_of_other_shapes_are_others(write_spec: WriteSpec, load: Load, query: Query) -> None:
    points = [shapely.Point(1, 2).wkt, shapely.Point(1, 2).wkt, shapely.Point(2, 1).wkt]
    toml = (
        'description = "Trees"\nkey = "content"\nduplicates = "keep"\n[source]\nkind = "csv"\nuri = "tree.csv"\n'
        '[columns]\nkind = "text"\n[geometry]\ntype = "Point"\nsource = "wkt"\nsource_crs = "EPSG:4326"\n'
    )
    spec = write_spec("tree", toml, tree__csv="kind,wkt\n" + "".join(f"oak,{point}\n" for point in points))
    assert [accounting(load(spec)) for _ in range(2)] == [(3, 3, 0, 0, 0, 0), (3, 0, 0, 3, 0, 0)]
    assert query("SELECT ST_AsText(geom), count(*) FROM tree GROUP BY 1 ORDER BY 1") == [
        ("POINT(1 2)", 2),
        ("POINT(2 1)", 1),
    ]


def test_alike_rows_of_several_parts_are_all_loaded(
    write_spec: WriteSpec,
    load: Load,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    tmp_path: Path,
    query: Query,
) -> None:
    path = write_shapefile(tmp_path / "fields", 3_000)
    toml = (
        f'description = "Crops"\nkey = "content"\nduplicates = "keep"\nsplit = "rows:1000"\n[source]\nkind = "vector"\n'
        f'uri = "{path}"\n[columns]\ncrop = {{ source = "MAIN_CROP", type = "text" }}\n'
    )
    spec = write_spec("crop", toml)
    with Fields(path) as fields:
        for number in range(3_000):
            fields.put(number, "MAIN_CROP", b"Z9" if number % 3 else b"A1")
    whole = load(spec)
    run = open_run("parted")
    for part in plan_parts(spec, warehouse_url, run=run, force=True):
        load_part(spec, warehouse_url, run=run, part=part)
    parted = load_table(spec, warehouse_url, run=run, force=True, from_parts=True)
    assert accounting(whole) == (3_000, 3_000, 0, 0, 0, 0)
    assert accounting(parted) == (3_000, 0, 0, 3_000, 0, 0)
    assert query("SELECT crop, count(*) FROM crop GROUP BY 1 ORDER BY 1") == [("A1", 1_000), ("Z9", 2_000)]


def test_a_preview_counts_them_as_rows(surplus: Callable[..., TableSpec]) -> None:
    found = preview(surplus(RIFLES))
    assert found.sentence("surplus") == "surplus: of 8 rows 8 can be loaded and 0 would be rejects."
    assert preview(surplus(RIFLES, "reject")).repeated == 5


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            'key = "item"\nsource = { kind = "csv", uri = "a.csv" }',
            'duplicates: rows that share a key cannot be kept; that is for key = "content"',
        ),
        (
            'key = "content"\nsource = { kind = "sql", connection = "a", query = "SELECT 1 item", watermark = "item" }',
            "duplicates: source.watermark reads new rows only",
        ),
    ],
)
def test_where_they_cannot_be_kept_one_sentence_says_so(write_spec: WriteSpec, toml: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        write_spec("surplus", f'description = "Surplus"\nduplicates = "keep"\n{toml}\ncolumns = {{ item = "text" }}\n')
