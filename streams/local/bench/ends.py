"""How what a benchmark asks for ended, as the stages tell it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from schemas.events import BubbleState, Event, OutboundKind, OutboundSettled
from schemas.topics import Topic
from streams.kafka.reading import Reading


class Open:
    """What has not come yet."""

    def __init__(self) -> None:
        self._left: set[str] = set()
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        """Return how much is left."""
        return len(self._left)

    def add(self, name: str) -> None:
        """Expect something."""
        self._left.add(name)

    def discard(self, name: str) -> None:
        """Note that something came, if it was expected."""
        self._left.discard(name)
        self._moved.set()

    async def empty(self, patience_s: float) -> None:
        """Wait until everything has come, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._left:
                    self._moved.clear()
                    await self._moved.wait()


@contextlib.asynccontextmanager
async def following(
    reading: Reading, topic: Topic, note: Callable[[Event], None]
) -> AsyncIterator[None]:
    """Note the records of a topic that come from now on, for as long as the block lasts."""
    since = await reading.ends((topic.name,))

    async def follow() -> None:
        async for record in reading.follow((topic.name,), since):
            note(record.event)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Ends:
    """Follows the ends of bubbles.

    Attributes:
        asked_ms: When each bubble was asked for.
        states: How each bubble ended, by event: more than one is one too many. A record that is
            repeated after a crash is the same event.
        failed_ms: When each bubble that could not be sent was given to a person.
    """

    def __init__(self) -> None:
        self.asked_ms: dict[str, int] = {}
        self.states: dict[str, dict[str, BubbleState]] = {}
        self.failed_ms: dict[str, int] = {}
        self._customer: dict[str, str] = {}
        self._told_ms: dict[str, list[int]] = {}
        self._open = Open()

    def asked(self, bubble_id: str, at_ms: int, customer: str = "") -> None:
        """Note that a bubble is asked for; it says until when its customer's window is open."""
        self.asked_ms[bubble_id] = at_ms
        self._customer[bubble_id] = customer
        self._told_ms.setdefault(customer, []).append(at_ms)
        self._open.add(bubble_id)

    def note(self, event: Event) -> None:
        """Note one record."""
        if isinstance(event, OutboundSettled) and event.kind is OutboundKind.MESSAGE:
            self.states.setdefault(event.bubble_id, {})[event.event_id] = event.state
            if event.state is BubbleState.FAILED:
                self.failed_ms[event.bubble_id] = event.occurred_at
            self._open.discard(event.bubble_id)

    async def complete(self, patience_s: float) -> None:
        """Wait until every bubble that was asked for has ended, but not for ever."""
        await self._open.empty(patience_s)

    @property
    def lost(self) -> int:
        """Bubbles that have not ended."""
        return len(self._open)

    def counted(self) -> Counter[str]:
        """Return how many bubbles ended in each way."""
        ends = (self.states[each] for each in self.asked_ms if each in self.states)
        return Counter(str(*states.values()) if len(states) == 1 else "twice" for states in ends)

    def longest_s(self, accepted: Iterable[tuple[str, int]]) -> float:
        """Return how long a bubble waited at most, given when each one was accepted."""
        return max(self._waits_ms(accepted), default=0) / 1000

    @property
    def handed_s(self) -> float:
        """How long a bubble waited at most until a person had it, because it could not be sent."""
        return max(self._waits_ms(self.failed_ms.items()), default=0) / 1000

    def late(self, window_s: float, ends: Iterable[tuple[str, int]]) -> int:
        """Return how many bubbles ended when the window of their customer was over.

        A later bubble of the customer says that it is open for longer.

        Args:
            window_s: How long it is open after a bubble was asked for.
            ends: When bubbles were accepted, or a person had them.
        """
        return sum(
            at_ms - self._newest_ms(name, at_ms) >= window_s * 1000
            for name, at_ms in ends
            if name in self.asked_ms
        )

    def _newest_ms(self, bubble_id: str, at_ms: int) -> int:
        """Return when the newest bubble of the same customer was asked for, at some time."""
        told = self._told_ms[self._customer[bubble_id]]
        return max(told_ms for told_ms in told if told_ms <= at_ms)

    def _waits_ms(self, ends: Iterable[tuple[str, int]]) -> Iterator[int]:
        return (at_ms - self.asked_ms[name] for name, at_ms in ends if name in self.asked_ms)
