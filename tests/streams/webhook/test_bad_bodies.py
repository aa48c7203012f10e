from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from schemas.events import MessageReceived, StatusReceived
from streams.webhook.bodies import Bodies
from tests.streams.webhook.world import (
    APP,
    World,
    change,
    envelope,
    signature,
    text,
)

HELLO = envelope(change(messages=[text("wamid.1")]))
RAW = json.dumps(HELLO).encode()
RIGHT = signature(RAW)
URL = f"/webhooks/whatsapp/{APP}"


async def test_a_compressed_body_is_415() -> None:
    bomb = gzip.compress(b"0" * 1_000_000)

    answer = await World().post(bomb, **{"Content-Encoding": "gzip"})

    assert answer.status_code == 415


async def test_a_body_over_three_megabytes_is_413_announced_or_not() -> None:
    world = World()
    large = b" " * (3 * 1024 * 1024 + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b" " * 1024 * 1024

    async with world.client() as client:
        announced = await client.post(URL, content=large)
        chunked = await client.post(URL, content=chunks())

    assert (announced.status_code, chunked.status_code) == (413, 413)


async def test_a_body_that_never_ends_is_408() -> None:
    world = World(bodies=Bodies(seconds=0.05))

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with world.client() as client:
        answer = await client.post(URL, content=trickle())

    assert answer.status_code == 408


async def test_bodies_beyond_the_memory_for_them_are_503_and_the_memory_comes_back() -> None:
    world = World(bodies=Bodies(held=len(RAW)))
    sent = {"X-Hub-Signature-256": RIGHT}

    async with world.client() as client:
        too_much = await client.post(URL, content=RAW + b"  ", headers=sent)
        after = await client.post(URL, content=RAW, headers=sent)

    assert (too_much.status_code, too_much.headers["Retry-After"]) == (503, "2")
    assert after.status_code == 200


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b'{"entry": NaN}', "not_json"),
        (b'{"entry": [Infinity]}', "not_json"),
        (b'{"entry": "\xff"}', "not_json"),
        (b"[" * 10_000 + b"]" * 10_000, "too_deep"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep"),
        (b"[" * 10_000, "too_deep"),
        (b'{"entry":[{"changes":[{"field":"messages","value":{"messages":[%s]}}]}]}'
         % b",".join([b"{}"] * 5000), "too_many_parts"),
        (b"{}", "unknown_shape"),
        (b"7", "unknown_shape"),
        (b'{"entry":{}}', "unknown_shape"),
        (b'{"entry":[5]}', "unknown_shape"),
        (b'{"entry":[{"changes":[null]}]}', "unknown_shape"),
    ],
)  # fmt: skip
async def test_a_signed_body_that_cannot_be_read_is_kept_and_answered(
    raw: bytes, reason: str
) -> None:
    world = World()

    answer = await world.post(raw)

    ((found, kept),) = world.letters()
    assert answer.status_code == 200
    assert found == reason
    assert kept == raw or orjson.loads(kept)["entry"] == orjson.loads(raw)["entry"]


async def test_a_large_body_that_cannot_be_read_is_kept_by_reference() -> None:
    raw = b"x" * 1_000_000
    world = World()

    answer = await world.post(raw)

    ((reason, kept),) = world.letters()
    assert (answer.status_code, reason) == (200, "not_json")
    assert world.keeping.kept == [raw]
    assert orjson.loads(kept)["bytes"] == 1_000_000


async def test_a_large_message_is_stored_by_reference_before_its_event() -> None:
    world = World()

    answer = await world.post(envelope(change(messages=[text("wamid.1", words="a" * 1_000_000)])))

    (event,) = world.events()
    (kept,) = world.keeping.kept
    assert answer.status_code == 200
    assert isinstance(event, MessageReceived)
    assert event.raw is None
    assert event.raw_ref == event.raw_sha256
    assert orjson.loads(kept)["text"]["body"] == "a" * 1_000_000
    assert len(world.log.records[0].value or b"") < 100_000


async def test_of_a_doubled_key_the_last_one_counts() -> None:
    raw = RAW.replace(b'"id": "wamid.1"', b'"id": "wamid.0", "id": "wamid.1"')
    world = World()

    await world.post(raw)

    (event,) = world.events()
    assert isinstance(event, MessageReceived)
    assert event.wamid == "wamid.1"


@pytest.mark.parametrize(
    ("escaped", "read"),
    [
        (r"half \ud83d of a pair", "half ? of a pair"),
        (r"nul \u0000", "nul \ufffd"),
        (r"\u202eright to left\u200b", "\u202eright to left\u200b"),
        (r"\ud83d\ude2e", "😮"),
    ],
)
async def test_strange_text_is_kept(escaped: str, read: str) -> None:
    raw = RAW.replace(b'"oi"', f'"{escaped}"'.encode())
    world = World()

    answer = await world.post(raw)

    (event,) = world.events()
    assert answer.status_code == 200
    assert isinstance(event, MessageReceived)
    assert event.text == read


async def test_ids_that_are_numbers_are_read_as_text() -> None:
    own = {**text("x"), "id": 2**63, "from": 5511987654321}
    world = World()

    await world.post(envelope(change(messages=[own])))

    (event,) = world.events()
    assert isinstance(event, MessageReceived)
    assert (event.wamid, event.sender.wa_id) == (str(2**63), "5511987654321")


async def test_an_id_with_line_breaks_reaches_no_header() -> None:
    world = World()

    answer = await world.post(envelope(change(messages=[text("a\r\nx-evil: 1")])))

    headers = b"".join(value for _, value in world.log.records[0].headers)
    assert answer.status_code == 200
    assert b"evil" not in headers
    assert b"\n" not in headers


async def test_statuses_before_their_message_are_kept() -> None:
    status = {"id": "wamid.9", "status": "delivered", "recipient_id": "5511987654321"}
    world = World()

    await world.post(envelope(change(statuses=[{**status, "timestamp": "1"}])))

    (event,) = world.events()
    assert isinstance(event, StatusReceived)
    assert (event.wamid, event.status_at, event.bubble_id) == ("wamid.9", 1000, None)


async def test_a_hundred_deliveries_at_once_have_one_id() -> None:
    world = World()

    async with world.client() as client:
        sent = {"X-Hub-Signature-256": RIGHT}
        answers = await asyncio.gather(
            *[client.post(URL, content=RAW, headers=sent) for _ in range(100)]
        )

    assert {answer.status_code for answer in answers} == {200}
    assert len(world.events()) == 100
    assert len({(event.event_id, event.idempotency_key) for event in world.events()}) == 1


async def test_a_thousand_updates_good_and_bad_each_have_a_record() -> None:
    good = [text(f"wamid.{n}", f"55119876{n:05}") for n in range(400)]
    statuses = [{"id": f"s{n}", "status": "read", "recipient_id": "1"} for n in range(300)]
    bad: list[Any] = [None, 5, "x", [], {}] * 60
    world = World()

    answer = await world.post(envelope(change(messages=[*good, *bad], statuses=statuses)))

    assert answer.status_code == 200
    assert len(world.events()) == 700
    assert len(world.letters()) == 300
    assert {reason for reason, _ in world.letters()} == {"unknown_shape", "no_person"}


async def test_a_number_of_nobody_is_a_dead_letter_that_can_be_posted_again() -> None:
    world = World()
    world.numbers.unknown = {"1122334455667"}
    await world.post(HELLO)
    ((reason, kept),) = world.letters()

    world.numbers.unknown = set()
    answer = await world.post(kept)

    (event,) = world.events()
    assert (reason, answer.status_code) == ("unknown_channel", 200)
    assert isinstance(event, MessageReceived)
    assert event.wamid == "wamid.1"


async def test_a_number_of_another_app_is_an_unknown_channel() -> None:
    world = World()
    world.numbers.app_id = "app-2"

    answer = await world.post(HELLO)

    assert answer.status_code == 200
    assert [reason for reason, _ in world.letters()] == ["unknown_channel"]


async def test_a_bug_of_ours_loses_no_body(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes) -> None:
        raise KeyError("secret text")

    monkeypatch.setattr("streams.webhook.inbox.parse", broken)
    world = World()

    answer = await world.post(HELLO)

    assert answer.status_code == 200
    assert world.letters() == [("unexpected", RAW)]
