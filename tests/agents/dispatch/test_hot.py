"""A hot conversation: its state stays small, and what left it is still known."""

from __future__ import annotations

from statistics import quantiles

import msgspec
import pytest

from agents.core import seen
from agents.core.conversation import Conversation
from agents.core.dispatch import decide
from agents.dispatch import dispatch
from agents.ports import Archive
from schemas.changing import replace
from schemas.errors import Unavailable
from schemas.events import ConversationChanged, Event, HandoffRequested, Position, SettingsChanged
from tests.agents.ai.samples import Attic, Ledger, OneDelivery
from tests.agents.dispatch.talk import NUMBER, SETTINGS, T0, Talk, message

DAY = seen.DAY_MS
P99_BYTES = 32 << 10
HARD_BYTES = 256 << 10


class Known:
    def get(self, _: str, /) -> SettingsChanged | None:
        return SETTINGS


class Hot:
    """One conversation through the shell, with an archive."""

    def __init__(self, archive: Archive | None = None) -> None:
        self.archive = archive or Attic()
        self.state: Conversation | None = None
        self.now = T0

    async def apply(self, event: Event) -> ConversationChanged:
        delivery = OneDelivery(
            source=Position(topic=event.event, partition=0, offset=0), now_ms=self.now
        )
        self.state, said = await dispatch(
            self.state,
            event,
            delivery,
            tenants=Known(),
            takeovers=Ledger(),
            archive=self.archive,
        )
        changed = said[-1]
        assert isinstance(changed, ConversationChanged)
        return changed

    async def hear(self, wamid: str) -> ConversationChanged:
        return await self.apply(message(wamid, "oi", self.now))


async def test_a_repetition_after_a_week_of_many_messages_is_known() -> None:
    hot = Hot()
    for number in range(8 * 400):
        hot.now = T0 + number * DAY // 400  # eight days
        if number == 7 * 400:
            assert (await hot.hear("w0")).decision == "duplicate_ignored"
        assert (await hot.hear(f"w{number}")).decision != "duplicate_ignored" or number == 0
    first_of_the_last_week = 400 + 1

    for number in range(first_of_the_last_week, 8 * 400, 97):
        assert (await hot.hear(f"w{number}")).decision == "duplicate_ignored"

    assert hot.state is not None
    assert sum(map(len, hot.state.seen.values())) <= seen.ROOM * seen.WIDTH


async def test_what_leaves_the_state_is_kept_before() -> None:
    class Down(Attic):
        async def keep(self, *_: object) -> None:
            raise Unavailable("postgres")

    hot = Hot(Down())
    for number in range(seen.ROOM):
        await hot.hear(f"w{number}")

    with pytest.raises(Unavailable):
        await hot.hear("one more")

    assert hot.state is not None
    assert all(seen.knows(hot.state.seen, f"{NUMBER}:w{n}") for n in range(seen.ROOM))


async def test_an_ordinary_conversation_asks_the_archive_nothing() -> None:
    attic = Attic()
    hot = Hot(attic)
    for number in range(seen.ROOM):
        await hot.hear(f"w{number}")

    assert (attic.asked, attic.kept) == (0, {})


async def test_eight_days_later_nothing_is_asked_any_more() -> None:
    attic = Attic()
    hot = Hot(attic)
    for number in range(seen.ROOM + 2):
        await hot.hear(f"w{number}")
    asked = attic.asked
    hot.now += 8 * DAY

    await hot.hear("later")

    assert asked == 1
    assert attic.asked == asked


class Quick(Talk):
    """A conversation that is not judged at every step: for many of them."""

    def apply(self, event: Event) -> ConversationChanged:
        source = Position(topic=event.event, partition=3, offset=self.offset)
        self.state, self.effects = decide(
            self.state, event, source=source, now_ms=self.now, settings=self.settings
        )
        self.started += [each for each in self.of(HandoffRequested) if each.to_agent != "human"]
        (changed,) = self.of(ConversationChanged)
        return changed


def test_a_conversation_of_ten_thousand_messages_keeps_a_small_state() -> None:
    talk = Quick()
    sizes = []
    for number in range(10_000):
        talk.now += 900
        if talk.state and talk.it.timers.get("burst", talk.now) < talk.now:
            talk.apply(talk.fired("burst"))
            talk.respond("Custa R$ 199,90 à vista. Quer que eu separe um para você?" * 3)
            talk.state = replace(talk.it, awaiting=())  # the gate has sent it
        talk.hear(f"wamid.{number}", "Quanto custa o tênis azul, tamanho 42? " * (number % 4 + 1))
        if number % 10 == 0:
            sizes.append(len(msgspec.json.encode(talk.it)))

    assert len(talk.started) > 1000
    assert talk.it.seen_elsewhere
    assert quantiles(sizes, n=100)[98] <= P99_BYTES
    assert max(sizes) <= HARD_BYTES
