"""What a seat writes beside an offset that it commits, and whether the log is still that one.

A group knows by offset what it has read. A log that was cut and has grown again, or was restored,
has other records below that offset, and nobody would ever read them. One record proves a log
(docs/adr/0019): the last one that was finished, which is read again at each assignment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas.errors import Unavailable
from streams.consumer.auditor import VOUCHER
from streams.kafka.misnamed import Fetches
from streams.state.proof import Proof

POLL_MS: Final = 200
PATIENCE: Final = 50
"""Polls after which the brokers are taken for down."""

_GIVEN_UP: Final = re.compile(r";given_up=(\d+)")
_PROOF: Final = re.compile(r";proof=(\d+):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """The metadata of a commit.

    Attributes:
        given_up: Records given up in a row (``streams.deadletters.fuse``).
        proof: The last record that was finished, or None.
    """

    given_up: int = 0
    proof: Proof | None = None

    @classmethod
    def of(cls, metadata: str) -> Voucher:
        """Read it; what an older release wrote has no proof."""
        count, proof = _GIVEN_UP.search(metadata), _PROOF.search(metadata)
        return cls(
            given_up=int(count[1]) if count else 0,
            proof=Proof(int(proof[1]), int(proof[2])) if proof else None,
        )

    def __str__(self) -> str:
        proof = f";proof={self.proof.offset}:{self.proof.mark}" if self.proof else ""
        count = f";given_up={self.given_up}" if self.given_up else ""
        return f"{VOUCHER}{proof}{count}"


async def disproved(bootstrap: str, proofs: Mapping[Any, Proof]) -> set[Any]:
    """Return the partitions that have another record where a proof says.

    One that retention has deleted proves nothing, nor does a log that ends before it: that one
    is read from its beginning.

    Raises:
        Unavailable: No broker answers.
    """
    if not proofs:
        return set()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        return await _disproved(consumer, proofs, bootstrap)
    except KafkaError as exc:
        raise Unavailable("kafka") from exc
    finally:
        await consumer.stop()


async def _disproved(consumer: Any, proofs: Mapping[Any, Proof], bootstrap: str) -> set[Any]:
    begins = await consumer.beginning_offsets(list(proofs))
    ends = await consumer.end_offsets(list(proofs))
    waiting = {
        place for place, proof in proofs.items() if begins[place] <= proof.offset < ends[place]
    }
    wrong: set[Any] = set()
    consumer.assign(list(waiting))
    for place in waiting:
        consumer.seek(place, proofs[place].offset)
    fetches = Fetches(consumer, bootstrap)
    for _ in range(PATIENCE):
        if not waiting:
            return wrong
        for place, records in (await fetches.getmany(*waiting, timeout_ms=POLL_MS)).items():
            if proofs[place].fails(records[0]):
                wrong.add(place)
            waiting.discard(place)
        # what is left of a compacted log may hold nothing more
        waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
    raise Unavailable("kafka")
