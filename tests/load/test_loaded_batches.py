"""A load that remembers the batches of the last one does what a load without memory does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import geopandas
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from shapely import Point, Polygon

from dev.cluster import Cluster
from sluiceway.errors import ShrunkExtractionError, SluicewayError
from sluiceway.ledger import loaded_batches, store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import PsycopgSession
from sluiceway.load.cast import Caster
from sluiceway.load.loaded_batches import LoadedBatches, digest
from sluiceway.load.table import load_table
from sluiceway.sources.formats import json as json_source
from sluiceway.tables.registry import read_spec
from tests.warehouses import Warehouses

TOML = """
description = "Anything"
key = KEY
on_missing = "MISSING"
source = { kind = "json", uri = "FILE", layout = "lines" }
[columns]
id = "integer"
part = "text"
size = "numeric(6,2)"
[checks]
max_rejects = 1.0
max_shrink = 1.0
"""
Record = dict[str, Any]


@dataclass
class Trial:
    """Tables of a warehouse that are loaded again and again, a record a batch."""

    folder: Path
    url: str
    asker: psycopg.Connection[tuple[Any, ...]]
    cast: list[int] = field(default_factory=list)
    """Rows of the batches that were cast as a whole."""

    def execute(self, query: str | sql.Composed, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = self.asker.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def table(self, *, key: str = '"id"', missing: str = "keep") -> str:
        name = f"t_{uuid4().hex[:12]}"
        toml = TOML.replace("KEY", key).replace("MISSING", missing).replace("FILE", f"{name}.json")
        (self.folder / f"{name}.toml").write_text(toml)
        return name

    def load(self, name: str, records: list[Record]) -> TableRun:
        (self.folder / f"{name}.json").write_text("\n".join(json.dumps(record) for record in records) + "\n")
        run = RunKey("dag", uuid4().hex)
        store.open_run(PsycopgSession(self.asker), run, commit_sha=None, trigger_kind="test")
        self.cast.clear()
        return load_table(read_spec(self.folder / f"{name}.toml"), self.url, run=run, force=True)

    def forget(self, name: str) -> None:
        self.execute("DELETE FROM etl.loaded_batches WHERE table_name = %s", name)

    def content(self, name: str) -> list[tuple[Any, ...]] | None:
        """The rows, without what differs from run to run."""
        if self.execute("SELECT to_regclass(%s) IS NULL", name)[0][0]:
            return None
        return self.execute(
            sql.SQL(
                "SELECT to_jsonb(t) - 'etl_run_id' - 'deleted_at', to_jsonb(t) ->> 'deleted_at' IS NULL "
                "FROM {} t ORDER BY 1"
            ).format(sql.Identifier(name))
        )

    def rejects(self, result: TableRun) -> list[tuple[Any, ...]]:
        return self.execute(
            'SELECT row_number, column_name, reason, "row" FROM etl.reject WHERE run_id = %s ORDER BY 1', result.run_id
        )


@pytest.fixture(scope="module")
def trial(
    postgres: Cluster, warehouses: Warehouses, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    url = postgres.url("sluiceway_loader", shared_database)
    found = Trial(tmp_path_factory.mktemp("trial"), url, warehouses.asker(shared_database))
    cast = Caster.cast

    def counted(caster: Caster, batch: pa.RecordBatch) -> Any:
        found.cast.append(batch.num_rows)
        return cast(caster, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_source, "BATCH_BYTES", 1)
        patch.setattr(Caster, "cast", counted)
        yield found


def record(number: int, size: object = 1, part: str = "a") -> Record:
    return {"id": number, "part": part, "size": size}


records = st.builds(
    record,
    st.integers(0, 5) | st.just("x"),
    st.sampled_from([1, 2.5, None, "much"]),
    st.sampled_from(["a", "b"]),
)
versions = st.lists(st.lists(records, min_size=1, max_size=8), min_size=2, max_size=4)
by_hand = st.sampled_from(
    [
        None,
        "UPDATE {} SET size = 9 WHERE id = 1",
        "DELETE FROM {} WHERE id = 2",
        "INSERT INTO {} (id, part, size, etl_run_id) VALUES (3, 'a', 1, 'me') ON CONFLICT DO NOTHING",
        "TRUNCATE {}",
        "DROP TABLE {}",
        "ALTER TABLE {} DROP COLUMN size",
    ]
)


@given(versions, st.sampled_from(['"id"', '["id", "part"]']), st.sampled_from(["keep", "mark", "delete"]), by_hand)
@settings(max_examples=30, deadline=None)
def test_it_ends_as_without_memory(
    trial: Trial, later: list[list[Record]], key: str, missing: str, hand: str | None
) -> None:
    remembering, forgetting = trial.table(key=key, missing=missing), trial.table(key=key, missing=missing)
    # each version goes on from the one before, so that most batches come again
    source: list[Record] = []
    for number, version in enumerate(later):
        source = [*source[: 8 - len(version)], *version]
        outcomes = []
        for name in (remembering, forgetting):
            if number == len(later) - 1 and hand is not None and trial.content(name) is not None:
                trial.execute(sql.SQL(hand).format(sql.Identifier(name)))
            if name == forgetting:
                trial.forget(name)
            try:
                result = trial.load(name, source)
            except SluicewayError as error:
                outcomes.append((type(error), str(error).replace(name, "")))
                continue
            counts = (result.extracted, result.inserted, result.updated, result.unchanged, result.deleted)
            outcomes.append((*counts, result.rejected, result.table_rows, trial.rejects(result)))
        assert outcomes[0] == outcomes[1]
        assert trial.content(remembering) == trial.content(forgetting)


def test_batches_that_come_again_are_not_cast_again(trial: Trial) -> None:
    name = trial.table()
    trial.load(name, [record(number) for number in range(5)])
    assert len(trial.cast) == 5
    result = trial.load(name, [record(number) for number in range(5)])
    # an empty batch says what the others look like
    assert (result.unchanged, result.inserted, result.updated, trial.cast) == (5, 0, 0, [0])
    result = trial.load(name, [*(record(number) for number in range(4)), record(4, 2), record(5)])
    assert (result.unchanged, result.inserted, result.updated, trial.cast) == (4, 1, 1, [0, 1, 1])
    result = trial.load(name, [*(record(number) for number in range(4)), record(4, 2), record(5)])
    assert (result.unchanged, trial.cast) == (6, [0])


@pytest.mark.parametrize(
    ("change", "put_right"),
    [("UPDATE {} SET size = 99 WHERE id = 1", (0, 1, 2)), ("DELETE FROM {} WHERE id = 1", (1, 0, 2))],
)
def test_a_row_changed_by_hand_is_put_right(trial: Trial, change: str, put_right: tuple[int, int, int]) -> None:
    name, source = trial.table(), [record(number) for number in range(3)]
    trial.load(name, source)
    trial.execute(sql.SQL(change).format(sql.Identifier(name)))
    result = trial.load(name, source)
    assert (result.inserted, result.updated, result.unchanged) == put_right
    assert [row["size"] for row, _ in trial.content(name) or []] == [1, 1, 1]
    trial.cast.clear()
    assert trial.load(name, source).unchanged == 3
    assert trial.cast == [0], "and then it is remembered"


def test_a_rejected_batch_is_rejected_again(trial: Trial) -> None:
    name, source = trial.table(), [record(1), record(2, "much"), record(3)]
    first, second = trial.load(name, source), trial.load(name, source)
    assert (second.unchanged, second.rejected) == (2, 1)
    assert trial.rejects(first) == trial.rejects(second) != []


def test_a_rejected_row_whose_key_stands_from_before_is_rejected_again(trial: Trial) -> None:
    name = trial.table()
    trial.load(name, [record(1), record(2)])
    for _ in range(2):
        result = trial.load(name, [record(1), record(2, "much")])
        assert (result.unchanged, result.rejected) == (1, 1)


def test_a_repeated_row_is_loaded_when_the_one_that_won_is_gone(trial: Trial) -> None:
    name = trial.table()
    trial.load(name, [record(1), record(2), record(1, 7)])
    result = trial.load(name, [record(1), record(2)])
    assert (result.updated, result.unchanged, result.rejected) == (1, 1, 0)
    assert [row["size"] for row, _ in trial.content(name) or []] == [1, 1]


def test_where_every_new_value_is_wrong_the_remembered_ones_count(trial: Trial) -> None:
    name = trial.table()
    trial.load(name, [record(1), record(2)])
    result = trial.load(name, [record(1), record(2), record(3, "much")])
    assert (result.unchanged, result.rejected) == (2, 1)


def test_a_remembered_row_gives_way_to_a_later_one_of_its_key_and_is_a_reject_as_a_whole(trial: Trial) -> None:
    name = trial.table()
    trial.load(name, [record(1), record(2)])
    result = trial.load(name, [record(1), record(2), record(1, 7)])
    assert (result.updated, result.unchanged, result.rejected) == (1, 1, 1)
    ((number, column, reason, row),) = trial.rejects(result)
    assert (number, column, reason) == (1, "id", "key (id) is repeated by row 3, which is loaded")
    assert row == {"id": 1, "part": "a", "size": "1"}


def test_a_remembered_row_wins_over_an_earlier_one_of_its_key(trial: Trial) -> None:
    name = trial.table()
    trial.load(name, [record(1), record(2)])
    result = trial.load(name, [record(2, 7), record(1), record(2)])
    assert (result.updated, result.unchanged, result.rejected) == (0, 2, 1)
    assert [row["size"] for row, _ in trial.content(name) or []] == [1, 1]


def test_the_rejects_of_a_load_that_begins_anew_and_fails_are_shown_once(trial: Trial) -> None:
    name = trial.table(missing="delete")
    path = trial.folder / f"{name}.toml"
    path.write_text(path.read_text().replace("max_shrink = 1.0", "max_shrink = 0.3"))
    trial.load(name, [record(number) for number in range(6)])
    trial.execute(f'UPDATE "{name}" SET size = 99 WHERE id = 0')
    source = [record(0), record(1, "much"), *(record(number) for number in range(6, 10))]
    with pytest.raises(ShrunkExtractionError, match="would take away 4 of 10 rows"):
        trial.load(name, source)
    shown = "SELECT row_number FROM etl.reject WHERE table_name = %s"
    assert trial.execute(shown, name) == [(2,)]


def test_a_batch_whose_rows_were_taken_away_is_forgotten(trial: Trial) -> None:
    name, source = trial.table(missing="delete"), [record(1), record(2), record(3)]
    trial.load(name, source)
    assert trial.load(name, source[:2]).deleted == 1
    assert trial.cast == [0]
    assert trial.load(name, source).inserted == 1
    assert trial.cast == [0, 1]


def test_a_table_whose_key_is_its_content_remembers_nothing(trial: Trial) -> None:
    name, source = trial.table(key='"content"'), [record(1), record(2)]
    trial.load(name, source)
    assert trial.execute("SELECT count(*) FROM etl.loaded_batches WHERE table_name = %s", name) == [(0,)]
    assert trial.load(name, source).unchanged == 2
    assert trial.cast == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        "way = 'another'",
        "shape = 'another'",
        "transaction = pg_current_xact_id()::text::bigint + 1000",
        "transaction = pg_current_xact_id()::text::bigint - 3000000000",
    ],
)
def test_what_may_not_hold_is_not_believed(trial: Trial, change: str) -> None:
    name, source = trial.table(), [record(1), record(2)]
    trial.load(name, source)
    trial.execute(f"UPDATE etl.loaded_batches SET {change} WHERE table_name = '{name}'")
    trial.load(name, source)
    assert trial.cast == [1, 1]
    trial.load(name, source)
    assert trial.cast == [0]


def test_rows_of_very_many_transactions_are_not_remembered(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_batches, "MOST_VERSIONS", 1)
    name = trial.table()
    trial.load(name, [record(1)])
    trial.load(name, [record(1), record(2)])
    assert trial.execute("SELECT count(*) FROM etl.loaded_batches WHERE table_name = %s", name) == [(0,)]


def test_the_digest_knows_values_types_columns_and_the_crs() -> None:
    def batch(values: list[object], type_: pa.DataType | None = None, name: str = "a") -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.array(values, type_)], names=[name])

    one = batch([1, 2])
    found = [
        digest(each, crs)
        for each, crs in [
            (one, "EPSG:4326"),
            (one, None),
            (batch([1, 3]), None),
            (batch([1, None]), None),
            (batch([1, 2], pa.int32()), None),
            (batch([1, 2], name="b"), None),
            (batch(["1", "2"]), None),
            (batch(["12", ""]), None),
            (batch([1, 2, 3]).slice(0, 1), None),
        ]
    ]
    assert len(set(found)) == len(found)
    assert digest(batch([0, 1, 2]).slice(1), None) == digest(one, None), "where it lies in memory does not matter"
    words = pa.array(["x", "y"]).dictionary_encode()
    other = pa.array(["x", "z"]).dictionary_encode()
    assert digest(pa.record_batch([words], ["a"]), None) != digest(pa.record_batch([other], ["a"]), None)


def test_what_is_written_is_read() -> None:
    memory = LoadedBatches(seen={b"a" * 16: 0, b"b" * 16: 7})
    assert LoadedBatches.of(memory.written()).known == memory.seen
    assert LoadedBatches.of(b"").known == {} and LoadedBatches().written() == b""


PARK = """
description = "Parks"
key = "id"
source = { kind = "vector", uri = "park.geojson" }
columns = { id = "integer" }
geometry = { type = "MultiPolygon", invalid = "INVALID" }
checks = { max_rejects = 10 }
"""
SQUARE = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])
BOW_TIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


@pytest.mark.parametrize("invalid", ["repair", "reject"])
def test_polygons_are_repaired_and_refused_as_the_first_time(
    invalid: str, warehouse_url: str, open_run: Callable[[str], RunKey], tmp_path: Path
) -> None:
    shapes = [SQUARE, BOW_TIE, SQUARE]
    geopandas.GeoDataFrame({"id": range(3)}, geometry=shapes, crs=4326).to_file(tmp_path / "park.geojson")
    (tmp_path / "park.toml").write_text(PARK.replace("INVALID", invalid))
    spec = read_spec(tmp_path / "park.toml")
    first, second = (load_table(spec, warehouse_url, run=open_run(f"r{each}"), force=True) for each in range(2))
    expected = (1, 0) if invalid == "repair" else (0, 1)
    assert (first.repaired, first.rejected) == (second.repaired, second.rejected) == expected
    assert (second.unchanged, second.inserted, second.updated) == (3 - expected[1], 0, 0)


def test_the_same_numbers_in_another_crs_are_other_shapes(
    warehouse_url: str, open_run: Callable[[str], RunKey], query: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "spot.toml").write_text(
        'description = "Spots"\nkey = "id"\nsource = { kind = "vector", uri = "spot.gpkg" }\n'
        'columns = { id = "integer" }\ngeometry = { type = "Point" }\n'
    )
    spec = read_spec(tmp_path / "spot.toml")
    for number, crs in enumerate((32633, 32634)):
        frame = geopandas.GeoDataFrame({"id": [1]}, geometry=[Point(500_000, 5_000_000)], crs=crs)
        frame.to_file(tmp_path / "spot.gpkg", layer="spot")
        result = load_table(spec, warehouse_url, run=open_run(f"r{number}"), force=True)
    assert result.updated == 1
    assert query("SELECT round(st_x(geom)) FROM spot") == [(21,)]
