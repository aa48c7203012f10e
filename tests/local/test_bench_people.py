"""Which worker of a benchmark has most to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from streams.kafka.partitioner import home
from streams.local.bench.people import busiest, customers

PARTITIONS = 12


def places(*partitions: int) -> list[Any]:
    return [SimpleNamespace(partition=number) for number in partitions]


def test_the_busiest_worker_has_most_of_the_conversations() -> None:
    held = {"one": places(4, 5, 6, 7, 8), "two": places(0, 1, 9), "three": places(2, 3, 10, 11, 1)}
    theirs = dict.fromkeys(held, 0)
    for conversation, _ in customers(PARTITIONS, "run", 300):
        at = home(conversation.encode(), PARTITIONS)
        for name, its in held.items():
            theirs[name] += any(place.partition == at for place in its)

    assert busiest(held, PARTITIONS) == max(theirs, key=theirs.__getitem__) == "three"
