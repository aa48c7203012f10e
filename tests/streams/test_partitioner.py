from __future__ import annotations

import pytest

from schemas.errors import Misconfigured
from streams.kafka.partitioner import VECTORS, check_partitioner, partition_of


def _elsewhere(_key: bytes, every: list[int], _available: list[int]) -> int:
    return every[-1]


def test_our_client_partitions_as_java_does() -> None:
    check_partitioner()


def test_a_client_that_partitions_otherwise_is_refused() -> None:
    with pytest.raises(Misconfigured, match="conversations would have two owners"):
        check_partitioner(_elsewhere)


def test_a_negative_hash_is_made_positive_as_java_does_it() -> None:
    # toPositive clears the sign bit: -973932308 becomes 1173551340, which abs() would not give
    assert partition_of(VECTORS[b"21"], 12) == 1173551340 % 12
