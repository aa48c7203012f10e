"""What the loop is measured against: plain aiokafka loops, and Faust as its documentation shows it.

None of them has any protection: no order between awaited writes, no fencing, no outbox, no
skipping of what was done before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.local.bench.loops import producing
from streams.local.bench.work import Renamed
from streams.settings import home

BATCH: Final = 500
POLL_MS: Final = 100

Stop = Callable[[], Awaitable[None]]
Relayed = Callable[[AIOKafkaProducer, Any], Awaitable[list[Any]]]
"""Posts what one record causes; returns the futures of the broker's answers."""


async def relay(bootstrap: str, source: str, target: str) -> Stop:
    """Relay without state: read, send, await, commit."""

    async def send(producer: AIOKafkaProducer, record: Any) -> list[Any]:
        return [await producer.send(target, record.value, record.key)]

    return await _loop(bootstrap, source, send)


async def plain(bootstrap: str, source: str, target: str, changelog: str) -> Stop:
    """Do the work of the loop: state, effect and changelog record, both awaited, then commit."""
    work = Renamed(source, target)
    states: dict[bytes, bytes] = {}

    async def send(producer: AIOKafkaProducer, record: Any) -> list[Any]:
        state, said = work.relayed(states.get(record.key), record.value)
        states[record.key] = state
        kept = await producer.send(changelog, state, record.key, record.partition)
        return [kept, await producer.send(target, said, record.key)]

    return await _loop(bootstrap, source, send)


async def _loop(bootstrap: str, source: str, send: Relayed) -> Stop:
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=source,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = producing(bootstrap)
    await consumer.start()
    await producer.start()

    async def run() -> None:
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
            records = [record for rows in fetched.values() for record in rows]
            sent = [future for record in records for future in await send(producer, record)]
            await asyncio.gather(*sent)
            if records:
                await consumer.commit()

    task = asyncio.create_task(run())

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
        await producer.stop()

    return stop


async def vanilla(bootstrap: str, source: str, target: str, partitions: int) -> Stop:
    """Faust with a table doing the same work; it awaits neither its changelog nor its effects."""
    app = faust.App(
        source,
        broker=[f"kafka://{server}" for server in bootstrap.split(",")],
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        table_standby_replicas=0,
        datadir=home() / "bench",
    )
    work = Renamed(source, target)
    seen: Any = app.Table("seen", key_type=bytes, value_type=bytes, partitions=partitions)
    inlet = app.topic(source, key_serializer="raw", value_serializer="raw")
    outlet = app.topic(target, key_serializer="raw", value_serializer="raw")

    async def relayed(stream: Any) -> None:
        async for key, value in stream.items():
            state, said = work.relayed(seen.get(key), value)
            seen[key] = state
            await outlet.send(key=key, value=said)

    app.agent(inlet, name=f"{source}.relay")(relayed)
    await app.start()
    return app.stop
