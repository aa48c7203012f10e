from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from agents.dispatch import dispatch
from schemas.events import ConversationChanged, Event, Position, SettingsChanged
from tests.agents.dispatch.talk import SETTINGS, T0, message

T = TypeVar("T")


class Delivered:
    source = Position(topic="inbox.message.received", partition=5, offset=70)
    now_ms = T0 + 30

    async def unless(self, _: Callable[[Event], bool], call: Awaitable[T], /) -> T:
        return await call


class Known:
    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        return SETTINGS if tenant_id == "tenant_a" else None


@pytest.mark.parametrize(
    ("tenant_id", "decision", "version"), [("tenant_a", "gathering", 7), ("b", "handed_over", 0)]
)
async def test_the_newest_settings_of_the_tenant_decide(
    tenant_id: str, decision: str, version: int
) -> None:
    _, effects = await dispatch(
        None, message("w1", tenant_id=tenant_id), Delivered(), tenants=Known()
    )

    changed = effects[-1]
    assert isinstance(changed, ConversationChanged)
    assert changed.decision == decision
    assert changed.cause is not None
    assert (changed.cause.partition, changed.cause.offset) == (5, 70)
    assert (changed.cause.decided_at, changed.cause.settings_version) == (T0 + 30, version)
