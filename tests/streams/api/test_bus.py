from __future__ import annotations

import json
from typing import Any

import pytest

from streams.api.dialect import Emit
from streams.api.feed import Bus

NOWHERE = "redis://127.0.0.1:1/0"
TICKET = {"id": 7, "lastMessage": "olá 👋", "userId": None, "tags": []}


@pytest.mark.parametrize(
    "emit",
    [
        Emit("company-1-ticket", {"action": "update", "ticket": TICKET}, ("company-1-open", "7")),
        Emit("company-1-ticket", {"action": "delete", "ticketId": 7}, ("company-1-pending",)),
        # people's numbers are as the helpdesk wrote them
        Emit("company-1-ticket", {"user": {"id": 10**30}}, ("7",)),
    ],
)
async def test_the_bus_says_an_event_as_the_library_would(
    emit: Emit, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus(NOWHERE)
    published: list[Any] = []

    async def publish(data: Any) -> None:
        published.append(json.loads(bus.json.dumps(data)))

    monkeypatch.setattr(bus, "_publish", publish)

    await bus.emit(emit.event, emit.body, room=list(emit.rooms))

    assert json.loads(bus.message(emit)) == published[0]
