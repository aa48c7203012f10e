from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from schemas.events import MessageReceived, StatusReceived
from streams.webhook.beat import Beat
from tests.streams.webhook.world import APP, World, change, envelope, text

HELLO = envelope(change(messages=[text("wamid.hello")]))


def status(wamid: str) -> Any:
    told = {"id": wamid, "status": "sent", "timestamp": "1698266945", "recipient_id": "1"}
    return envelope(change(statuses=[told]))


class Drum(Beat):
    """Beats when it is told to."""

    def __init__(self) -> None:
        super().__init__(seconds=3600)

    def strike(self) -> None:
        assert self._next is not None
        self._strike(self._next)


@asynccontextmanager
async def waiting(
    world: World, drum: Drum, *bodies: Any
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Post bodies at the same time, until each is on the log or waits."""
    inbox = world.inbox(drum)
    async with asyncio.TaskGroup() as tasks:
        posts = [tasks.create_task(inbox.accept(APP, world.raw(body))) for body in bodies]
        for _ in range(10):
            await asyncio.sleep(0)
        yield posts
        drum.strike()


async def test_statuses_go_on_the_log_together_at_the_next_beat() -> None:
    world, drum = World(), Drum()

    async with waiting(world, drum, status("wamid.1"), status("wamid.2")) as posts:
        before = (len(world.log.records), [post.done() for post in posts])

    assert before == (0, [False, False])
    assert [type(event) for event in world.events()] == [StatusReceived, StatusReceived]


async def test_a_message_waits_for_no_beat() -> None:
    world, drum = World(), Drum()

    async with waiting(world, drum, status("wamid.1"), HELLO):
        (first,) = world.events()

    assert isinstance(first, MessageReceived)


async def test_what_waits_when_a_beat_is_over_is_of_the_next_one() -> None:
    beat = Beat(seconds=0)
    told: list[str] = []

    async def wait(name: str) -> None:
        await beat.next()
        told.append(name)

    await wait("first")
    await asyncio.gather(wait("second"), wait("third"))

    assert told == ["first", "second", "third"]


async def test_who_goes_away_takes_nobody_along() -> None:
    drum = Drum()
    gone, stays = (asyncio.create_task(drum.next()) for _ in range(2))
    await asyncio.sleep(0)

    gone.cancel()
    await asyncio.sleep(0)
    drum.strike()

    await stays
    assert gone.cancelled()
