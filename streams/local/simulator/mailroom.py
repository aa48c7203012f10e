"""Customers' messages on their way to our webhook: in good order, or as the script wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import orjson

from agents.ports import Clock
from streams.local.simulator.bodies import (
    UPDATES_MAX,
    customers_in,
    ids_in,
    merged,
    updates_in,
    without_phone,
)
from streams.local.simulator.envelopes import statuses
from streams.local.simulator.journal import Journal
from streams.local.simulator.meta import Meta
from streams.local.simulator.oddities import make_odd
from streams.local.simulator.redelivery import Redeliveries
from streams.local.simulator.script import Kind, Script, Wish
from streams.local.simulator.webhook import OK, Post
from streams.local.simulator.windows import heard_in

CUSTOMERS_MAX: Final = 200_000
OVERTAKEN_MAX: Final = 3
"""How many bodies overtake one that is held back, unless its time is over before."""

LOOK_S: Final = 0.01

Updates = list[tuple[str, dict[str, Any]]]


class Mailroom:
    """Delivers what customers write.

    Args:
        post: Posts to our webhook.
        again: Delivers again.
        clock: Tells the time.
        script: What goes wrong.
        journal: Where it is written down.
        meta: Counts what customers write.
        due: Takes the statuses that are due, to go with a batch.
    """

    def __init__(  # noqa: PLR0913 - all that a delivery may meet
        self,
        post: Post,
        again: Redeliveries,
        clock: Clock,
        *,
        script: Script,
        journal: Journal,
        meta: Meta,
        due: Callable[[], Updates],
    ) -> None:
        self.post = post
        self.again = again
        self.clock = clock
        self.script = script
        self.journal = journal
        self.meta = meta
        self.due = due
        self.nameless: dict[str, bool] = {}
        self.posted = 0
        self.gathered: list[tuple[dict[str, Any], asyncio.Future[int]]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def deliver(self, body: dict[str, Any], *, keep: bool = False) -> int:
        """Deliver one body.

        Args:
            body: What happened, as Meta writes it; it may be changed.
            keep: Whether one that is refused is delivered again, by Meta's schedule.

        Returns:
            The HTTP status of our webhook's first answer.
        """
        self._rename(body)
        self.meta.heard(heard_in(body), now_ms=self.clock.now_ms())
        if self.script.act(Kind.ODD):
            shape = make_odd(body, self.journal.counts.get(Kind.ODD, 0))
            self._note(Kind.ODD, ids_in(body), shape=shape)
        if wish := self.script.act(Kind.REORDER):
            await self._hold(body, wish)
        if wish := self.script.act(Kind.BATCH):
            return await self._gather(body, wish)
        return await self._post(body, keep=keep)

    async def close(self) -> None:
        """Begin nothing more."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _rename(self, body: dict[str, Any]) -> None:
        """Let customers who have no phone number be known by their user id, always."""
        for phone in sorted(customers_in(body)):
            nameless = self.nameless.get(phone)
            if nameless is None:
                nameless = self.script.act(Kind.BSUID) is not None
                if nameless:
                    self._note(Kind.BSUID, ids_in(body))
                if len(self.nameless) < CUSTOMERS_MAX:
                    self.nameless[phone] = nameless
            if nameless:
                without_phone(body, phone)

    async def _hold(self, body: dict[str, Any], wish: Wish) -> None:
        before, waited_s = self.posted, 0.0
        while waited_s < wish.lasts_s and self.posted - before < OVERTAKEN_MAX:
            await asyncio.sleep(LOOK_S)
            waited_s += LOOK_S
        self._note(Kind.REORDER, ids_in(body), overtaken_by=self.posted - before)

    async def _gather(self, body: dict[str, Any], wish: Wish) -> int:
        taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.gathered.append((body, taken))
        if len(self.gathered) == 1:
            self._begin(self._flush(wish))
        return await taken

    async def _flush(self, wish: Wish) -> None:
        await asyncio.sleep(wish.lasts_s)
        waiting, self.gathered = self.gathered, []
        told = self.due()
        while waiting or told:
            now, waiting = waiting[:UPDATES_MAX], waiting[UPDATES_MAX:]
            room = UPDATES_MAX - len(now)
            more, told = told[:room], told[room:]
            status = await self._post_batch([body for body, _ in now], more)
            for _, taken in now:
                if not taken.done():
                    taken.set_result(status)

    async def _post_batch(self, bodies: list[dict[str, Any]], more: Updates) -> int:
        if more:
            bodies = [*bodies, orjson.loads(statuses(more))]
        whole = merged(bodies)
        status = await self._post(whole, keep=False, told=bool(more))
        self._note(
            Kind.BATCH,
            ids_in(whole),
            messages=updates_in(whole, "messages"),
            statuses=updates_in(whole, "statuses"),
            status=status,
        )
        return status

    async def _post(self, body: dict[str, Any], *, keep: bool, told: bool = False) -> int:
        """Post a body; one with statuses is kept until it is taken, since nobody else has them."""
        raw = orjson.dumps(body)
        status = await self.post(raw)
        self.posted += 1
        if status != OK:
            if keep or told:
                self.again.refused(raw)
            return status
        ids = ids_in(body)
        if wish := self.script.act(Kind.REDELIVER):
            self._begin(self._repeat(raw, ids, wish))
        if self.script.act(Kind.LATE):

            def note(number: int, answered: int) -> None:
                self._note(Kind.LATE, ids, delivery=number, status=answered)

            self.again.repeat(raw, note)
        return status

    async def _repeat(self, raw: bytes, ids: tuple[str, ...], wish: Wish) -> None:
        answers = await asyncio.gather(*(self.post(raw) for _ in range(wish.copies)))
        taken = sum(answer == OK for answer in answers)
        self._note(Kind.REDELIVER, ids, copies=wish.copies, taken=taken)

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _note(self, kind: Kind, ids: tuple[str, ...], **detail: int | str) -> None:
        self.journal.write(kind, self.clock.now_ms(), ids, **detail)
