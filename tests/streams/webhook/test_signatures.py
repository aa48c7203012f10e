from __future__ import annotations

import json
from typing import Any

import httpx
import orjson
import pytest

from schemas.events import MessageReceived
from tests.streams.webhook.world import (
    APP,
    OLD_SECRET,
    SECRET,
    TOKEN,
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


async def test_a_message_is_on_the_log_before_the_answer() -> None:
    world = World()

    answer = await world.post(HELLO)

    (event,) = world.events()
    assert answer.status_code == 200
    assert isinstance(event, MessageReceived)
    assert (event.wamid, event.text, event.answerable) == ("wamid.1", "oi", True)
    assert world.log.records[0].key == event.conversation_id.encode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sha256=",
        RIGHT[:-1],
        RIGHT + "0",
        RIGHT.upper(),
        "sha256=" + RIGHT[7:].upper(),
        "sha1=" + RIGHT[7:],
        RIGHT[7:],
        "sha256=é" + RIGHT[8:],
        signature(RAW, "another secret"),
        signature(RAW, ""),
        signature(RAW + b" "),
    ],
)
async def test_a_wrong_signature_is_401_without_a_body(header: str) -> None:
    world = World()

    async with world.client() as client:
        sent = {b"x-hub-signature-256": header.encode("latin-1")}
        answer = await client.post(URL, content=RAW, headers=sent)

    assert (answer.status_code, answer.content) == (401, b"")
    assert world.log.records == []


async def test_a_missing_or_doubled_signature_is_401() -> None:
    world = World()

    async with world.client() as client:
        missing = await client.post(URL, content=RAW)
        twice = httpx.Headers([("X-Hub-Signature-256", RIGHT), ("X-Hub-Signature-256", RIGHT)])
        doubled = await client.post(URL, content=RAW, headers=twice)

    assert (missing.status_code, doubled.status_code) == (401, 401)


async def test_an_empty_secret_signs_nothing() -> None:
    world = World()
    world.secrets.apps = {APP: ("",)}

    answer = await world.post(RAW, **{"X-Hub-Signature-256": signature(RAW, "")})

    assert answer.status_code == 401


async def test_the_signature_is_of_the_bytes_as_meta_escaped_them() -> None:
    raw = json.dumps(envelope(change(messages=[text("wamid.1", words="ä😮/")]))).encode()
    again = orjson.dumps(orjson.loads(raw))
    world = World()

    escaped = await world.post(raw)
    encoded_again = await world.post(raw, **{"X-Hub-Signature-256": signature(again)})

    (event,) = world.events()
    assert (escaped.status_code, encoded_again.status_code) == (200, 401)
    assert isinstance(event, MessageReceived)
    assert event.text == "ä😮/"


async def test_a_body_that_is_replayed_ten_minutes_later_is_the_same_event() -> None:
    world = World()
    await world.post(HELLO)
    world.clock.now += 600_000

    answer = await world.post(HELLO)

    first, second = world.events()
    assert answer.status_code == 200
    assert (first.event_id, first.idempotency_key) == (second.event_id, second.idempotency_key)


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_both_active_secrets_of_an_app_are_accepted(secret: str) -> None:
    answer = await World().post(RAW, **{"X-Hub-Signature-256": signature(RAW, secret)})

    assert answer.status_code == 200


@pytest.mark.parametrize("app_id", ["app-2", "a" * 65, "a%00b", "a%0d%0ab", "%F0%9F%98%AE"])
async def test_an_unknown_app_is_404(app_id: str) -> None:
    world = World()

    async with world.client() as client:
        headers = {"X-Hub-Signature-256": RIGHT}
        answer = await client.post(f"/webhooks/whatsapp/{app_id}", content=RAW, headers=headers)

    assert answer.status_code == 404


CHECK = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": TOKEN}


async def test_the_check_of_a_subscription_is_answered_with_its_challenge() -> None:
    async with World().client() as client:
        answer = await client.get(URL, params=CHECK)

    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {**CHECK, "hub.verify_token": "wrong"},
        {**CHECK, "hub.verify_token": "é"},
        {**CHECK, "hub.mode": "unsubscribe"},
        {**CHECK, "hub.challenge": ""},
        {**CHECK, "hub.challenge": "a\r\nb"},
        {**CHECK, "hub.verify_token": [TOKEN, TOKEN]},
        {f"{name}[]": value for name, value in CHECK.items()},
        {name: value for name, value in CHECK.items() if name != "hub.challenge"},
    ],
)
async def test_any_other_check_is_403(params: dict[str, Any]) -> None:
    async with World().client() as client:
        answer = await client.get(URL, params=params)

    assert (answer.status_code, answer.content) == (403, b"")
