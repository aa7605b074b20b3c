"""What a table asks of who loads it: the tables that ask for the same are one group, with tasks of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sluiceway.tables.limits import memory_bytes


class Needs(NamedTuple):
    """`queue`, `memory` and `cpu` of a table's or a flow's file."""

    queue: str | None = None
    memory: str | None = None
    cpu: float | None = None

    @property
    def name(self) -> str | None:
        """Ends the ids of the group's tasks: `heavy`, `heavy-4GiB-2cpu`, `pod-4GiB`; None where nothing is asked."""
        sizes = [self.memory or "", f"{self.cpu:g}cpu" if self.cpu is not None else ""]
        # a dot in a task's id would be a group of tasks
        limits = [size.replace(".", "_") for size in sizes if size]
        return "-".join([self.queue or "pod", *limits]) if limits else self.queue

    def or_else(self, other: Needs) -> Needs:
        """The same, and of the other what is not asked here."""
        return Needs(self.queue or other.queue, self.memory or other.memory, self.cpu or other.cpu)

    def group(self, groups: Collection[str]) -> str | None:
        """That of these groups to which a table belongs that needs this; None: to none."""
        return next((name for name in (self.name, self.queue) if name in groups), None)


def largest(needs: Iterable[Needs]) -> Needs:
    """What is enough for each; where one may have all that there is, all may. Their queue is the first one's."""
    queues, memories, counts = zip(*needs, strict=True)
    return Needs(
        queues[0],
        None if None in memories else max(memories, key=memory_bytes),
        None if None in counts else max(counts),
    )
