"""Turns given straight to the AI stage, and what became of each: no webhook, no dispatch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from schemas.codec import Codec
from schemas.events import HandoffRequested, ResponseGenerated, TurnKind
from schemas.ids import derived, trace
from schemas.topics import HANDOFF_REQUESTED, RESPONSE_GENERATED
from streams.clock import WallClock
from streams.kafka.publish import Publisher, record_of
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.bench.pace import paced
from streams.local.demo.shop import NUMBER, TENANT
from streams.local.stack import Stack
from streams.settings import load

QUESTION: Final = "Oi! Qual é o prazo de entrega para capitais?"
DEADLINE_MS: Final = 300_000
LOOK_S: Final = 0.5


@dataclass(slots=True)
class Turns:
    """Turns of conversations of their own.

    Attributes:
        name: Told apart from every other run on the same topics.
        reading: Reads the responses.
        publisher: Gives the turns to the stage; started.
        codec: Events to bytes.
        begun_ms: When each turn was given, by its id.
        ended: The response of each turn, by its id.
        twice: Responses that came again.
    """

    name: str
    reading: Reading
    publisher: Publisher
    codec: Codec
    begun_ms: dict[str, int] = field(default_factory=dict)
    ended: dict[str, ResponseGenerated] = field(default_factory=dict)
    twice: int = 0

    async def send(self, count: int, *, over_s: float) -> list[str]:
        """Give so many turns, evenly spread; return their ids."""
        clock, sent, ids = WallClock(), [], []
        async for _ in paced(count, count / over_s):
            turn = self._turn(len(self.begun_ms), clock.now_ms())
            self.begun_ms[turn.turn_id] = turn.occurred_at
            ids.append(turn.turn_id)
            sent.append(await self.publisher.post(record_of(turn, self.codec)))
        await asyncio.gather(*sent)
        return ids

    async def until(self, done: Callable[[], bool], patience_s: float) -> None:
        """Wait for a condition on the responses, or until patience is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not done():  # noqa: ASYNC110 - conditions of many kinds
                    await asyncio.sleep(LOOK_S)

    async def follow(self) -> None:
        """Note responses until cancelled."""
        topics = [RESPONSE_GENERATED.name]
        since = await self.reading.ends(topics)
        async for recorded in self.reading.follow(topics, since):
            event = recorded.event
            if isinstance(event, ResponseGenerated) and event.turn_id in self.begun_ms:
                known = self.ended.setdefault(event.turn_id, event)
                self.twice += known.event_id != event.event_id

    def took_s(self, ids: list[str]) -> Iterator[float]:
        """Yield how long each of these turns took, of those that ended."""
        for turn_id in ids:
            if (end := self.ended.get(turn_id)) is not None:
                yield (end.occurred_at - self.begun_ms[turn_id]) / 1000

    def _turn(self, number: int, now_ms: int) -> HandoffRequested:
        conversation_id = f"conv_{self.name}_{number}"
        turn_id = derived("turn", conversation_id)
        return HandoffRequested(
            event=HANDOFF_REQUESTED.name,
            event_id=derived("handoff", turn_id),
            trace_id=trace("bench", turn_id),
            tenant_id=TENANT,
            conversation_id=conversation_id,
            customer_id=f"cust_{self.name}_{number}",
            idempotency_key=turn_id,
            occurred_at=now_ms,
            kind=TurnKind.START,
            turn_id=turn_id,
            turn_seq=1,
            epoch=1,
            to_agent="support",
            reason="bench",
            phone_number_id=NUMBER,
            wamids=(f"wamid.{turn_id}",),
            question=QUESTION,
            deadline_at=now_ms + DEADLINE_MS,
        )


@contextlib.asynccontextmanager
async def given(stack: Stack) -> AsyncIterator[Turns]:
    """Lend turns for the AI stage of a stack; what becomes of them is noted from now on."""
    codec = await open_codec(load(stack.home))
    publisher = Publisher(stack.kafka_bootstrap, client_id="bench")
    await publisher.start()
    name = f"{WallClock().now_ms():x}"
    turns = Turns(name, Reading(stack.kafka_bootstrap, codec), publisher, codec)
    following = asyncio.create_task(turns.follow())
    try:
        await turns.until(lambda: False, 1.0)  # the reader stands at the ends
        yield turns
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await publisher.stop()
