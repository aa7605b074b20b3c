"""Every kind of source at every case: the same rows, the same faults, the same answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from sluiceway.errors import EmptyExtractionError
from sluiceway.ledger.store import RunKey
from sluiceway.tables.source_spec import SOURCE_KINDS
from tests.sources.conformance.cases import CASES, Trial, excused_or_made
from tests.sources.conformance.kind import Bench, Served, Table
from tests.sources.conformance.kinds import kind_of

KINDS = Path(__file__).parent / "kinds"


def table_of_cases() -> list[tuple[str, str]]:
    return [(kind, case) for kind in SOURCE_KINDS for case in CASES if case not in kind_of(kind).excused]


@pytest.mark.parametrize(("kind", "case"), table_of_cases())
def test_source(
    kind: str,
    case: str,
    bench: Bench,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> None:
    CASES[case].check(Trial(kind, kind_of(kind), bench, open_run, query))


def test_every_kind_of_source_has_a_file_here() -> None:
    assert {path.stem for path in KINDS.glob("*.py")} - {"__init__"} == set(SOURCE_KINDS)


@pytest.mark.parametrize("kind", SOURCE_KINDS)
def test_every_case_is_run_or_excused_in_a_sentence(kind: str) -> None:
    assert excused_or_made(kind_of(kind)) == {}


def test_a_kind_without_a_file_is_asked_for_it() -> None:
    with pytest.raises(
        LookupError, match=r"'ndtext' has no file tests/sources/conformance/kinds/ndtext\.py; docs/how-to"
    ):
        kind_of("ndtext")


def test_a_kind_that_keeps_silent_about_a_case_is_found() -> None:
    class Silent:
        excused: ClassVar = {"broken_record": "No.", "cut_off": "A file of this kind can be cut anywhere.", "cut": "x"}
        empty_is = EmptyExtractionError

        def rows(self, bench: Bench, table: Table) -> Served:
            raise NotImplementedError

        def cut_off(self, bench: Bench, table: Table) -> Served:
            raise NotImplementedError

    assert excused_or_made(Silent()) == {
        "empty": "is neither excused nor made: it needs empty()",
        "broken_record": "is excused without a reason: 'No.'",
        "wrong_encoding": "is neither excused nor made: it needs misencoded()",
        "declared_encoding": "is neither excused nor made: it needs encoded()",
        "lost_connection": "is neither excused nor made: it needs breaking_off()",
        "cut_off": "is excused, and cut_off() makes it",
        "cut": "is no case",
    }
