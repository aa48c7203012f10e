"""Customers who write while a number's rate is measured, and what became of their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from schemas.changing import replace
from schemas.errors import Unavailable
from schemas.events import (
    ConversationChanged,
    Event,
    HumanReplied,
    MessageReceived,
    Outcome,
    OutcomeKind,
    Phase,
)
from streams.local.bench.inbound import Inbound
from tests.agents.outbound.desk import envelope
from tests.local.test_rates_ends import GOOD

PEOPLE = [("conv_a", "5521900000001"), ("conv_b", "5521900000002")]


class Desk:
    """Notes what is put on the log, and what the simulator heard before it."""

    def __init__(self) -> None:
        self.posted: list[Event] = []
        self.heard: list[tuple[str, str]] = []
        self.inbound = Inbound(PEOPLE, post=self.post, hear=self.hear)

    async def post(self, event: Event) -> asyncio.Future[None]:
        self.posted.append(event)
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    async def hear(self, written: Sequence[tuple[str, str]]) -> None:
        self.heard += written

    def step(self, conversation: str, *ends: tuple[str, OutcomeKind]) -> None:
        given = envelope("conversation.state.changed", f"{conversation}:{ends}")
        self.inbound.note(
            ConversationChanged(
                **{**given, "conversation_id": conversation},
                phase=Phase.WITH_HUMAN,
                phase_before=Phase.IDLE,
                epoch=1,
                turn_seq=0,
                decision="handed",
                reason="with_human",
                outcomes=tuple(Outcome(wamid=w, kind=k, reason="with_human") for w, k in ends),
            )
        )


async def test_a_person_has_every_conversation_before_customers_write() -> None:
    desk = Desk()
    introducing = asyncio.create_task(desk.inbound.introduce(5.0))
    await asyncio.sleep(0)
    desk.step("conv_a")
    desk.step("conv_b")
    await introducing

    replies = [each for each in desk.posted if isinstance(each, HumanReplied)]
    assert [each.conversation_id for each in replies] == ["conv_a", "conv_b"]


async def test_a_dispatch_that_says_nothing_is_named() -> None:
    desk = Desk()

    with pytest.raises(Unavailable, match="dispatch"):
        await desk.inbound.introduce(0.0)


async def test_each_message_is_heard_by_the_simulator_and_has_to_end_once() -> None:
    desk = Desk()
    await desk.inbound.write(3, 1000.0)

    messages = [each for each in desk.posted if isinstance(each, MessageReceived)]
    first, second, third = (each.wamid for each in messages)
    assert [each.conversation_id for each in messages] == ["conv_a", "conv_b", "conv_a"]
    assert desk.heard == [(each.sender.wa_id, each.wamid) for each in messages]

    handed = OutcomeKind.HANDED
    desk.step("conv_a", (first, handed), (third, handed))
    desk.step("conv_x", ("somebody else's", handed))
    assert desk.inbound.astray == 1
    desk.step("conv_b", (second, handed))
    await desk.inbound.complete(5.0)
    assert desk.inbound.astray == 0

    desk.step("conv_b", (second, handed))
    assert desk.inbound.astray == 1


def test_customers_messages_use_the_limit_and_none_of_them_may_be_lost() -> None:
    both = replace(GOOD, heard=1)

    assert (GOOD.used, both.used) == (3 / 80, 4 / 80)
    assert both.good
    assert not replace(both, astray=1).good
