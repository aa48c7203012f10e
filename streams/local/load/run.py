"""Runs a load: sends, waits until nothing moves any more, reads what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from agents.ports import Clock
from schemas.topics import (
    CONVERSATION_CHANGED,
    CONVERSATION_TIMER,
    HANDOFF_REQUESTED,
    MESSAGE_RECEIVED,
    OUTBOUND_REQUESTED,
    OUTBOUND_SETTLED,
    OUTBOUND_UPDATED,
    RESPONSE_GENERATED,
    TOOL_REQUESTED,
)
from sinks.ports import Recorded
from streams.kafka.reading import Reading
from streams.local.demo.shop import NUMBER
from streams.local.load.history import Accepted, History, Sent, history, unfinished
from streams.local.load.plan import Outgoing, message_object
from streams.local.outside import Outside, conversation_of
from streams.local.simulator.envelopes import received

TOPICS: Final = tuple(
    topic.name
    for topic in (
        MESSAGE_RECEIVED,
        CONVERSATION_CHANGED,
        CONVERSATION_TIMER,
        HANDOFF_REQUESTED,
        TOOL_REQUESTED,
        RESPONSE_GENERATED,
        OUTBOUND_REQUESTED,
        OUTBOUND_UPDATED,
        OUTBOUND_SETTLED,
    )
)
"""Topics that the checker and the figures read."""

CONNECTIONS: Final = 32
LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a load did.

    Attributes:
        known: What happened, indexed.
        records: The same, as it was read.
        sent: POSTs that were made.
        sending_s: Seconds from the first POST to the last answer.
        whole_s: Seconds from the first POST until nothing was open any more.
    """

    known: History
    records: list[Recorded]
    sent: int
    sending_s: float
    whole_s: float


class Sender:
    """Sends each conversation's messages one after the other, many conversations at once.

    Args:
        outside: Where they go.
        clock: Tells the time.
        rate: Messages a second; 0 is as quick as they are taken.
    """

    def __init__(self, outside: Outside, clock: Clock, rate: float = 0.0) -> None:
        self.outside = outside
        self.clock = clock
        self.rate = rate
        self.began = 0.0
        self.sent: list[Outgoing] = []
        self.stopped = False

    def stop(self) -> None:
        """Begin no further message; the rest of the plan is not sent."""
        self.stopped = True

    async def send(self, plan: Sequence[Sequence[Outgoing]]) -> float:
        """Send all of it; return the seconds that it took."""
        waiting: asyncio.Queue[list[Outgoing]] = asyncio.Queue()
        for conversation in plan:
            waiting.put_nowait(list(conversation))
        self.began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(CONNECTIONS, len(plan))):
                tasks.create_task(self._work(waiting))
        return time.monotonic() - self.began

    async def _work(self, waiting: asyncio.Queue[list[Outgoing]]) -> None:
        """Take a conversation, send its next message, put it back: order is kept."""
        while not (self.stopped or waiting.empty()):
            conversation = waiting.get_nowait()
            message = conversation.pop(0)
            self.sent.append(message)
            await self._pace()
            now_ms = self.clock.now_ms()
            body = received(NUMBER, message_object(message, now_ms), name="Cliente")
            await self.outside.post(orjson.dumps(body))
            if conversation:
                waiting.put_nowait(conversation)

    async def _pace(self) -> None:
        """Wait until the rate allows one more."""
        if self.rate > 0:
            due = self.began + (len(self.sent) - 1) / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def run(
    plan: Sequence[Sequence[Outgoing]],
    reading: Reading,
    sender: Sender,
    *,
    patience_s: float,
) -> Result:
    """Send a plan and wait until every message has an outcome and every bubble has settled.

    Args:
        plan: What to send.
        reading: Reads the topics.
        sender: Sends.
        patience_s: How long to wait after sending; what is open then is left to the checker.

    Raises:
        Unavailable: The stack does not answer.
    """
    since = await reading.ends(TOPICS)
    before = (await sender.outside.book())["last"]
    began = time.monotonic()
    sending_s = await sender.send(plan)
    sent = [Sent(m.customer, m.sequence, m.wamid, m.expects) for m in sender.sent]
    records, quiet_at = await quiet(reading, since, sent, began + sending_s + patience_s)
    book = await sender.outside.book(before)
    return Result(
        known=history(sent, records, accepted(book)),
        records=records,
        sent=len(sender.sent),
        sending_s=sending_s,
        whole_s=quiet_at - began,
    )


async def quiet(
    reading: Reading,
    since: Mapping[Any, int],
    sent: Iterable[Sent],
    deadline: float,
    *,
    topics: Sequence[str] = TOPICS,
) -> tuple[list[Recorded], float]:
    """Read until nothing is open, or the deadline; return the records and when it was quiet.

    Args:
        reading: Reads the topics.
        since: Where to begin.
        sent: Messages whose end is waited for.
        deadline: Longest wait, by the monotonic clock.
        topics: What is read.

    Raises:
        Unavailable: No broker answers.
    """
    messages = list(sent)
    wamids = [message.wamid for message in messages]
    read_to = dict(since)
    records: list[Recorded] = []
    while True:
        now = time.monotonic()
        ends = await reading.ends(topics)
        moved = any(end > read_to.get(place, 0) for place, end in ends.items())
        if moved:
            records += await reading.read(topics, since=read_to)
            for record in records:
                _note(read_to, record)
            read_to |= {place: max(end, read_to.get(place, 0)) for place, end in ends.items()}
        done = not unfinished(history(messages, records, ()), wamids)
        if (done and not moved) or now > deadline:
            return records, now
        await asyncio.sleep(LOOK_S)


def _note(read_to: dict[Any, int], record: Recorded) -> None:
    """Remember how far was read: more than the ends may have come meanwhile."""
    place = (record.position.topic, record.position.partition)
    read_to[place] = max(read_to.get(place, 0), record.position.offset + 1)


def accepted(book: dict[str, Any]) -> list[Accepted]:
    """Return the simulator's entries, as the checker wants them."""
    return [
        Accepted(
            number=entry["number"],
            conversation_id=conversation_of(entry["callback_data"]),
            bubble_id=entry["bubble_id"],
            wamid=entry["wamid"],
        )
        for entry in book["messages"]
    ]
