"""Small languages: geometries, JSON places, cron, `when`, and the TOML files of include/config/."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import shapely

from dev.environment import ROOT
from sluiceway import json_path
from sluiceway.alerts import spec as alerts
from sluiceway.deploy import spec as deploy
from sluiceway.errors import ConfigError, SluicewayError
from sluiceway.flows import cron, when
from sluiceway.flows.files import read_file as read_flow
from sluiceway.freshness import faces
from sluiceway.load.geometry.cleaner import GeometryCleaner
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec
from tests.fuzz.target import Feed, Target, enter

SHAPES = (
    shapely.Point(10, 50),
    shapely.Point(10, 50, 7),
    shapely.LineString([(0, 0), (1, 1)]),
    shapely.box(0, 0, 1, 1),
    shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)]),
    shapely.Polygon([(0, 0), (1, 1), (0, 1), (1, 0)]),
    shapely.GeometryCollection([shapely.Point(1, 2), shapely.box(0, 0, 1, 1)]),
    shapely.Polygon(),
)
BUDAPEST = "Europe/Budapest"
ALERTS = b"""
[alerts.on_call]
tell_of = ["red", "stale"]
connection = "on_call"
tables = ["us_*"]
after = "10min"

[alerts.slack]
tell_of = ["red"]
notifier = "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"
arguments = { slack_webhook_conn_id = "slack", text = "{subject}" }
"""
ENVIRONMENT = b"""
kind = "http"
url = "https://shop.example.org/version"
json_path = "build.commit"
data_within = "45min"
"""
FACES = b"""
[badge]
public = true
"""


@contextmanager
def _cleaned(read: Callable[[bytes], object], kind: pa.DataType) -> Iterator[Feed]:
    spec = TableSpec.model_validate(
        {
            "name": "city",
            "description": "Cities",
            "key": "id",
            "source": {"kind": "csv", "uri": "city.csv"},
            "columns": {"id": "integer"},
            "geometry": {"source": "shape", "column": "geom", "type": "Geometry", "srid": 3857, "required": False},
        }
    )
    assert spec.geometry is not None

    def feed(content: bytes) -> None:
        batch = pa.record_batch({"geom": pa.array([read(content), None], kind)})
        assert spec.geometry is not None
        GeometryCleaner(spec, spec.geometry, "EPSG:4326").clean(batch)

    yield feed


@contextmanager
def _plain(read: Callable[[str], object]) -> Iterator[Feed]:
    yield lambda content: read(_text(content))


@contextmanager
def _config(name: str, read: Callable[[Path], object]) -> Iterator[Feed]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / name

        def feed(content: bytes) -> None:
            path.write_bytes(content)
            read(path)

        yield feed


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _cron(text: str) -> None:
    cron.check(text)
    cron.next_times(text, BUDAPEST, datetime(2026, 3, 28, 23, tzinfo=UTC), 3)


def _files(*folders: str) -> list[bytes]:
    return [path.read_bytes() for folder in folders for path in sorted((ROOT / folder).glob("*.toml"))]


def _language(name: str, read: Callable[[str], object], *seeds: bytes, words: Sequence[bytes] = ()) -> Target:
    return Target(name, lambda: seeds, partial(_plain, read), words=words, refuses_by=(ValueError, SluicewayError))


def _toml(name: str, file: str, read: Callable[[Path], object], seeds: Callable[[], Sequence[bytes]]) -> Target:
    words = (b" = ", b"[", b"[[", b"]]", b'"""', b"true", b"1979-05-27", b"{}", b"inf", b'"1h"')
    return Target(name, seeds, partial(_config, file, read), words=words, refuses_by=ConfigError)


enter(
    (
        Target(
            "wkb",
            lambda: [shapely.to_wkb(each, flavor="iso") for each in SHAPES],
            partial(_cleaned, bytes, pa.binary()),
        ),
        Target(
            "ewkb",
            lambda: [shapely.to_wkb(each, include_srid=True) for each in SHAPES],
            partial(_cleaned, bytes, pa.binary()),
        ),
        Target(
            "wkt",
            lambda: [shapely.to_wkt(each).encode() for each in SHAPES],
            partial(_cleaned, _text, pa.string()),
            words=(b"(", b"EMPTY", b" Z ", b"CIRCULARSTRING", b"SRID=4326;"),
        ),
        Target(
            "hex_wkb",
            lambda: [shapely.to_wkb(each, hex=True).encode() for each in SHAPES],
            partial(_cleaned, _text, pa.string()),
        ),
        Target(
            "geojson_geometry",
            lambda: [shapely.to_geojson(each).encode() for each in SHAPES],
            partial(_cleaned, _text, pa.string()),
        ),
        _language(
            "json_path", lambda text: json_path.find(json_path.parse(text), "a.0.b"), b'{"a": [{"b": 1}, 2.5, null]}'
        ),
        _language(
            "cron",
            _cron,
            b"30 2 * * 1-5",
            b"*/10 0-6,9 1,15 jan-mar sun",
            b"@daily",
            words=(b"*/", b"-", b",", b"L", b"#", b"29 2 *"),
        ),
        _language(
            "when", lambda text: when.parse(text), b"a & (b | c)", b"a | b", words=(b"(", b")", b"&", b"|", b"not")
        ),
        _toml("table_toml", "city.toml", read_spec, partial(_files, "include/config/tables")),
        _toml("flow_toml", "nightly.toml", read_flow, partial(_files, "include/config/flows")),
        _toml("environment_toml", "staging.toml", deploy.read_file, lambda: [ENVIRONMENT]),
        _toml("alerts_toml", "alerts.toml", alerts.read_file, lambda: [ALERTS]),
        _toml("faces_toml", faces.FILE, lambda path: faces.read_faces(path.parent), lambda: [FACES]),
    )
)
