"""Events that are given up, set aside or dropped: repetitions are known as in ordinary ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from agents.core import seen
from agents.core.conversation import Conversation
from agents.dispatch import Aside
from agents.ports import Archive, Delivery
from schemas.changing import replace
from schemas.errors import Unavailable
from schemas.events import (
    ConversationChanged,
    Event,
    HumanReplied,
    OutboundRequested,
    OutcomeKind,
    Position,
    ReplyOrigin,
)
from tests.agents.ai.samples import Attic, OneDelivery
from tests.agents.dispatch.talk import NUMBER, envelope, message
from tests.agents.dispatch.test_hot import HARD_BYTES, Hot, Known

Said = tuple[Conversation, tuple[Event, ...]]
Hook = Callable[[Conversation | None, Event, Delivery, str], Awaitable[Said]]


class Down(Attic):
    """An archive that does not answer."""

    async def knows(self, *_: object) -> bool:
        raise Unavailable("postgres")


def reply(key: str) -> HumanReplied:
    return HumanReplied(
        **envelope("inbox.human.replied", key),
        phone_number_id=NUMBER,
        origin=ReplyOrigin.CONSOLE,
        reply_id=key,
        agent_user="ana",
        text="Olá",
    )


class Busy(Hot):
    """A hot conversation whose events may also be set aside."""

    async def aside(
        self, fate: str, event: Event, archive: Archive | None = None
    ) -> tuple[Event, ...]:
        aside = Aside(tenants=Known(), archive=archive or self.archive)
        hook: Hook = getattr(aside, fate)
        source = Position(topic=event.event, partition=0, offset=0)
        delivery = OneDelivery(source=source, now_ms=self.now)
        self.state, said = await hook(self.state, event, delivery, "bug")
        return said


async def hot(*first: Event) -> Busy:
    """Return a conversation whose first ids have left its state."""
    busy = Busy()
    for event in first:
        await busy.apply(event)
    for number in range(seen.ROOM + 2 - len(first)):
        await busy.hear(f"more{number}")
    assert busy.state is not None
    assert not seen.knows(busy.state.seen, f"{NUMBER}:w1")
    return busy


def outcomes(said: tuple[Event, ...]) -> list[tuple[str, OutcomeKind]]:
    changed = said[-1]
    assert isinstance(changed, ConversationChanged)
    return [(each.wamid, each.kind) for each in changed.outcomes if each.wamid.startswith("w")]


@pytest.mark.parametrize("fate", ["parked", "behind", "dropped"])
async def test_a_repetition_whose_id_left_the_state_gets_no_second_outcome(fate: str) -> None:
    busy = await hot(message("w1"))

    said = await busy.aside(fate, message("w1"))

    assert outcomes(said) == []


@pytest.mark.parametrize(
    ("fate", "kind"),
    [
        ("parked", OutcomeKind.PARKED),
        ("behind", OutcomeKind.PARKED),
        ("dropped", OutcomeKind.IGNORED),
    ],
)
async def test_a_new_message_of_a_hot_conversation_gets_its_outcome(
    fate: str, kind: OutcomeKind
) -> None:
    busy = await hot(message("w1"))

    assert outcomes(await busy.aside(fate, message("w2"))) == [("w2", kind)]


async def test_what_a_person_said_long_ago_is_not_said_again() -> None:
    busy = await hot(message("w1"), reply("r1"))

    old = await busy.aside("behind", reply("r1"))
    new = await busy.aside("behind", reply("r2"))

    assert [e.text for e in old if isinstance(e, OutboundRequested)] == []
    assert [e.text for e in new if isinstance(e, OutboundRequested)] == ["Olá"]


async def test_what_was_set_aside_is_known_after_thousands_and_the_state_stays_small() -> None:
    busy = Busy()
    await busy.aside("parked", message("w1"))
    for number in range(3 * seen.ROOM):
        await busy.aside("behind", message(f"more{number}"))

    said = await busy.aside("behind", message("w1"))

    assert outcomes(said) == []
    assert busy.state is not None
    assert sum(map(len, busy.state.seen.values())) <= (seen.ROOM + 1) * seen.WIDTH < HARD_BYTES


async def test_what_was_set_aside_and_comes_back_gets_its_real_outcome() -> None:
    """That it was set aside is no reason to take it for a repetition."""
    busy = await hot(message("w1"))
    await busy.aside("parked", message("w2"))
    for number in range(seen.ROOM):
        await busy.aside("behind", message(f"again{number}"))

    changed = await busy.hear("w2")

    assert changed.decision != "duplicate_ignored"
    assert [wamid for wamid, _ in outcomes((changed,))] == ["w2"]


@pytest.mark.parametrize("fate", ["parked", "behind", "dropped"])
async def test_while_the_archive_is_down_nothing_is_said(fate: str) -> None:
    busy = await hot(message("w1"))
    before = busy.state

    with pytest.raises(Unavailable):
        await busy.aside(fate, message("w1"), Down())

    assert busy.state == before


async def test_an_ordinary_conversation_asks_the_archive_nothing() -> None:
    busy = Busy(attic := Attic())
    await busy.hear("w1")

    for fate in ("parked", "behind", "dropped"):
        await busy.aside(fate, replace(message("w2"), wamid=f"w-{fate}"))

    assert (attic.asked, attic.kept) == (0, {})
