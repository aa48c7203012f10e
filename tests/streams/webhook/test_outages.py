from __future__ import annotations

import asyncio

import pytest

from tests.streams.webhook.world import World, change, envelope, text

HELLO = envelope(change(messages=[text("wamid.1"), text("wamid.2")]))


async def test_kafka_that_never_acknowledges_is_503_at_the_deadline() -> None:
    world = World(timeout_s=0.05)
    world.log.silent = True

    answer = await world.post(HELLO)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


async def test_kafka_that_is_down_is_503_and_then_the_same_ids_come_again() -> None:
    world = World()
    await world.post(HELLO)
    first = [event.event_id for event in world.events()]
    world.log.down = True
    refused = await world.post(HELLO)

    world.log.down = False
    accepted = await world.post(HELLO)

    assert (refused.status_code, accepted.status_code) == (503, 200)
    assert [event.event_id for event in world.events()] == first * 2


async def test_an_unknown_customer_while_postgres_is_down_is_503_for_the_whole_body() -> None:
    world = World()
    world.people.down = True

    answer = await world.post(HELLO)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert world.log.records == []


async def test_secrets_that_cannot_be_read_are_503() -> None:
    world = World()
    world.secrets.down = True

    answer = await world.post(HELLO)

    assert answer.status_code == 503


async def test_requests_are_counted_by_their_route(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    await world.post(HELLO)

    async with world.client() as client:
        metrics = (await client.get("/metrics")).text
        health = [await client.get(f"/health{path}") for path in ("", "/ready", "/live")]

    route = 'path="/webhooks/whatsapp/{app_id}"'
    assert f'http_requests_total{{method="POST",{route},status="200"}}' in metrics
    assert f'http_request_duration_seconds_count{{method="POST",{route}}}' in metrics
    assert "5511987654321" not in metrics
    assert [answer.status_code for answer in health] == [200, 200, 200]
    assert capsys.readouterr().out == ""


async def test_a_slow_customer_look_up_counts_into_the_same_deadline() -> None:
    world = World(timeout_s=0.05)

    async def stuck(*_: object) -> list[object]:
        return await asyncio.Event().wait()  # type: ignore[return-value]  # it never returns

    world.people.resolve = stuck  # type: ignore[method-assign, assignment]  # a stuck Postgres

    answer = await world.post(HELLO)

    assert answer.status_code == 503
