"""Files that only name others, and files that name addresses: nothing but the file itself is read."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from sluiceway.errors import SluicewayError, SourceUnreadableError
from sluiceway.sources.formats.vector import vector_files
from tests.sources.formats.vector.vector_cases import collection, frame, names, park, rows


class Service:
    """Answers every request, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805  # self is the service's
                self.asked.append(handler.path)
                handler.send_response(200)
                handler.end_headers()
                handler.wfile.write(b"{}")

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that must not be asked."""
    found = Service()
    # how often it looks whether it is to stop: twice a second by default
    thread = Thread(target=found.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


CAPABILITIES = (
    '<?xml version="1.0"?><wfs:WFS_Capabilities version="2.0.0" xmlns:wfs="http://www.opengis.net/wfs/2.0" '
    'xmlns:gml="http://www.opengis.net/gml" xmlns:ows="http://www.opengis.net/ows/1.1" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"><ows:OperationsMetadata>'
    '<ows:Operation name="DescribeFeatureType"><ows:DCP><ows:HTTP><ows:Get xlink:href="{url}/wfs?"/></ows:HTTP>'
    '</ows:DCP></ows:Operation><ows:Operation name="GetFeature"><ows:DCP><ows:HTTP><ows:Get xlink:href="{url}/wfs?"/>'
    "</ows:HTTP></ows:DCP></ows:Operation></ows:OperationsMetadata><FeatureTypeList><FeatureType><Name>p</Name>"
    "<DefaultCRS>urn:ogc:def:crs:EPSG::4326</DefaultCRS></FeatureType></FeatureTypeList></wfs:WFS_Capabilities>"
)
VRT = (
    '<OGRVRTDataSource><OGRVRTLayer name="park"><SrcDataSource>{source}</SrcDataSource></OGRVRTLayer>'
    "</OGRVRTDataSource>"
)


@pytest.mark.parametrize("file", ["park.vrt", "park.gml", "park.kml", "park.xml", "park"])
@pytest.mark.parametrize(
    "text",
    [
        VRT.format(source="{folder}/secret.gpkg"),
        VRT.format(source="/vsicurl/{url}/x.geojson"),
        "<!--" + "x" * 70_000 + "-->" + VRT.format(source="{folder}/secret.gpkg"),
        "<OGRWFSDataSource><URL>{url}/wfs?</URL></OGRWFSDataSource>",
        CAPABILITIES,
        '<!DOCTYPE x [<!ENTITY e SYSTEM "{url}/e">]><x xmlns:gml="http://www.opengis.net/gml">&e;</x>',
    ],
    ids=["vrt", "vrt of an address", "vrt behind a comment", "wfs", "capabilities", "entity"],
)
def test_xml_that_points_elsewhere_is_refused(text: str, file: str, service: Service, tmp_path: Path) -> None:
    frame().to_file(tmp_path / "secret.gpkg", layer="park")
    (tmp_path / file).write_text(text.replace("{folder}", str(tmp_path)).replace("{url}", service.url))
    with pytest.raises(SourceUnreadableError, match="cannot be read"):
        rows(park(tmp_path / file))
    assert service.asked == []


@pytest.mark.parametrize("file", ["park.json", "park.geojson"])
@pytest.mark.parametrize(
    "text",
    [
        '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {folder}/secret.gpkg"}',
        '{"command_line": "gdal vector pipeline ! read {folder}/secret.gpkg", "pad": "'
        + "y" * 70_000
        + '", "type": "gdal_streamed_alg"}',
        '{"conformsTo": ["http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core"], "links": '
        '[{"rel": "data", "href": "{url}/collections"}]}',
    ],
    ids=["command", "command behind a long text", "api"],
)
def test_json_that_points_elsewhere_is_refused(text: str, file: str, service: Service, tmp_path: Path) -> None:
    frame().to_file(tmp_path / "secret.gpkg", layer="park")
    (tmp_path / file).write_text(text.replace("{folder}", str(tmp_path)).replace("{url}", service.url))
    with pytest.raises(SourceUnreadableError, match="cannot be read"):
        rows(park(tmp_path / file))
    assert service.asked == []


def test_addresses_in_a_gml_are_not_asked(service: Service, tmp_path: Path) -> None:
    (tmp_path / "park.gml").write_text(
        f'<ogr:FeatureCollection xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="http://ogr.maptools.org/ {service.url}/park.xsd" xmlns:ogr="http://ogr.maptools.org/" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:gml="http://www.opengis.net/gml"><gml:featureMember>'
        f'<ogr:park><ogr:id>1</ogr:id><ogr:name>a</ogr:name><ogr:at><gml:Point srsName="{service.url}/crs">'
        f'<gml:pos>1 2</gml:pos></gml:Point></ogr:at><ogr:area xlink:href="{service.url}/y.gml#a"/></ogr:park>'
        f"</gml:featureMember></ogr:FeatureCollection>"
    )
    assert names(park(tmp_path / "park.gml")) == ["a"]
    assert service.asked == []


def test_addresses_in_a_kml_are_not_asked(service: Service, tmp_path: Path) -> None:
    (tmp_path / "park.kml").write_text(
        f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document><NetworkLink><Link><href>{service.url}/x.kml</href></Link>'
        f"</NetworkLink><Style><IconStyle><Icon><href>{service.url}/i.png</href></Icon></IconStyle></Style><Placemark>"
        f"<name>a</name><styleUrl>{service.url}/s#x</styleUrl><Point><coordinates>1,2</coordinates></Point></Placemark>"
        f"</Document></kml>"
    )
    assert names(park(tmp_path / "park.kml", {"name": ("Name", "text")})) == ["a"]
    assert service.asked == []


def test_addresses_in_a_geojson_are_not_asked(service: Service, tmp_path: Path) -> None:
    members = {
        "crs": {"type": "link", "properties": {"href": f"{service.url}/crs", "type": "proj4"}},
        "links": [{"rel": "next", "href": f"{service.url}/next"}],
    }
    (tmp_path / "park.geojson").write_text(collection({"id": 1, "name": "a"}, **members))
    with pytest.raises(SourceUnreadableError, match="its member crs names none; mend or remove it"):
        rows(park(tmp_path / "park.geojson"))
    assert service.asked == []


def test_what_passes_the_look_at_a_file_reaches_no_network_either(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as if GDAL knew a kind of pointer that we do not
    monkeypatch.setattr(vector_files, "_POINTERS", ())
    monkeypatch.setattr(vector_files, "_check_xml", lambda *_: None)
    monkeypatch.setenv("no_proxy", "")
    (tmp_path / "park.gml").write_text(CAPABILITIES.replace("{url}", service.url))
    with pytest.raises(SluicewayError):
        rows(park(tmp_path / "park.gml"))
    assert service.asked == []


def test_files_beside_a_source_are_not_seen(tmp_path: Path) -> None:
    frame(2).to_file(tmp_path / "park.shp")
    frame(5).to_file(tmp_path / "other.shp")
    (tmp_path / "park.vrt").write_text(VRT.format(source=tmp_path / "other.shp"))
    assert len(rows(park(tmp_path / "park.shp"))) == 2
