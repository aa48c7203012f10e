"""One business number, several outbound workers, Meta's rules on: what is refused, what is used.

The bubbles are given straight to the gate; the conversations lie mostly on a part of the
partitions, and the worker that has most of these is killed on the way. The simulator judges,
with counters of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from schemas.codec import Codec
from schemas.errors import Unavailable
from schemas.events import Author, Event, OutboundKind, OutboundRequested, Person
from schemas.ids import derived, trace
from schemas.topics import (
    CONVERSATION_CHANGED,
    OUTBOUND_REQUESTED,
    OUTBOUND_SETTLED,
    SETTINGS_CHANGED,
)
from sinks.database import open_pool
from sinks.processes import Processes
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.clock import WallClock
from streams.kafka.groups import Groups
from streams.kafka.naming import group_of
from streams.kafka.publish import Publisher, record_of
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.bench.ends import Ends, following
from streams.local.bench.figure import Allowance
from streams.local.bench.inbound import Inbound
from streams.local.bench.pace import paced
from streams.local.bench.people import busiest, customers
from streams.local.demo.seed import publish
from streams.local.demo.shop import NUMBER, TENANT
from streams.local.simulator.envelopes import envelope
from streams.local.stack import Stack, StackOptions, running
from streams.local.stack.own import beside
from streams.local.stack.supervisor import Tell
from streams.settings import Settings, load
from streams.tenancy.applied import applied

DISPATCH: Final = "worker-dispatch"
WRITERS: Final = 300
BATCH: Final = 500
STRETCH_MS: Final = 5_000
PATIENCE_S: Final = 120.0
CONFIRM_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be measured.

    Attributes:
        folder: Folder of the stack.
        workers: How many outbound workers.
        limit: Messages a second that the number may carry.
        load: Traffic, as a part of the limit.
        seconds: How long it is given.
        kill: Whether the busiest worker is killed after a third of it.
        window_s: Seconds from the request until the customer's window closes.
        inbound: Messages a second that other customers write meanwhile.
    """

    folder: Path
    workers: int = 3
    limit: int = 80
    load: float = 1.0
    seconds: float = 60.0
    kill: bool = True
    window_s: float = 86_400.0
    inbound: float = 0.0

    @property
    def bubbles(self) -> int:
        """How many bubbles are asked for."""
        return int(self.limit * self.load * self.seconds)


async def rates(asked: Asked, tell: Tell) -> Allowance:
    """Measure one run on a stack of its own."""
    async with opened(asked, tell) as bench:
        return await bench.measure()


@contextlib.asynccontextmanager
async def opened(asked: Asked, tell: Tell) -> AsyncIterator[Bench]:
    """Run a stack with little but outbound workers and a simulator with Meta's rules."""
    others = set(beside("outbound", asked.workers)) - ({DISPATCH} if asked.inbound else set())
    options = StackOptions(
        home=asked.folder,
        alone=True,
        layout="split",
        workers=asked.workers,
        warm=False,
        simulator=("--rules", "meta", "--mps", str(asked.limit), "--webhook-url", ""),
        without=("webhook", "api", "model", *others),
    )
    async with running(options, tell) as stack, _bench(asked, stack) as bench:
        yield bench


@contextlib.asynccontextmanager
async def _bench(asked: Asked, stack: Stack) -> AsyncIterator[Bench]:
    current = load(stack.home)
    await _limit(current, asked.limit)
    publisher = Publisher(stack.kafka_bootstrap, client_id="bench")
    await publisher.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Bench(asked, stack, publisher, await open_codec(current), session)
    finally:
        await publisher.stop()


async def _limit(current: Settings, limit: int) -> None:
    """Say what the number may carry; return when every worker knows it."""
    pool = await open_pool(current.postgres_dsn.get_secret_value(), name="bench")
    try:
        tenants = Tenants(pool, Vault(current.secrets_key.get_secret_value()))
        await tenants.limit_channel(NUMBER, messages_per_second=limit)
        await publish(current)
        reading = Reading(current.kafka_bootstrap, Codec.offline(), client_id="bench")
        end = sum((await reading.ends((SETTINGS_CHANGED.name,))).values())
        if (await applied(Processes(pool), end, deadline_s=CONFIRM_S)).late:
            raise Unavailable("worker")
    finally:
        await pool.close()


class Bench:
    """One run."""

    def __init__(
        self,
        asked: Asked,
        stack: Stack,
        publisher: Publisher,
        codec: Codec,
        session: aiohttp.ClientSession,
    ) -> None:
        self.asked = asked
        self.stack = stack
        self.publisher = publisher
        self.codec = codec
        self.session = session
        self.simulator = stack.env["WHATSAPP_API_URL"].rpartition("/")[0]
        self.clock = WallClock()
        # Others in each run: the gate knows the conversations of an earlier one.
        partitions, run = load(stack.home).topic_partitions, f"{self.clock.now_ms():x}"
        self.people = customers(partitions, run)
        self.ends = Ends()
        writers = customers(partitions, f"{run}:in", WRITERS, prefix="55219")
        self.inbound = Inbound(writers, post=self._post, hear=self._hear)

    async def measure(self) -> Allowance:
        """Send, kill, wait until nothing moves any more, and ask the simulator."""
        await self._write_first()
        reading = Reading(self.stack.kafka_bootstrap, self.codec)
        async with (
            following(reading, OUTBOUND_SETTLED, self.ends.note),
            following(reading, CONVERSATION_CHANGED, self.inbound.note),
        ):
            if self.asked.inbound:
                await self.inbound.introduce(PATIENCE_S)
            began_ms = self.clock.now_ms()
            await self._play()
            await self.ends.complete(PATIENCE_S)
            await self.inbound.complete(PATIENCE_S)
        control, messages = await self.control(), await self._messages()
        times = [entry["at_ms"] for entry in messages]
        accepted = [(each["bubble_id"], each["at_ms"]) for each in messages]
        window_s = self.asked.window_s
        return Allowance(
            limit=self.asked.limit,
            asked=self.asked.bubbles,
            accepted=control["figures"]["accepted"],
            duplicates=control["figures"]["duplicates"],
            refusals={int(code): count for code, count in control["refusals"].items()},
            seconds=(max(times, default=began_ms) - began_ms) / 1000,
            course=course(times),
            ends=self.ends.counted(),
            lost=self.ends.lost,
            longest_s=self.ends.longest_s(accepted),
            handed_s=self.ends.handed_s,
            late=self.ends.late(window_s, self.ends.failed_ms.items()),
            outside=self.ends.late(window_s, accepted),
            heard=len(self.inbound.outcomes),
            astray=self.inbound.astray,
        )

    async def _play(self) -> None:
        """Send, let others write, and kill a worker on the way."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            if per_second := self.asked.inbound:
                count = int(per_second * self.asked.seconds)
                tasks.create_task(self.inbound.write(count, per_second))
            if self.asked.kill:
                await asyncio.sleep(self.asked.seconds / 3)
                groups = Groups(self.stack.kafka_bootstrap)
                held = await asyncio.to_thread(groups.held, group_of(("outbound",)))
                await self.stack.kill(busiest(held, load(self.stack.home).topic_partitions))

    async def _messages(self) -> list[dict[str, Any]]:
        """Return what was taken, in order."""
        async with self.session.get(f"{self.simulator}/_simulator/messages") as answer:
            found: list[dict[str, Any]] = (await answer.json())["messages"]
        return found

    async def _write_first(self) -> None:
        """Let every customer write once: it opens their windows."""
        for start in range(0, len(self.people), BATCH):
            batch = self.people[start : start + BATCH]
            await self._hear([(phone, f"wamid.bench.{phone}") for _, phone in batch])
        await asyncio.sleep(1.0)  # these were inbound, and they count

    async def _hear(self, written: Sequence[tuple[str, str]]) -> None:
        """Tell the simulator alone of customers' messages: there is no webhook."""
        messages = [
            {
                "from": phone,
                "id": wamid,
                "timestamp": str(self.clock.now_ms() // 1000),
                "type": "text",
                "text": {"body": "oi"},
            }
            for phone, wamid in written
        ]
        contacts = [{"wa_id": message["from"]} for message in messages]
        body = envelope(NUMBER, {"contacts": contacts, "messages": messages})
        url = f"{self.simulator}/_simulator/webhook"
        async with self.session.post(url, data=orjson.dumps(body)):
            pass

    async def _post(self, event: Event) -> Any:
        return await self.publisher.post(record_of(event, self.codec))

    async def _send(self) -> None:
        count = len(self.people)
        people = [self.people[number % count] for number in range(self.asked.bubbles)]
        await self.ask_for(people)

    async def ask_for(self, people: Sequence[tuple[str, str]], *, first: int = 0) -> None:
        """Ask for a bubble for each of them, evenly spread, with numbers from the first on."""
        sent = []
        async for place in paced(len(people), self.asked.limit * self.asked.load):
            conversation, phone = people[place]
            event = self._bubble(first + place, conversation, phone)
            sent.append(await self._post(event))
        await asyncio.gather(*sent)

    def _bubble(self, number: int, conversation: str, phone: str) -> OutboundRequested:
        now_ms = self.clock.now_ms()
        bubble_id = derived("bench", conversation, number)
        self.ends.asked(bubble_id, now_ms, conversation)
        return OutboundRequested(
            event=OUTBOUND_REQUESTED.name,
            event_id=derived("bench", "request", bubble_id),
            trace_id=trace(bubble_id),
            tenant_id=TENANT,
            conversation_id=conversation,
            customer_id=f"cust_{conversation.removeprefix('conv_')}",
            idempotency_key=bubble_id,
            occurred_at=now_ms,
            kind=OutboundKind.MESSAGE,
            bubble_id=bubble_id,
            epoch=0,
            author=(Author.AI, Author.AI, Author.HUMAN, Author.AUTOMATION)[number % 4],
            phone_number_id=NUMBER,
            recipient=Person(wa_id=phone),
            text=f"Seu pedido saiu para entrega: {number}",
            window_expires_at=now_ms + round(self.asked.window_s * 1000),
        )

    async def control(self) -> Any:
        """Return what the simulator counted."""
        async with self.session.get(f"{self.simulator}/_simulator/control") as answer:
            return await answer.json()


def course(times: Sequence[int]) -> tuple[int, ...]:
    """Return how many messages were taken in each stretch of time."""
    places = Counter((at_ms - times[0]) // STRETCH_MS for at_ms in times)
    return tuple(places[place] for place in range(max(places, default=-1) + 1))
