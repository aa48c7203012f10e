"""Faults of deployments and of customers: a newer schema beside an older one, one hot key."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from fastavro import parse_schema, schemaless_writer

from schemas.avro_schema import plain, schema_of
from schemas.codec import BRANCHES, HEADER, MAGIC
from schemas.events import MessageKind, MessageReceived, OutcomeKind, Person
from schemas.ids import derived, trace
from schemas.topics import (
    CONVERSATION_TIMER,
    MESSAGE_RECEIVED,
    OUTBOUND_TIMER,
    STATEFUL_STAGES,
)
from streams.kafka.layouts import inputs_of
from streams.kafka.registry import Registry
from streams.local.chaos.catalogue import stage_of
from streams.local.chaos.facts import Posted, Seen
from streams.local.chaos.ground import AGAIN_S, Ground, group_of_worker, lasting
from streams.local.chaos.schedule import Planned
from streams.local.chaos.workload import phone_prefix
from streams.local.demo.shop import NUMBER, TENANT
from streams.local.load.plan import QUESTIONS

NEW_FIELD: Final = {"name": "chaos_note", "type": ["null", "string"], "default": None}
"""A field that our code does not know: an optional one, as every change must be."""
NEWER: Final = 5
"""Messages that the newer producer writes, each to a conversation of its own."""
FIRST: Final = 9_900
"""Number of the first customer of the newer producer; the others are below."""

SHARED_S: Final = 30.0
"""How long a group may take to share its partitions among processes that are ready."""

NEEDED: Final = {MESSAGE_RECEIVED.name, CONVERSATION_TIMER.name, OUTBOUND_TIMER.name}
"""What a stage was never without."""


async def newer_schema(ground: Ground, planned: Planned) -> Seen:
    """F17: a later version is registered and written, while a worker with the older one starts."""
    registry = Registry(ground.current.schema_registry_url)
    schema = plain(schema_of(MessageReceived))
    schema = {**schema, "fields": [*schema["fields"], NEW_FIELD]}
    await registry.register(MESSAGE_RECEIVED.subject, schema)
    known = await registry.newest(MESSAGE_RECEIVED.subject)
    if known is None:
        return {"version": 0, "newer": 0}
    messages = [_message(ground, number) for number in range(NEWER)]
    await _write(ground, messages, parse_schema(schema), known.schema_id)
    ground.customers.posted += [_posted(message) for message in messages]
    _, worker = planned.whom
    await ground.stack.kill(worker)
    await ground.stack.start(worker)
    return {"version": known.version, "newer": len(messages)}


async def added_topic(ground: Ground, planned: Planned) -> Seen:
    """F2t: an older release that does not know one input yet, then the newer one, in turn."""
    chance = random.Random(planned.seed)  # noqa: S311 - a plan, not a secret
    topic = chance.choice(addable(stage_of(planned.whom[0])))
    before = 0
    for part in planned.whom:
        await ground.stack.stop(part, back=True)
        before = await _written(ground, topic)  # after the last of them nobody reads it
        ground.stack.launch(part, {"WITHOUT_TOPIC": topic})
        await ground.ready(part)
    older = await _readers(ground, planned.whom, topic, reads=False)
    await lasting(planned.seconds)
    waiting = await _written(ground, topic) - before
    for part in planned.whom:
        await ground.stack.stop(part, back=True)
        await ground.stack.start(part)
    newer = await _readers(ground, planned.whom, topic, reads=True)
    await ground.note_commits()
    return {"topic": topic, "older": older, "waiting": waiting, "newer": newer}


async def _readers(ground: Ground, parts: Sequence[str], topic: str, *, reads: bool) -> int:
    """Return how many processes have partitions, and among them some of a topic, or none.

    The group itself tells it; it is asked until that holds for all of them, but not for ever.
    """
    group = group_of_worker(parts[0])
    groups, deadline = ground.witness.groups_of(), time.monotonic() + SHARED_S
    while True:
        held = await asyncio.to_thread(groups.held, group)
        topics = [{place.topic for place in held.get(part, ())} for part in parts]
        count = sum(bool(found) and (topic in found) is reads for found in topics)
        if count == len(parts) or time.monotonic() > deadline:
            return count
        await asyncio.sleep(AGAIN_S)


def addable(stage: str) -> list[str]:
    """Return inputs that a release may add to a stage, or to one of all; empty is all of them."""
    stages = [each for each in STATEFUL_STAGES if stage in ("", each)]
    return sorted({name for each in stages for name in inputs_of(each)} - NEEDED)


async def _written(ground: Ground, topic: str) -> int:
    return sum((await ground.witness.reading.ends((topic,))).values())


async def hot_key(ground: Ground, planned: Planned) -> Seen:
    """F15: nothing is broken; it is seen how much one customer has written."""
    await lasting(planned.seconds)
    counts: dict[str, int] = {}
    for posted in ground.customers.posted:
        counts[posted.customer] = counts.get(posted.customer, 0) + 1
    return {"hot": max(counts.values(), default=0)}


def _message(ground: Ground, number: int) -> MessageReceived:
    crowd, now_ms = ground.customers.crowd, ground.witness.clock.now_ms()
    customer = phone_prefix(crowd) + str(FIRST + number)
    wamid = f"wamid.chaos-{crowd.run}-newer-{number}"
    return MessageReceived(
        event=MESSAGE_RECEIVED.name,
        event_id=derived("chaos", wamid),
        trace_id=trace("chaos", wamid),
        tenant_id=TENANT,
        conversation_id=ground.customers.conversation_of(customer),
        customer_id=f"cust_{number:032x}",
        idempotency_key=f"{NUMBER}:{wamid}",
        occurred_at=now_ms,
        phone_number_id=NUMBER,
        wamid=wamid,
        kind=MessageKind.TEXT,
        text=f"{QUESTIONS[0]} [{crowd.marker} newer]",
        sender=Person(wa_id=customer, name=crowd.name),
        sent_at=now_ms,
    )


async def _write(
    ground: Ground, messages: list[MessageReceived], schema: Any, schema_id: int
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=ground.current.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        for message in messages:
            body = io.BytesIO(HEADER.pack(MAGIC, schema_id))
            body.seek(0, io.SEEK_END)
            fields = {**msgspec.to_builtins(message), NEW_FIELD["name"]: "new"}
            for name, branch in BRANCHES[MessageReceived]:
                if fields[name] is not None:
                    fields[name] = (branch, fields[name])
            schemaless_writer(body, schema, fields)
            key = message.conversation_id.encode()
            await producer.send_and_wait(MESSAGE_RECEIVED.name, body.getvalue(), key)
    finally:
        await producer.stop()


def _posted(message: MessageReceived) -> Posted:
    return Posted(
        customer=message.sender.wa_id or "",
        sequence=1,
        wamid=message.wamid,
        sort="newer",
        expects=(OutcomeKind.ANSWERED, OutcomeKind.HANDED),
        alone=True,
        began_ms=message.occurred_at,
        answered_ms=message.occurred_at,
    )
