from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agents.adapters.whatsapp import open_client
from agents.adapters.whatsapp_reads import MOST, WhatsAppReads
from agents.core.gate_typing import AGAIN_MS, LONGEST_MS
from agents.ports import Observation, Read, ReadTold, Refused
from schemas.errors import Unavailable
from schemas.events import Author
from tests.agents.outbound.desk import NUMBER, T0, Desk, bubble, marker, read

READ = Read(phone_number_id=NUMBER, wamid="wamid.w1")


# The gate


def test_a_turn_that_starts_is_shown_and_says_nothing_more() -> None:
    desk = Desk()

    assert desk.apply(read("t1", "wamid.w1")) is None

    assert desk.shown == ["wamid.w1"]
    assert desk.effects == ()
    assert desk.it.timers == {"typing": T0 + AGAIN_MS}


def test_a_long_turn_is_shown_again_until_it_is_too_long() -> None:
    desk = Desk()
    desk.apply(read("t1", "wamid.w1"))

    desk.until_quiet()

    assert desk.shown == ["wamid.w1"] * (LONGEST_MS // AGAIN_MS + 1)
    assert desk.it.typing is None


def test_a_turn_that_was_started_by_a_clock_ahead_is_shown_no_longer_than_any_other() -> None:
    desk = Desk()
    desk.apply(read("t1", "wamid.w1", at=T0 + 3_600_000))

    desk.until_quiet()

    assert desk.shown == ["wamid.w1"] * (LONGEST_MS // AGAIN_MS + 1)


def test_it_is_no_longer_shown_once_something_is_to_be_sent() -> None:
    desk = Desk()
    desk.apply(read("t1", "wamid.w1"))

    desk.apply(bubble("b1", turn_id="t1"), Refused(code=131056, status=400))

    assert "typing" not in desk.it.timers


def test_a_newer_turn_takes_its_place() -> None:
    desk = Desk()
    desk.apply(read("t1", "wamid.w1"))
    desk.now += 1_000

    desk.apply(read("t2", "wamid.w2", at=desk.now))

    assert desk.shown == ["wamid.w1", "wamid.w2"]
    assert desk.it.timers == {"typing": desk.now + AGAIN_MS}


def test_after_a_takeover_nothing_of_the_ai_is_shown() -> None:
    desk = Desk()
    desk.apply(read("t1", "wamid.w1"))
    late = desk.fired("typing")
    desk.apply(marker("m1", epoch=1))

    desk.apply(late)
    desk.apply(read("t2", "wamid.w2", epoch=0))

    assert desk.shown == ["wamid.w1"]
    assert desk.it.timers == {}


def test_a_turn_that_is_over_without_a_word_is_shown_no_more() -> None:
    desk = Desk()
    desk.apply(bubble("b1", author=Author.HUMAN), Refused(code=190, status=401))
    desk.apply(read("t1", "wamid.w1"))

    desk.apply(read("over", None, epoch=1))

    assert desk.shown == ["wamid.w1"]
    assert (desk.it.typing, "typing" in desk.it.timers) == (None, False)
    assert desk.it.floor == 0
    assert desk.fire("held:b1") is not None


def test_a_repeated_request_is_shown_once() -> None:
    desk = Desk()
    desk.apply(read("t1", "wamid.w1"))
    desk.apply(read("t1", "wamid.w1"))

    assert desk.shown == ["wamid.w1"]


def test_a_receipt_neither_waits_for_a_bubble_nor_lets_one_wait() -> None:
    desk = Desk()
    desk.apply(bubble("b1", author=Author.HUMAN), Refused(code=190, status=401))
    desk.apply(read("t1", "wamid.w1"))
    assert desk.shown == ["wamid.w1"]

    assert desk.fire("held:b1") is not None


def test_a_receipt_that_is_given_up_is_no_bubble() -> None:
    desk = Desk()

    desk.give_up(read("t1", "wamid.w1"))

    assert desk.effects == ()
    assert desk.it.timers == {}


def test_a_timer_of_it_that_is_given_up_settles_no_bubble() -> None:
    desk = Desk()
    desk.apply(bubble("b1", author=Author.HUMAN), Refused(code=190, status=401))
    desk.apply(read("t1", "wamid.w1"))

    desk.give_up_timer("typing")

    assert desk.every_end == []


# The adapter

TOKEN = "secret-token"


class Drawer:
    def __init__(self, token: str | None = TOKEN, *, down: bool = False) -> None:
        self._token = token
        self._down = down

    async def token(self, _: str, /) -> str | None:
        if self._down:
            raise Unavailable("postgres")
        return self._token


async def shown(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    tokens: Drawer | None = None,
    times: int = 1,
) -> list[Observation]:
    seen: list[Observation] = []
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with (
        TestServer(app) as server,
        open_client(f"http://127.0.0.1:{server.port}/v25.0", 2.0) as client,
    ):
        reads = WhatsAppReads(client, tokens or Drawer(), observe=seen.append)
        for _ in range(times):
            reads.show(READ)
        await asyncio.gather(*reads._running)
        await reads.stop()
    return seen


async def test_the_message_is_marked_as_read_with_a_typing_indicator() -> None:
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response({"success": True})

    assert await shown(answer) == [ReadTold(outcome="told")]
    assert asked == [
        (
            f"/v25.0/{NUMBER}/messages",
            "Bearer secret-token",
            {
                "messaging_product": "whatsapp",
                "status": "read",
                "message_id": "wamid.w1",
                "typing_indicator": {"type": "text"},
            },
        )
    ]


@pytest.mark.parametrize(
    ("tokens", "outcome"),
    [(Drawer(None), "not_sent"), (Drawer(down=True), "not_sent"), (Drawer(), "refused")],
)
async def test_what_goes_wrong_is_counted_and_nobody_hears_of_it(
    tokens: Drawer, outcome: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"code": 131009}}, status=400)

    assert await shown(answer, tokens) == [ReadTold(outcome=outcome)]


async def test_a_whatsapp_that_is_slow_holds_only_so_many() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return web.json_response({"success": True})

    outcomes = await shown(answer, times=MOST + 3)

    assert outcomes.count(ReadTold(outcome="dropped")) == 3


async def test_a_stop_gives_up_what_is_on_its_way() -> None:
    begun = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.sleep(30)
        raise AssertionError

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with (
        TestServer(app) as server,
        open_client(f"http://127.0.0.1:{server.port}/v25.0", 2.0) as client,
    ):
        reads = WhatsAppReads(client, Drawer())
        reads.show(READ)
        await begun.wait()
        await asyncio.wait_for(reads.stop(), 5)
