"""Writes records that aiokafka cannot read: each has a header whose name is not UTF-8."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class Misnamed(str):
    """A name that no client of ours would write."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"x-\xff\xfe"


async def write(
    bootstrap: str, topic: str, partition: int, key: bytes, values: list[bytes], at_ms: int
) -> None:
    """Write records at the end of a partition, in one batch."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 16,
    )
    for number, value in enumerate(values):
        builder.append(number, at_ms, key, value, [(Misnamed("x"), b"y")])
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as writer:
        batch = writer.create_batch()
        batch._relative_offset, batch._buffer = len(values), bytes(builder.build())
        batch.close()
        await (await writer.send_batch(batch, topic, partition=partition))
