"""An idempotent producer: how it is made, and how one that can send no more is given up."""

from __future__ import annotations

from typing import Any

from aiokafka.errors import KafkaConnectionError, ProducerClosed

from schemas.errors import Unavailable
from streams.kafka.batching import Producer


async def connected(**settings: Any) -> Producer:
    """Return a producer that has begun; idempotent, acknowledged by all replicas.

    Raises:
        Unavailable: No broker answers.
    """
    producer = Producer(**settings, enable_idempotence=True, acks="all")
    try:
        await producer.start()
    except BaseException as exc:  # cancelled as well: its connections would stay behind
        await producer.stop()
        if isinstance(exc, KafkaConnectionError):
            raise Unavailable("kafka") from exc
        raise
    return producer


def has_ended(producer: Producer) -> bool:
    """Tell whether the task that sends has ended: nothing is sent any more."""
    task = producer._sender.sender_task  # noqa: SLF001 - aiokafka does not tell
    return task is None or task.done()


async def abandon(producer: Producer) -> None:
    """Stop a producer without sending what it still holds; whoever waits for that is told.

    What is at the broker already is waited for, so that nothing of it comes after what the
    next producer sends.
    """
    await producer._sender.close()  # noqa: SLF001 - stop() would send the rest, or wait for ever
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - see above
    await producer.stop()
