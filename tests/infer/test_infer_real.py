"""Files as they come from the world, drafted and loaded by two commands; manifest.tsv says how many rows they hold."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dev.environment import ROOT
from sluiceway.cli.app import app

DATA = ROOT.parent / "shared" / "data"
REAL = DATA / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")

Query = Callable[..., list[tuple[object, ...]]]
Loaded = dict[str, Any]


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `sluiceway tables ...`."""
    result = CliRunner().invoke(app, ["tables", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture
def draft(tmp_path: Path) -> Callable[..., Path]:
    """Drafts the table file of one real file."""

    def run(file: Path, *options: str) -> Path:
        out = tmp_path / "drafted.toml"
        code, _, said = command("infer", str(file), "-o", str(out), *options)
        assert code == 0, said
        return out

    return run


@pytest.fixture
def load(draft: Callable[..., Path], warehouse_url: str) -> Callable[..., Loaded]:
    """Drafts and loads one real file as table `drafted`; a load that fails returns its sentence."""

    def run(file: Path, *options: str, declare: str = "") -> Loaded:
        out = draft(file, *options)
        if declare:
            out.write_text(out.read_text(encoding="utf-8").replace("[geometry]", f"[geometry]\n{declare}"), "utf-8")
        code, printed, said = command("run", str(out), "--warehouse", warehouse_url, "--json")
        found: Loaded = json.loads(printed)
        found |= {"code": code, "said": said}
        found["adds_up"] = found["extracted"] == sum(
            found[name] for name in ("inserted", "updated", "unchanged", "rejected")
        )
        return found

    return run


def counted() -> dict[str, dict[str, int]]:
    """File -> layer -> how many records the manifest says it holds; text has one layer without a name."""
    if not REAL.is_dir():
        return {}
    with (REAL / "manifest.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    layers = {row[0]: re.findall(r"(\w+): (\d+) declared", row[5]) for row in rows}
    records = {row[0]: re.findall(r"()(\d+) data records", row[5]) for row in rows}
    return {row[0]: {name: int(n) for name, n in layers[row[0]] or records[row[0]]} for row in rows}


def files() -> list[tuple[str, str, int]]:
    return [(file, layer, n) for file, layers in counted().items() for layer, n in layers.items()]


def test_every_real_file_is_counted() -> None:
    assert {file.parent.name for file in REAL.glob("*/*")} == {Path(name).parent.name for name in counted()}
    assert all(counted().values())


@pytest.mark.parametrize(("file", "layer", "count"), files(), ids=lambda each: str(each).replace("/", ":"))
def test_a_real_file_is_drafted_and_loaded_in_full(
    load: Callable[..., Loaded], file: str, layer: str, count: int
) -> None:
    several = ("--layer", layer) if len(counted()[file]) > 1 else ()
    # the one file without a CRS whose coordinates are no degrees: a person has to find out, this test makes it up
    declare = 'source_crs = "EPSG:3857"' if file.startswith("09_") else ""
    found = load(REAL / file, *several, declare=declare)
    assert found["extracted"] == count
    assert found["adds_up"]
    if count:
        assert (found["code"], found["status"]) == (0, "loaded"), found["said"]
    else:
        assert (found["code"], found["error_type"]) == (1, "EmptyExtractionError")


def test_nothing_is_loaded_before_the_crs_is_known(load: Callable[..., Loaded], query: Query) -> None:
    found = load(REAL / "09_bad_cpg" / "test.shp")
    assert found["code"] == 1
    assert "declare geometry.source_crs" in found["said"]
    assert query("SELECT to_regclass('drafted')") == [(None,)]


def test_a_geopackage_of_two_layers_lists_them(tmp_path: Path) -> None:
    out = tmp_path / "drafted.toml"
    code, _, said = command("infer", str(REAL / "20_gpkg_mixed_crs" / "mixed_crs.gpkg"), "-o", str(out))
    assert code == 1
    assert "oregon_2269, oregon_4326" in said
    assert not out.exists()


def test_italian_in_latin_1_keeps_its_letters_and_its_zeros(load: Callable[..., Loaded], query: Query) -> None:
    load(REAL / "33_csv_latin1_semicolon" / "issue-811.csv")
    rows = query(
        "SELECT codice_comune_formato_alfanumerico, denominazione_in_italiano FROM drafted "
        "WHERE denominazione_altra_lingua IS NOT NULL OR denominazione_in_italiano LIKE '%ì' ORDER BY 1"
    )
    assert any(str(code).startswith("0") for code, _ in rows)
    assert ("040012", "Forlì") in rows
    shown = query(
        "SELECT string_agg(denominazione_regione, ' ') FROM (SELECT DISTINCT denominazione_regione FROM drafted) d"
    )
    assert "Valle d'Aosta/Vallée d'Aoste" in str(shown)
    assert not re.search("Ã|\ufffd", str(shown))


def test_danish_without_a_cpg_keeps_its_letters(load: Callable[..., Loaded], query: Query) -> None:
    load(REAL / "06_cp1252_no_cpg" / "danish_point.shp")
    assert query("SELECT tekst1 FROM drafted WHERE tekst1 LIKE 'Charl%'") == [("Charløtte",)]


def test_romanian_in_a_nested_folder_keeps_its_letters(load: Callable[..., Loaded], query: Query) -> None:
    load(REAL / "01_zip_nested_folder" / "RO_ny.zip")
    texts = [
        name
        for (name,) in query(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'drafted' AND data_type = 'text' "
            "AND column_name <> 'etl_run_id'"
        )
    ]
    shown = str(query(f"SELECT DISTINCT {', '.join(map(str, texts))} FROM drafted"))
    assert re.search("[ăâîșşțţ]", shown)
    assert not re.search("Ã|Å|È\x99|\ufffd", shown)


def test_a_bom_is_no_part_of_the_first_name(draft: Callable[..., Path]) -> None:
    text = draft(REAL / "36_csv_bom" / "Biodiesel_Plants.csv").read_text(encoding="utf-8")
    assert "\ufeff" not in text


def test_squirrels_are_not_lost_to_their_repeated_ids(load: Callable[..., Loaded], query: Query) -> None:
    file = next((REAL / "38_csv_dup_keys").glob("*.csv"))
    found = load(file)
    assert (found["inserted"], found["rejected"]) == (3023, 0)
    assert query("SELECT DISTINCT GeometryType(geom), ST_SRID(geom) FROM drafted") == [("POINT", 4326)]
    assert query("SELECT min(date)::text, max(date)::text FROM drafted") == [("2018-10-06", "2018-10-20")]


def test_most_records_without_a_geometry_are_no_rejects(load: Callable[..., Loaded], query: Query) -> None:
    assert load(REAL / "11_null_geometries_poly" / "LGA_2013_AUST.shp")["rejected"] == 0
    assert query("SELECT count(*) FILTER (WHERE geom IS NULL) FROM drafted") == [(12,)]


def test_a_file_geodatabase_in_a_zip_is_drafted_and_loaded(load: Callable[..., Loaded]) -> None:
    file = next((DATA / "landiq").glob("*.gdb.zip"))
    found = load(file)
    assert (found["code"], found["rejected"], found["adds_up"]) == (0, 0, True)
    assert found["extracted"] > 0


@pytest.mark.parametrize("name", ["us_ca_scm_codes", "attribute_definitions", "crops_classification"])
def test_small_tables_of_codes_are_drafted_and_loaded(load: Callable[..., Loaded], name: str) -> None:
    path = DATA / "landiq" / f"{name}.csv"
    with path.open(encoding="utf-8-sig") as file:
        count = sum(1 for _ in csv.reader(file)) - 1
    found = load(path)
    assert (found["code"], found["extracted"], found["adds_up"]) == (0, count, True)


def files_to_cut() -> list[str]:
    """Vector files with a row; text that is cut off at the end of a line cannot be told from a whole one."""
    return [file for file, layers in counted().items() if sum(layers.values()) and Path(file).suffix != ".csv"]


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9], ids="{:.0%}".format)
@pytest.mark.parametrize("file", files_to_cut())
def test_a_real_file_that_is_cut_off_is_one_sentence_and_nothing_is_loaded(
    tmp_path: Path, warehouse_url: str, query: Query, file: str, kept: float
) -> None:
    source = REAL / file
    for part in source.parent.glob(f"{source.stem}.*"):
        content = part.read_bytes()
        (tmp_path / part.name).write_bytes(content[: int(len(content) * kept)] if part == source else content)
    out = tmp_path / "drafted.toml"
    layer = ("--layer", next(iter(counted()[file]))) if len(counted()[file]) > 1 else ()
    code, _, said = command("infer", str(tmp_path / source.name), "-o", str(out), *layer)
    if code == 0:
        code, _, said = command("run", str(out), "--warehouse", warehouse_url, "--json")
    assert code == 1
    assert said.count("error:") == 1
    assert query("SELECT to_regclass('drafted')") == [(None,)]
