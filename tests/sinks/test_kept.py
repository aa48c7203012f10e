"""A store that does not answer keeps nobody waiting for what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from schemas.errors import Unavailable
from sinks.kept import Kept
from tests.sinks.watch import Watch

FRESH_S = 60.0


class Store:
    """Answers by key; it may hang, or be down."""

    def __init__(self) -> None:
        self.answer = "old"
        self.asked = 0
        self.works = asyncio.Event()
        self.works.set()
        self.error: Exception | None = None

    async def __call__(self, _: str) -> str:
        self.asked += 1
        await self.works.wait()
        if self.error is not None:
            raise self.error
        return self.answer


Get = Callable[[], Coroutine[Any, Any, str]]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def kept(watch: Watch) -> Kept[str]:
    return Kept(fresh_s=FRESH_S, most=10, monotonic=watch)


@pytest.fixture
def get(store: Store, kept: Kept[str]) -> Get:
    return lambda: kept.get("app", store)


@pytest.fixture
async def first(get: Get, store: Store, watch: Watch) -> asyncio.Task[str]:
    """Whoever asks again for an old answer, of a store that hangs."""
    await get()
    watch.now = FRESH_S
    store.works.clear()
    asking = asyncio.create_task(get())
    await asyncio.sleep(0)
    return asking


async def test_while_an_old_answer_is_asked_for_again_others_are_served_with_it(
    get: Get, store: Store, first: asyncio.Task[str]
) -> None:
    others = [await asyncio.wait_for(get(), 0.1) for _ in range(3)]

    store.answer = "new"
    store.works.set()
    assert (others, await first, await get(), store.asked) == (["old"] * 3, "new", "new", 2)


async def test_what_is_kept_is_served_while_nobody_answers_and_not_asked_for_each_time(
    get: Get, store: Store, watch: Watch
) -> None:
    await get()
    watch.now = FRESH_S
    store.error = Unavailable("postgres")

    assert [await get(), await get(), store.asked] == ["old", "old", 2]

    store.answer, store.error, watch.now = "new", None, 2 * FRESH_S
    assert await get() == "new"


async def test_who_gives_up_asking_leaves_it_to_the_next(
    get: Get, store: Store, first: asyncio.Task[str]
) -> None:
    first.cancel()
    await asyncio.wait([first])

    store.answer = "new"
    store.works.set()
    assert await get() == "new"


async def test_what_is_forgotten_while_it_is_asked_for_stays_forgotten(
    get: Get, store: Store, kept: Kept[str], first: asyncio.Task[str]
) -> None:
    kept.forget("app")
    first.cancel()
    await asyncio.wait([first])
    store.works.set()
    store.error = Unavailable("postgres")

    with pytest.raises(Unavailable):
        await get()


async def test_nothing_is_made_up_of_what_is_not_known(get: Get, store: Store) -> None:
    store.error = Unavailable("postgres")

    with pytest.raises(Unavailable):
        await get()
