"""`split` of a table's file: what can be loaded in parts, and the sentence for what cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError
from sluiceway.tables.files import any_split
from sluiceway.tables.spec import TableSpec
from tests.tables.test_spec import GEOMETRY, GOOD

WriteSpec = Callable[..., TableSpec]
HOW = 'write "rows:250000" for parts of so many rows, or "column:county" for a part per value of a source\'s column'


def parted(split: str, toml: str = GEOMETRY) -> str:
    return f'split = "{split}"{toml}'


@pytest.mark.parametrize("split", ["rows:1000", "rows:250000", "rows:250_000", "column:COUNTY", "column:a b: c"])
@pytest.mark.parametrize("uri", ["park.shp", "park.gpkg", "park.zip", "https://example.org/park.zip?a=1.csv"])
def test_a_shapefile_and_a_geopackage_are_split(split: str, uri: str, write_spec: WriteSpec) -> None:
    assert write_spec("park", parted(split, GEOMETRY.replace("park.shp", uri))).split == split


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            parted("layer"),
            f"'layer': a table reads one layer of its source, so there is nothing to split by layers; {HOW}",
        ),
        (parted("file"), f"'file': a table reads one file of its source, so there is nothing to split by files; {HOW}"),
        (parted("250000"), f"'250000' says no parts; {HOW}"),
        (parted("row:250000"), "'row:250000' says no parts; did you mean 'rows'?"),
        (parted("rows:many"), "'rows:many' says no parts; did you mean 'rows'?"),
        (parted("rows:10"), "'rows:10': parts of so few rows take longer than the whole; write 1000 or more"),
        (
            parted("rows:1000", GOOD),
            'a source of kind "csv" is not split: its rows cannot be found from the middle on, or may change between '
            'two parts; a shapefile, a GeoPackage and a FileGDB can be (kind = "vector")',
        ),
        (
            parted("rows:1000", GEOMETRY.replace("park.shp", "park.geojson")),
            "a .geojson file must be read from its beginning for each part; make a GeoPackage of it, or remove split",
        ),
        (
            'queue = "heavy"\n' + parted("rows:1000"),
            "the parts go to all workers of the flow's queue, so the table can name none of its own; remove queue or "
            "split",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_with_a_sentence(
    toml: str, sentence: str, write_spec: WriteSpec, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        write_spec("park", toml)
    assert str(caught.value) == f"{tmp_path / 'park.toml'}: split: {sentence}"


def test_a_table_with_a_transform_is_not_split(write_spec: WriteSpec, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "park.py").write_text("def transform(batch):\n    return batch\n")
    with pytest.raises(ConfigError, match="split: a table with a transform is not split"):
        write_spec("tables/park", parted("rows:1000"))


def test_a_table_is_not_loaded_again_because_it_is_split(write_spec: WriteSpec) -> None:
    assert write_spec("park", parted("rows:1000")).fingerprint() == write_spec("park", GEOMETRY).fingerprint()


def test_files_alone_tell_whether_a_table_is_split(tmp_path: Path, setting: Callable[..., None]) -> None:
    (tmp_path / "tables").mkdir()
    pages = 'description = "Pages"\nkey = "id"\n[source]\nkind = "http_json"\nsplit = { year = ["2022"] }\n'
    for name, text in (("park", parted("rows:1000")), ("town", GOOD), ("pages", pages), ("bad", "split = [")):
        (tmp_path / "tables" / f"{name}.toml").write_text(text)
    setting(config_dir=tmp_path)
    assert [any_split([name]) for name in ("park", "town", "pages", "none")] == [True, False, False, False]


def test_a_table_in_bigquery_is_not_split(write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError, match="split: a table in BigQuery is loaded in one; remove split or target"):
        write_spec("park", 'target = "bigquery"\n' + parted("rows:1000"))
