"""Rows that fail a check of values which lets none through: how many, and the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sluiceway.amounts import counted
from sluiceway.errors import CheckFailedError
from sluiceway.tables.checks import Rule
from sluiceway.tables.spec import TableSpec

SHOWN = 3
"""Rows that a sentence names."""
LONGEST = 80
"""Characters of a value that it shows."""


@dataclass
class Failing:
    """The rows that fail checks with `failing = "fail"`, by the check's key."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Numbers in the source and values, SHOWN of each check at most."""

    def add(self, key: str, count: int, rows: Iterable[tuple[int, str]]) -> None:
        """Count so many more, of which these are the first."""
        self.counts[key] = self.counts.get(key, 0) + count
        known = [*self.first.get(key, []), *rows]
        self.first[key] = sorted(known)[:SHOWN]

    def written(self) -> dict[str, Any]:
        """As JSON holds it, for the load that takes the parts."""
        return {"counts": self.counts, "first": self.first}

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Failing:
        """What `written` returned; nothing for nothing."""
        first = {key: [(int(number), str(value)) for number, value in rows] for key, rows in written["first"].items()}
        return cls(dict(written["counts"]), first)

    def add_all(self, other: Failing) -> None:
        """Add what was found elsewhere."""
        for key, count in other.counts.items():
            self.add(key, count, other.first[key])

    def sentences(self, spec: TableSpec) -> list[str]:
        """What is wrong, for each check: `3 rows fail checks.columns.state.accepted (CA, NV): row 4: 'XX', ...`."""
        rules = spec.checks.rules("accepted", "range", "pattern", "references", "unique", "holds")
        return [self._sentence(rule) for rule in rules if rule.key in self.counts]

    def _sentence(self, rule: Rule) -> str:
        count, first = self.counts[rule.key], self.first[rule.key]
        shown = ", ".join(f"row {number}: {value}" for number, value in first)
        more = ", ..." if count > len(first) else ""
        return f"{counted(count, 'row fails', 'rows fail')} {rule.where}.{rule.told}: {shown}{more}"


def check_none_fails(spec: TableSpec, failing: Failing) -> None:
    """Raises CheckFailedError where a row fails a check that lets none through."""
    if said := failing.sentences(spec):
        raise CheckFailedError(
            f'{spec.name}: {"; ".join(said)}. Nothing was changed. Mend the source, or write failing = "reject" there '
            f"to load the other rows."
        )
