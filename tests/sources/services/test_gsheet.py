"""Google Sheets: over real HTTP with a real signed token, against a service that cuts blank cells as Google does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SchemaDriftError,
    SettingsError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.services import api_client
from sluiceway.sources.services import gsheet as module
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened
from tests.stand_ins.google_account import TOKEN, extra_of, new_key, public_key_of
from tests.stand_ins.google_sheets import GoogleSheets, refusal
from tests.stand_ins.web_service import Reply

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Read = Callable[..., pa.Table]
TOML = """
description = "Cities"
key = "id"
columns = { id = "integer", name = "text", people = "integer" }
[source]
kind = "gsheet"
spreadsheet = "1AbC"
"""
BY_POSITION = TOML.replace(
    'id = "integer", name = "text", people = "integer"',
    'id = { source = 2, type = "text" }, name = { source = 1, type = "text" }',
)
HEADER = ["id", "name", "people"]


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "RETRY_SECONDS", 1.0)
    monkeypatch.setattr(api_client, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "REQUESTS_PER_SECOND", 1000)


@pytest.fixture
def sheets(private_key: rsa.RSAPrivateKey) -> Iterator[GoogleSheets]:
    with GoogleSheets(public_key=public_key_of(private_key)) as service:
        service.sheets = {"Cities": [HEADER, ["1", "Mayagüez", "1,000"], ["2", "Ponce", ""], ["3", "NA", "5"]]}
        yield service


@pytest.fixture
def connections(sheets: GoogleSheets, private_key: rsa.RSAPrivateKey) -> Connections:
    extra = extra_of(sheets, private_key)
    return lambda conn_id: Connection(conn_id=conn_id, conn_type="google_cloud_platform", extra=extra)


@pytest.fixture
def read(write_spec: WriteSpec, connections: Connections) -> Read:
    def table(toml: str) -> pa.Table:
        with opened(write_spec("city", toml), connections) as extraction:
            batches = list(extraction.batches)
        return pa.Table.from_batches(batches) if batches else pa.table({})

    return table


@pytest.fixture
def load(
    warehouse_url: str, open_run: Callable[[str], RunKey], connections: Connections
) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"), connections=connections)


def test_a_sheet_loads(write_spec: WriteSpec, load: Callable[[TableSpec], TableRun], query: Query) -> None:
    result = load(write_spec("city", TOML + 'thousands = ","\n'))
    assert (result.extracted, result.inserted) == (3, 3)
    assert query("SELECT id, name, people FROM city ORDER BY id") == [
        (1, "Mayagüez", 1000),
        (2, "Ponce", None),
        (3, "NA", 5),
    ]


def test_cells_that_were_cut_from_a_row_are_null(read: Read) -> None:
    assert read(TOML).column("people").to_pylist() == ["1,000", None, "5"]


def test_columns_are_found_by_name(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [["", "people", "note", "id", "name"], ["x", "5", "", "1", "a"]]
    assert read(TOML).to_pylist() == [{"id": "1", "name": "a", "people": "5"}]


def test_blank_rows_are_no_data(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [[], HEADER, [], ["1", "a", "5"], ["", "", ""], ["2", "b", "6"], []]
    sheets.blank_rows = 990
    assert read(TOML).column("id").to_pylist() == ["1", "2"]


def test_lines_above_and_rows_below_are_skipped(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [
        ["Report"],
        ["of 2020"],
        HEADER,
        ["1", "a", "5"],
        ["2", "b", "6"],
        [],
        ["Total", "", "11"],
    ]
    table = read(TOML + "skip_lines = 2\nskip_footer = 1\n")
    assert table.column("id").to_pylist() == ["1", "2"]


def test_a_row_among_those_below_is_told(write_spec: WriteSpec, sheets: GoogleSheets, connections: Connections) -> None:
    sheets.sheets["Cities"] = [HEADER, ["1", "a", "5"], ["2", "b", "6"], ["Total", "", "11"]]
    with opened(write_spec("city", TOML + "skip_footer = 2\n"), connections) as extraction:
        list(extraction.batches)
        assert ["'2, b, 6'" in note for note in extraction.notes.values()] == [True]


def test_a_sheet_without_a_header_is_read_by_position(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [["a", "1"], ["b", "2"], ["c"]]
    table = read(BY_POSITION + "header = false\n")
    assert table.to_pylist() == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": None, "name": "c"}]


def test_a_column_whose_name_stands_twice_is_declared_by_position(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [["name", "id", "name"], ["a", "1", "z"]]
    with pytest.raises(SchemaDriftError, match="the header holds column 'name' twice; declare its position as source"):
        read(TOML.replace(', people = "integer"', ""))
    assert read(BY_POSITION).to_pylist() == [{"id": "1", "name": "a"}]


def test_a_position_beyond_the_sheet_is_drift(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [["a"], ["b"]]
    with pytest.raises(SchemaDriftError, match="column 'id' is declared at position 2, the sheet has 1 column"):
        read(BY_POSITION + "header = false\n")


def test_a_missing_column_names_the_nearest(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"][0] = ["id", "nam", "people"]
    with pytest.raises(
        SchemaDriftError, match="spreadsheet 1AbC, sheet Cities, column 'name' is missing; did you mean 'nam'"
    ):
        read(TOML)


def test_a_named_sheet_is_read(read: Read, sheets: GoogleSheets) -> None:
    sheets.sheets["It's 2"] = [HEADER, ["9", "z", "1"]]
    assert read(TOML + 'sheet = "It\'s 2"\n').column("id").to_pylist() == ["9"]


def test_the_first_sheet_is_the_first_with_cells(read: Read, sheets: GoogleSheets) -> None:
    sheets.charts = ["Chart"]
    assert read(TOML).num_rows == 3


def test_a_missing_sheet_names_the_nearest(read: Read) -> None:
    with pytest.raises(SourceMissingError, match="spreadsheet 1AbC has no sheet 'Citys'; did you mean 'Cities'"):
        read(TOML + 'sheet = "Citys"\n')


def test_a_large_sheet_is_read_in_ranges(read: Read, sheets: GoogleSheets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_ROWS", 10)
    monkeypatch.setattr(module, "REQUEST_CELLS", 30)
    sheets.sheets["Cities"] = [HEADER, *([str(number), "x", "1"] for number in range(25))]
    assert read(TOML).column("id").to_pylist() == [str(number) for number in range(25)]
    ranges = [request.path.rpartition("%21")[2] for request in sheets.requests if "/values/" in request.path]
    assert ranges == ["1%3A10", "11%3A20", "21%3A26"]


def test_a_sheet_that_is_changed_while_it_is_read_is_read_again_later(
    write_spec: WriteSpec, sheets: GoogleSheets, load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    sheets.grows = True
    with pytest.raises(SourceUnavailableError, match="was changed while it was read; try again later"):
        load(write_spec("city", TOML + 'thousands = ","\n'))
    assert query("SELECT to_regclass('city') IS NULL") == [(True,)]


@pytest.mark.parametrize("rows", [[], [HEADER]])
def test_a_sheet_without_data_is_an_empty_extraction(
    write_spec: WriteSpec, sheets: GoogleSheets, load: Callable[[TableSpec], TableRun], rows: list[list[str]]
) -> None:
    sheets.sheets["Cities"] = rows
    with pytest.raises(EmptyExtractionError, match="the source gave no rows"):
        load(write_spec("city", TOML))


def test_a_geometry_may_be_two_columns(write_spec: WriteSpec, connections: Connections, sheets: GoogleSheets) -> None:
    sheets.sheets["Cities"] = [[*HEADER, "lon", "lat"], ["1", "a", "5", "-121.5", "38"]]
    toml = TOML + '[geometry]\ntype = "Point"\nx = "lon"\ny = "lat"\nsource_crs = "EPSG:4326"\n'
    with opened(write_spec("city", toml), connections) as extraction:
        batch = next(extraction.batches)
    assert batch.schema.names == ["id", "name", "people", "geom.x", "geom.y"]
    assert batch.to_pylist()[0]["geom.x"] == "-121.5"


@pytest.mark.parametrize(
    ("reply", "error", "match"),
    [
        (
            refusal(403, "PERMISSION_DENIED", "The caller does not have permission"),
            SourceUnreadableError,
            r"share it with loader@own\.iam\.gserviceaccount\.com as a viewer",
        ),
        (
            refusal(
                403, "PERMISSION_DENIED", "Google Sheets API has not been used in project 1 before or it is disabled."
            ),
            SourceUnreadableError,
            "1AbC: Google Sheets API has not been used in project 1",
        ),
        (refusal(404, "NOT_FOUND", "Requested entity was not found."), SourceMissingError, "between /d/ and /edit"),
        (
            refusal(400, "FAILED_PRECONDITION", "This operation is not supported for this document"),
            SourceUnreadableError,
            "save it as a Google Sheet",
        ),
        (refusal(401, "UNAUTHENTICATED", f"Bad {TOKEN}"), SettingsError, r"Bad \*\*\*; correct connection 'google"),
        (Reply(418, b"<html>tea</html>"), SourceUnreadableError, "Google answers 418: <html>tea</html>"),
    ],
)
def test_a_refusal_says_what_to_do(
    read: Read, sheets: GoogleSheets, reply: Reply, error: type[Exception], match: str
) -> None:
    sheets.faults = [None, reply]  # the token comes first
    with pytest.raises(error, match=match):
        read(TOML)


def test_a_passing_fault_is_waited_out(read: Read, sheets: GoogleSheets) -> None:
    sheets.faults = [None, Reply(429), Reply(503), None, Reply(500)]
    assert read(TOML).num_rows == 3


def test_the_token_is_in_no_log(read: Read, caplog: pytest.LogCaptureFixture, sheets: GoogleSheets) -> None:
    caplog.set_level(logging.DEBUG)
    read(TOML)
    assert sheets.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in caplog.text


def test_refused_credentials_are_a_setting(read: Read, sheets: GoogleSheets) -> None:
    sheets.faults = [Reply(400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"})]
    with pytest.raises(
        SettingsError, match=r"Google refuses the credentials of connection 'google_cloud_default': .*account not"
    ):
        read(TOML)


def test_a_token_does_not_travel_unencrypted(write_spec: WriteSpec, connections: Connections) -> None:
    def elsewhere(conn_id: str) -> Connection:
        found = connections(conn_id)
        return found.model_copy(update={"extra": {**found.extra, "endpoint": "http://sheets.example.org"}})

    with pytest.raises(ConfigError, match="unencrypted"), opened(write_spec("city", TOML), elsewhere):
        pass
