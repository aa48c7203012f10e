from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from tests.streams.webhook.world import APP, TOKEN, World, change, envelope, text

HELLO = envelope(change(messages=[text("wamid.1")]))


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of requests that the framework led to their route."""
    paths: list[str] = []
    plain = APIRoute.handle

    async def handle(route: APIRoute, scope: Any, receive: Any, send: Any) -> None:
        paths.append(route.path)
        await plain(route, scope, receive, send)

    monkeypatch.setattr(APIRoute, "handle", handle)
    return paths


async def test_a_post_of_whatsapp_goes_straight_to_its_endpoint(walked: list[str]) -> None:
    world = World()

    answer = await world.post(HELLO)

    assert (answer.status_code, len(world.log.records)) == (200, 1)
    assert walked == []


async def test_everything_else_takes_the_way_of_the_framework(walked: list[str]) -> None:
    world = World()
    asked = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "42"}
    path = f"/webhooks/whatsapp/{APP}"

    async with world.client() as client:
        challenge = await client.get(path, params=asked)
        wrong = await client.put(path)
        unknown = await client.post("/webhooks/whatsapp")

    assert challenge.text == "42"
    assert [wrong.status_code, unknown.status_code] == [405, 404]
    assert "/webhooks/whatsapp/{app_id}" in walked


def test_the_document_still_tells_of_the_post() -> None:
    paths = World().app().openapi()["paths"]

    assert sorted(paths["/webhooks/whatsapp/{app_id}"]) == ["get", "post"]
