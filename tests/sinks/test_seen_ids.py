from __future__ import annotations

import asyncpg
import pytest

from agents.core import seen
from schemas.errors import Unavailable
from sinks.database import open_pool
from sinks.seen_ids import KEPT_DAYS, WIDTH, SeenIds

pytestmark = pytest.mark.integration

TODAY = 20_000


def ids(*natural: str) -> str:
    return "".join(seen.packed(each) for each in natural)


async def test_an_id_that_is_kept_is_known_in_its_conversation_only(pool: asyncpg.Pool) -> None:
    archive = SeenIds(pool)

    for _ in range(2):  # keeping it again changes nothing
        await archive.keep("conv_a", {str(TODAY): ids("w1", "w2"), str(TODAY - 1): ids("w0")})

    known = [await archive.knows("conv_a", seen.packed(each)) for each in ("w0", "w1", "w2", "w3")]
    assert known == [True, True, True, False]
    assert not await archive.knows("conv_b", seen.packed("w1"))


async def test_ids_that_cannot_come_again_are_deleted(pool: asyncpg.Pool) -> None:
    archive = SeenIds(pool)
    await archive.keep("conv_old", {str(TODAY - KEPT_DAYS): ids("old"), str(TODAY): ids("new")})

    await archive.keep("conv_other", {str(TODAY): ids("w")})

    assert not await archive.knows("conv_old", seen.packed("old"))
    assert await archive.knows("conv_old", seen.packed("new"))


async def test_nothing_is_kept_while_postgres_is_down() -> None:
    pool = await open_pool("postgresql://nobody@127.0.0.1:1/nothing")
    archive = SeenIds(pool)

    with pytest.raises(Unavailable):
        await archive.keep("conv_a", {str(TODAY): ids("w1")})
    with pytest.raises(Unavailable):
        await archive.knows("conv_a", ids("w1"))
    await pool.close()


def test_both_sides_agree_on_the_form_of_an_id() -> None:
    assert (WIDTH, KEPT_DAYS) == (seen.WIDTH, seen.KEPT_DAYS)
