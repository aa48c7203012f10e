"""Kafka's default partitioner, and the proof that our clients agree with it.

A key that two clients put on two partitions has two owners: order and state are lost.

Source: Apache Kafka, ``org.apache.kafka.common.utils.Utils.murmur2`` and ``toPositive``; the
vectors are those of ``UtilsTest.testMurmur2``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from aiokafka.partitioner import DefaultPartitioner, murmur2

from schemas.errors import Misconfigured

VECTORS: Final[dict[bytes, int]] = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Keys and the signed 32-bit hash that Java computes of them."""

PARTITIONS: Final = (1, 6, 12, 24, 97)

Partitioner = Callable[[bytes, list[int], list[int]], int]
"""Chooses one of all partitions for a key, as aiokafka's producer calls it."""


def partition_of(java_hash: int, partitions: int) -> int:
    """Return the partition that Java's default partitioner gives a key of this hash."""
    return (java_hash & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=1 << 14)
def home(key: bytes, partitions: int) -> int:
    """Return the partition that a key belongs to; a conversation's is asked for at every record."""
    return partition_of(murmur2(key), partitions)


def check_partitioner(partitioner: Partitioner | None = None) -> None:
    """Prove that a client puts Kafka's own test keys where Java's would.

    Args:
        partitioner: The client's; aiokafka's default if none.

    Raises:
        Misconfigured: It puts a key elsewhere.
    """
    choose = partitioner or DefaultPartitioner()
    for key, java_hash in VECTORS.items():
        for count in PARTITIONS:
            every = list(range(count))
            if choose(key, every, every) != partition_of(java_hash, count):
                raise Misconfigured(
                    f"the Kafka client puts the test key {key!r} on another of {count} partitions"
                    " than Java's default partitioner: conversations would have two owners;"
                    " install the versions of uv.lock, or set partitioner=murmur2_random"
                )
