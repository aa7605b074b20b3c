"""USDA NASS Quick Stats, as it was recorded: the 39 fields of a record, and its errors word by word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.stand_ins.web_service import Reply, Request, WebService

KEY = "0F3A-secret/key+1"
PATH = "/api/api_GET/"

FIELDS = (
    "week_ending state_name country_code location_desc begin_code zip_5 county_ansi state_alpha util_practice_desc "
    "domain_desc asd_desc freq_desc prodn_practice_desc end_code sector_desc short_desc country_name Value "
    "reference_period_desc CV_(%) class_desc asd_code agg_level_desc county_name region_desc watershed_desc state_ansi "
    "congr_district_code domaincat_desc state_fips_code group_desc watershed_code unit_desc source_desc load_time "
    "county_code statisticcat_desc commodity_desc year"
)


def record(**values: str) -> dict[str, str]:
    """One record; fields that are not named are empty, as they are in a real answer."""
    fields = dict.fromkeys((name.replace("CV_(%)", "CV (%)") for name in FIELDS.split()), "")
    unknown = set(values) - set(fields)
    assert not unknown, unknown
    return fields | values


def yields(years: Iterable[int], counties: Iterable[str]) -> list[dict[str, str]]:
    """A yield of corn for each year and county; that of the first county is withheld."""
    counties = list(counties)
    return [
        record(
            commodity_desc="CORN",
            state_alpha="CA",
            statisticcat_desc="YIELD",
            year=str(year),
            county_name=county,
            Value="(D)" if county == counties[0] else f"1,{index:03d}",
        )
        for year in years
        for index, county in enumerate(counties)
    ]


@dataclass
class QuickStats(WebService):
    """The service over `records`, which gives no more than `limit` of them at once."""

    answer: object = None  # type: ignore[assignment]  # set below
    records: list[dict[str, str]] = field(default_factory=list)
    limit: int = 50_000

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        params = dict(request.params)
        if request.path != PATH:
            return Reply(404, b"<html><body>Not Found</body></html>", {"Content-Type": "text/html"})
        if params.pop("key", None) != KEY:
            return Reply(401, {"error": ["unauthorized"]})
        params.pop("format", None)
        if set(params) - set(record()):
            return Reply(400, {"error": ["bad request - invalid query"]})
        found = [each for each in self.records if all(each[name] == value for name, value in params.items())]
        if len(found) > self.limit:
            return Reply(413, {"error": [f"exceeds limit={self.limit}"]})
        # no records and a wrong query are the same to it
        return Reply(200, {"data": found}) if found else Reply(400, {"error": ["bad request - invalid query"]})
