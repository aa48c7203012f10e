from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from agents.core.conversation import Conversation
from agents.dispatch import dispatch
from agents.ports import HandoffLate, Observation, TakeoverApplied
from schemas.errors import Unavailable
from schemas.events import (
    BubbleState,
    Command,
    ControlRequested,
    ConversationChanged,
    Event,
    OutboundRequested,
    OutboundSettled,
    Position,
    SettingsChanged,
)
from tests.agents.ai.samples import Attic, Ledger
from tests.agents.dispatch.talk import SETTINGS, T0, Talk, envelope, message, with_settings

T = TypeVar("T")


class Delivered:
    source = Position(topic="inbox.message.received", partition=5, offset=70)
    now_ms = T0 + 30

    async def unless(self, _: Callable[[Event], bool], call: Awaitable[T], /, **__: object) -> T:
        return await call


async def decided(
    state: Conversation | None, event: Event, **more: Any
) -> tuple[Conversation, tuple[Event, ...]]:
    """Let dispatch decide an event, with fakes for what a test does not name."""
    world: dict[str, Any] = {"tenants": Known(), "takeovers": Ledger(), "archive": Attic()}
    return await dispatch(state, event, Delivered(), **world | more)


class Known:
    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        return SETTINGS if tenant_id == "tenant_a" else None


@pytest.mark.parametrize(
    ("tenant_id", "decision", "version"), [("tenant_a", "gathering", 7), ("b", "handed_over", 0)]
)
async def test_the_newest_settings_of_the_tenant_decide(
    tenant_id: str, decision: str, version: int
) -> None:
    _, effects = await decided(None, message("w1", tenant_id=tenant_id))

    changed = effects[-1]
    assert isinstance(changed, ConversationChanged)
    assert changed.decision == decision
    assert changed.cause is not None
    assert (changed.cause.partition, changed.cause.offset) == (5, 70)
    assert (changed.cause.decided_at, changed.cause.settings_version) == (T0 + 30, version)


def takeover(command: Command = Command.TAKEOVER) -> ControlRequested:
    return ControlRequested(
        **envelope("inbox.control.requested", "r1"), command=command, request_id="r1"
    )


async def test_a_takeover_is_written_down_before_anybody_is_told() -> None:
    takeovers = Ledger()

    state, _ = await decided(None, takeover(), takeovers=takeovers)

    assert takeovers.bars == {"conv_0f": {state.epoch}}


@pytest.mark.parametrize("command", [Command.PAUSE, Command.CLOSE])
async def test_what_else_silences_the_ai_is_written_down_as_a_takeover_is(
    command: Command,
) -> None:
    takeovers = Ledger()

    state, _ = await decided(None, takeover(command), takeovers=takeovers)

    assert takeovers.bars == {"conv_0f": {state.epoch}}


async def test_a_takeover_that_cannot_be_written_down_is_not_decided() -> None:
    class Down(Ledger):
        async def bar(self, *_: Any) -> None:
            raise Unavailable("postgres")

    with pytest.raises(Unavailable):
        await decided(None, takeover(), takeovers=Down())


async def test_a_message_needs_nothing_written_down() -> None:
    takeovers = Ledger()

    await decided(None, message("w1"), takeovers=takeovers)

    assert takeovers.bars == {}


async def test_the_time_from_a_takeover_to_its_confirmation_is_measured() -> None:
    seen: list[Observation] = []
    state, said = await decided(None, takeover(), observe=seen.append)
    marker = next(each for each in said if isinstance(each, OutboundRequested))
    confirmed = OutboundSettled(
        **envelope("outbound.message.settled", "m1", T0 + 280),
        bubble_id=marker.bubble_id,
        epoch=marker.epoch,
        author=marker.author,
        kind=marker.kind,
        state=BubbleState.APPLIED,
    )

    await decided(state, confirmed, observe=seen.append)

    assert seen == [TakeoverApplied(seconds=0.25)]


async def test_a_hand_over_to_which_nobody_came_is_counted() -> None:
    seen: list[Observation] = []
    talk = Talk(with_settings(handoff_minutes=10))
    talk.hear("w1", "quero um atendente")

    await decided(talk.it, talk.fired("handoff"), observe=seen.append)

    assert seen == [HandoffLate(decision="handoff_returned")]
