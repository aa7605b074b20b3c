"""What was proved of rings is remembered for these very rings, and for no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from shapely import Polygon

from sluiceway.ledger.store import TableRun
from sluiceway.load.polygons import Rings
from sluiceway.load.proofs import Proofs
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

SQUARE = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])
BOW_TIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
PARK = """
description = "Parks"
key = "id"
[source]
kind = "vector"
uri = "park.geojson"
[columns]
id = "integer"
[geometry]
type = "MultiPolygon"
invalid = "INVALID"
[checks]
max_rejects = 10
"""
Load = Callable[[list[Polygon]], TableRun]


def rings(*shapes: Polygon) -> Rings:
    _, xy, offsets = shapely.to_ragged_array(list(shapes))
    return Rings(np.arange(len(shapes)), xy, offsets[0])


class Prover:
    """Asks GEOS, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, found: Rings) -> np.ndarray:
        self.asked += 1
        return shapely.is_valid(
            shapely.from_ragged_array(
                shapely.GeometryType.POLYGON, found.xy, (found.starts, np.arange(len(found.rows) + 1))
            )
        )


def test_rings_that_come_again_are_not_proved_again() -> None:
    prover, first = Prover(), Proofs()
    batches = [rings(*[SQUARE] * 9, BOW_TIE), rings(BOW_TIE), rings(SQUARE)]
    verdicts = [first.good(each, prover, "GEOS").tolist() for each in batches]
    assert verdicts == [[True] * 9 + [False], [False], [True]]
    again = Proofs.of(first.written())
    assert [again.good(each, prover, "GEOS").tolist() for each in batches] == verdicts
    assert prover.asked == 3


@pytest.mark.parametrize(
    ("other", "prover_name"),
    [
        (rings(shapely.affinity.translate(SQUARE, 1e-12), SQUARE), "GEOS"),
        (rings(SQUARE), "GEOS"),
        (rings(SQUARE, SQUARE, SQUARE), "GEOS"),
        (rings(SQUARE, SQUARE), "GEOS of another version"),
    ],
    ids=["a corner moved", "one is gone", "one has come", "another prover"],
)
def test_anything_else_is_proved(other: Rings, prover_name: str) -> None:
    prover, first = Prover(), Proofs()
    first.good(rings(SQUARE, SQUARE), prover, "GEOS")
    Proofs.of(first.written()).good(other, prover, prover_name)
    assert prover.asked == 2


def test_the_same_corners_in_other_rings_are_proved() -> None:
    one = rings(SQUARE, SQUARE)
    other = Rings(one.rows, one.xy, np.array([0, 4, len(one.xy)]))
    asked: list[Rings] = []

    def prove(found: Rings) -> np.ndarray:
        asked.append(found)
        return np.ones(2, dtype=bool)

    first = Proofs()
    first.good(one, prove, "GEOS")
    Proofs.of(first.written()).good(other, prove, "GEOS")
    assert asked == [one, other]


def test_only_what_the_last_load_saw_is_kept() -> None:
    first = Proofs()
    first.good(rings(SQUARE), Prover(), "GEOS")
    second = Proofs.of(first.written())
    second.good(rings(BOW_TIE), Prover(), "GEOS")
    assert len(Proofs.of(second.written()).known) == 1


def test_no_proof_is_no_bytes() -> None:
    assert Proofs().written() == b""
    assert Proofs.of(b"").known == {}


@pytest.fixture
def load(
    warehouse_url: str, open_run: Callable[[str], str], write_spec: Callable[..., TableSpec], tmp_path: Path
) -> Callable[[str], Load]:
    """Loads parks of these shapes, by force, as a new run each time."""
    count = 0

    def for_(invalid: str) -> Load:
        def run(shapes: list[Polygon]) -> TableRun:
            nonlocal count
            count += 1
            frame = geopandas.GeoDataFrame({"id": range(len(shapes))}, geometry=shapes, crs=4326)
            frame.to_file(tmp_path / "park.geojson", driver="GeoJSON")
            spec = write_spec("park", PARK.replace("INVALID", invalid))
            return load_table(spec, warehouse_url, run_id=open_run(f"r{count}"), force=True)

        return run

    return for_


def test_a_later_load_refuses_and_repairs_what_the_first_one_did(load: Callable[[str], Load]) -> None:
    shapes = [SQUARE, BOW_TIE, SQUARE]
    for invalid, expected in (("reject", (1, 0)), ("repair", (0, 1))):
        parks = load(invalid)
        for _ in range(2):
            result = parks(shapes)
            assert (result.rejected, result.repaired) == expected
        assert result.unchanged == 3 - expected[0]


def test_a_ring_that_has_become_invalid_is_seen(load: Callable[[str], Load], query: Callable[..., object]) -> None:
    parks = load("reject")
    assert parks([SQUARE, SQUARE]).rejected == 0
    assert query("SELECT length(proofs) > 16 FROM etl.ring_proof WHERE table_name = 'park'") == [(True,)]
    assert parks([SQUARE, BOW_TIE]).rejected == 1
