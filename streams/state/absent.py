"""Which conversations of a table have their value elsewhere: as small as a dict can be.

One entry for each of them stays in memory, so that one that never spoke is told from one that
rests without asking anybody, and a value that was lost is missed (docs/adr/0020).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

MARK_BYTES: Final = 7
"""A mark fits into Postgres' bigint."""
MARK_BITS: Final = 8 * MARK_BYTES


def fingerprint_of(value: bytes) -> int:
    """Return the mark by which a value that is elsewhere is known again: no other has its hash."""
    return int.from_bytes(blake2b(value, digest_size=MARK_BYTES).digest())


class Absent:
    """Marks of the values that are elsewhere, and the epochs of the owners that moved them.

    Attributes:
        partitions: By partition and key, both in one number.
    """

    __slots__ = ("partitions",)

    def __init__(self) -> None:
        self.partitions: dict[int, dict[bytes, int]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self.partitions.values()))

    def add(self, key: bytes, partition: int, epoch: int, mark: int) -> None:
        """Note that a value is elsewhere."""
        self.partitions.setdefault(partition, {})[key] = epoch << MARK_BITS | mark

    def discard(self, key: bytes, partition: int) -> None:
        """Note that a value is here again, or nowhere."""
        if keys := self.partitions.get(partition):
            keys.pop(key, None)

    def mark(self, key: bytes, partition: int) -> int | None:
        """Return the mark of a value that is elsewhere, or None."""
        known = self.partitions.get(partition, {}).get(key)
        return None if known is None else known & (1 << MARK_BITS) - 1

    def epoch(self, key: bytes, partition: int) -> int | None:
        """Return the epoch of the owner that moved a value, or None."""
        known = self.partitions.get(partition, {}).get(key)
        return None if known is None else known >> MARK_BITS

    def partition_of(self, key: bytes) -> int | None:
        """Return the partition of a conversation whose value is elsewhere."""
        return next((p for p, keys in self.partitions.items() if key in keys), None)

    def keep(self, partitions: set[int]) -> None:
        """Forget what is in other partitions."""
        self.partitions = {p: keys for p, keys in self.partitions.items() if p in partitions}
