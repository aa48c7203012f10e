from __future__ import annotations

import asyncpg
import pytest

from schemas.errors import Unavailable
from sinks.database import open_pool
from sinks.resting import RestingStates
from streams.state.absent import MARK_BITS

pytestmark = pytest.mark.integration

KEY, OTHER = b"conv_a", b"\xff\x00 no text"


async def test_a_value_is_found_by_stage_conversation_and_mark_only(pool: asyncpg.Pool) -> None:
    shelf = RestingStates(pool)
    largest = (1 << MARK_BITS) - 1

    for _ in range(2):  # keeping it again changes nothing
        await shelf.keep("dispatch", {KEY: (1, b"a"), OTHER: (largest, b"b")})

    assert await shelf.find("dispatch", KEY, 1) == b"a"
    assert await shelf.find("dispatch", OTHER, largest) == b"b"
    assert await shelf.find("dispatch", KEY, 2) is None
    assert await shelf.find("dispatch", b"conv_b", 1) is None
    assert await shelf.find("ai", KEY, 1) is None


async def test_a_late_writer_replaces_nothing(pool: asyncpg.Pool) -> None:
    shelf = RestingStates(pool)
    await shelf.keep("late", {KEY: (2, b"newer")})

    await shelf.keep("late", {KEY: (1, b"older")})
    await shelf.keep("late", {KEY: (2, b"another")})

    assert await shelf.find("late", KEY, 2) == b"newer"


async def test_only_what_was_kept_before_and_of_the_same_conversation_is_deleted(
    pool: asyncpg.Pool,
) -> None:
    shelf = RestingStates(pool)
    numbers = [
        await shelf.keep("tidy", {KEY: (mark, b"v"), OTHER: (mark, b"v")}) for mark in (1, 2, 3)
    ]
    await shelf.keep("tidy too", {KEY: (1, b"v")})

    await shelf.tidy("tidy", {KEY: numbers[1][KEY], b"conv_b": numbers[2][KEY]})

    kept = [await shelf.find("tidy", KEY, mark) for mark in (1, 2, 3)]
    assert kept == [None, b"v", b"v"]
    assert await shelf.find("tidy", OTHER, 1) == b"v"
    assert await shelf.find("tidy too", KEY, 1) == b"v"


async def test_what_came_since_is_not_deleted_by_one_who_was_away(pool: asyncpg.Pool) -> None:
    shelf = RestingStates(pool)
    mine = await shelf.keep("away", {KEY: (1, b"mine")})
    newer = await shelf.keep("away", {KEY: (2, b"the next owner's")})
    await shelf.tidy("away", newer)

    assert (await shelf.keep("away", {KEY: (1, b"mine")}))[KEY] > newer[KEY]
    await shelf.tidy("away", mine)

    assert await shelf.find("away", KEY, 2) == b"the next owner's"


async def test_a_row_that_is_there_keeps_its_number(pool: asyncpg.Pool) -> None:
    shelf = RestingStates(pool)
    first = await shelf.keep("again", {KEY: (1, b"v")})

    again = await shelf.keep("again", {KEY: (1, b"v"), OTHER: (1, b"v")})

    assert again[KEY] == first[KEY] < again[OTHER]


async def test_nothing_is_kept_or_found_while_postgres_is_down() -> None:
    pool = await open_pool("postgresql://nobody@127.0.0.1:1/nothing")
    shelf = RestingStates(pool)

    with pytest.raises(Unavailable):
        await shelf.keep("dispatch", {KEY: (1, b"a")})
    with pytest.raises(Unavailable):
        await shelf.find("dispatch", KEY, 1)
    with pytest.raises(Unavailable):
        await shelf.tidy("dispatch", {KEY: 1})
    await pool.close()
