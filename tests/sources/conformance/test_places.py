"""A file of any kind gives the same rows from every place it can lie at, the whole of it or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.errors import SourceUnavailableError
from sluiceway.infer.preview import preview_at
from sluiceway.ledger.store import RunKey
from sluiceway.sources.local import SCHEMES
from sluiceway.sources.locate import located
from sluiceway.tables.source_spec import SOURCE_KINDS, LocatedSource
from tests.sources.conformance.cases import CITIES, MANY, Trial, says
from tests.sources.conformance.kind import Bench, Table
from tests.sources.conformance.kinds import kind_of
from tests.sources.conformance.places import BROKEN, PLACES

FILES = [kind for kind, model in SOURCE_KINDS.items() if issubclass(model, LocatedSource)]
BY_OTHERS = {"http", "package"}
"""The module of https:// reads http://, and package:// is a folder on this machine."""


@pytest.fixture
def trial(
    request: pytest.FixtureRequest,
    bench: Bench,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> Trial:
    return Trial(request.param, kind_of(request.param), bench, open_run, query)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("trial", FILES, indirect=True)
def test_a_file_gives_its_rows_and_its_fingerprint_from(trial: Trial, place: str) -> None:
    served = PLACES[place](trial.bench, trial.kind.rows(trial.bench, CITIES))
    spec = trial.spec(served)
    prints = []
    for _ in range(2):
        with located(spec.source, served.connections) as found:
            prints.append(found.fingerprint)
            assert preview_at(spec, found, rows=10, limit=None).rows == CITIES.records
    assert prints[0] is not None
    assert prints[0] == prints[1]


# how a file comes here does not depend on what is in it
@pytest.mark.parametrize("place", BROKEN)
@pytest.mark.parametrize("trial", ["csv"], indirect=True)
def test_a_file_whose_connection_is_lost_is_not_read_at_all_from(trial: Trial, place: str) -> None:
    numbers = list(range(1, MANY + 1))
    table = Table({"id": numbers, "name": ["a"] * MANY, "people": numbers})
    served = BROKEN[place](trial.bench, trial.kind.rows(trial.bench, table))
    with pytest.raises(SourceUnavailableError) as raised:
        trial.load(trial.spec(served), served)
    says(raised.value, served, "try again later")
    assert trial.nothing_is_written()
    assert trial.query("SELECT extracted, error_type FROM etl.table_run") == [(0, "SourceUnavailableError")]


def test_every_place_is_tried_and_every_distant_one_broken() -> None:
    assert set(PLACES) == set(SCHEMES) - BY_OTHERS
    assert set(BROKEN) == set(PLACES) - {"file"}
