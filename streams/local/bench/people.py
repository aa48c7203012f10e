"""Customers of a benchmark: their conversations lie mostly on a part of the partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final, Protocol

from streams.kafka.partitioner import home

CUSTOMERS: Final = 3_000
SKEWED: Final = 0.7
"""Share of the conversations that lie on the first third of the partitions."""


class Place(Protocol):
    """A partition of a topic."""

    @property
    def partition(self) -> int:
        """Its number."""


def busiest(held: Mapping[str, Iterable[Place]], partitions: int) -> str:
    """Return the worker that has most of the partitions on which most conversations lie.

    Args:
        held: What each worker reads.
        partitions: Partitions of each topic.
    """
    return max(held, key=lambda name: sum(_busy(at.partition, partitions) for at in held[name]))


def _busy(partition: int, partitions: int) -> bool:
    return partition < partitions // 3


def customers(
    partitions: int, run: str, count: int = CUSTOMERS, *, prefix: str = "55119"
) -> list[tuple[str, str]]:
    """Return conversations and phone numbers, most of them on the first third of the partitions."""
    wanted = {True: int(count * SKEWED), False: count - int(count * SKEWED)}
    found: list[tuple[str, str]] = []
    number = 0
    while len(found) < count:
        number += 1
        digest = blake2b(f"bench:{run}:{number}".encode(), digest_size=16).hexdigest()
        busy = _busy(home(f"conv_{digest}".encode(), partitions), partitions)
        if wanted[busy] > 0:
            wanted[busy] -= 1
            found.append((f"conv_{digest}", f"{prefix}{number:08d}"))
    return sorted(found, key=lambda each: each[1][::-1])
