"""A bubble was posted, its worker died before it wrote that down, and meanwhile things changed."""

from __future__ import annotations

import pytest

from agents.core.gate import Gate
from agents.core.gate_waits import PAIR_EVERY_MS, PAIR_MARGIN_MS
from agents.ports import Receipt, Refused, Unknown
from schemas.errors import Unavailable
from schemas.events import Author, BubbleState, Event, OutboundRequested, OutboundUpdated
from tests.agents.outbound.desk import T0, bubble, marker, settings
from tests.agents.outbound.office import Office, fired, told

SENT = [("b1", BubbleState.ACCEPTED, "")]
STOPPED = settings(ai_enabled=False)


@pytest.fixture
def office() -> Office:
    return Office()


async def waiting(office: Office, *events: OutboundRequested) -> Gate:
    """Let bubbles wait for a permit, then have it."""
    office.permits.reason = "number_rate"
    state: Gate | None = None
    for event in events:
        state, _ = await office.handle(event, state)
    office.permits.reason = ""
    assert state is not None
    return state


async def lost(office: Office, state: Gate) -> None:
    """Post the first of them, and die before it is written down."""
    await office.handle(fired("rate:b1", state), state)
    assert len(office.courier.letters) == 1


async def test_it_was_sent_though_its_window_has_closed_since(office: Office) -> None:
    event = bubble("b1", author=Author.HUMAN, window_expires_at=T0 + 1_000)
    await office.handle(event)
    office.clock.ms = T0 + 1_000

    state, effects = await office.handle(event)

    assert (told(effects), state.timers) == (SENT, {})
    assert len(office.courier.letters) == 1
    updates = [each for each in effects if isinstance(each, OutboundUpdated)]
    assert [(each.state, each.attempt) for each in updates] == [(BubbleState.ACCEPTED, 1)]


async def test_it_was_sent_though_the_ai_was_stopped_since_and_what_waits_is_not(
    office: Office,
) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    await lost(office, state)
    office.settings = STOPPED

    state, effects = await office.handle(fired("rate:b1", state), state)

    assert told(effects) == [*SENT, ("b2", BubbleState.DROPPED, "ai_disabled")]
    assert len(office.courier.letters) == 1


async def test_it_was_sent_though_the_marker_of_a_takeover_is_read_first(office: Office) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    await lost(office, state)

    state, effects = await office.handle(marker("m1", 1), state)

    assert told(effects) == [
        *SENT,
        ("b2", BubbleState.DROPPED, "stale_epoch"),
        ("m1", BubbleState.APPLIED, "takeover"),
    ]
    assert state.timers == {}


async def test_it_was_sent_though_the_one_before_it_ends_unsent_again(office: Office) -> None:
    state = await waiting(
        office,
        bubble("b0", author=Author.HUMAN, window_expires_at=T0 + 1_000),
        bubble("b1", author=Author.HUMAN, turn_id="t1"),
    )
    office.clock.ms = T0 + 1_000
    await office.handle(fired("rate:b0", state), state)
    assert [letter.text for letter in office.courier.letters] == ["texto b1"]
    office.clock.ms = T0 + 30 * 24 * 3_600_000

    state, effects = await office.handle(fired("rate:b0", state), state)

    assert told(effects) == SENT
    _, effects = await office.handle(fired("next", state), state)
    assert told(effects) == [("b0", BubbleState.FAILED, "window_closed")]
    assert len(office.courier.letters) == 1


async def test_nothing_more_is_posted_in_the_step_that_finds_it_out(office: Office) -> None:
    state = await waiting(office, bubble("b1"), bubble("h1", author=Author.HUMAN))
    await lost(office, state)
    office.settings = STOPPED

    state, effects = await office.handle(fired("rate:b1", state), state)
    assert (told(effects), len(office.courier.letters)) == (SENT, 1)

    _, effects = await goes_on(office, state, "h1")
    assert told(effects) == [("h1", BubbleState.ACCEPTED, "")]


async def goes_on(office: Office, state: Gate, bubble_id: str) -> tuple[Gate, tuple[Event, ...]]:
    """Let the next bubble go: WhatsApp may have counted the one before it as late as now."""
    found_ms = office.clock.ms
    state, effects = await office.handle(fired("next", state), state)
    assert told(effects) == []
    assert state.timers == {f"pair:{bubble_id}": found_ms + PAIR_EVERY_MS + PAIR_MARGIN_MS}
    office.clock.ms = state.timers[f"pair:{bubble_id}"]
    return await office.handle(fired(f"pair:{bubble_id}", state), state)


@pytest.mark.parametrize("receipt", [Unknown(reason="timeout"), None])
async def test_what_came_of_it_may_be_unknown(office: Office, receipt: Receipt | None) -> None:
    event = bubble("b1")
    if receipt is None:
        office.claims.results["bubble", "b1", 1] = None
    else:
        office.courier.receipt = receipt
        await office.handle(event)
    office.settings = STOPPED

    state, effects = await office.handle(event)

    assert told(effects) == []
    assert state.bubbles[0].state is BubbleState.UNKNOWN
    assert list(state.timers) == ["unknown_cap:b1"]


async def test_one_that_was_refused_is_dropped_as_if_it_had_waited(office: Office) -> None:
    office.courier.receipt = Refused(code=0, status=503)
    state = await waiting(office, bubble("b1"))
    await lost(office, state)

    state, effects = await office.handle(marker("m1", 1), state)

    assert told(effects)[0] == ("b1", BubbleState.DROPPED, "stale_epoch")
    assert (state.bubbles[0].attempt, state.timers) == (1, {})


async def test_whether_it_was_sent_is_not_guessed_while_claims_cannot_be_read(
    office: Office,
) -> None:
    state = await waiting(office, bubble("b1"))
    office.claims.down = True

    with pytest.raises(Unavailable):
        await office.handle(marker("m1", 1), state)
    with pytest.raises(Unavailable):
        await office.give_up(marker("m1", 1), state)


async def test_it_is_found_among_more_than_are_remembered_when_all_are_dropped(
    office: Office,
) -> None:
    state = await waiting(office, *(bubble(f"b{number}") for number in range(1, 62)))
    await lost(office, state)

    _, effects = await office.handle(marker("m1", 1), state)

    assert told(effects)[:2] == [*SENT, ("b2", BubbleState.DROPPED, "stale_epoch")]


async def test_it_was_sent_though_its_event_is_given_up_behind_one_that_waits(
    office: Office,
) -> None:
    state = await waiting(office, bubble("b0"))
    office.settings = STOPPED  # drops b0, in a step that nobody wrote
    await office.handle(bubble("b1", author=Author.HUMAN), state)
    assert [letter.text for letter in office.courier.letters] == ["texto b1"]

    state, effects = await office.give_up(bubble("b1", author=Author.HUMAN), state)

    assert told(effects) == SENT
    assert [each.bubble_id for each in state.bubbles if each.waits] == ["b0"]


async def test_one_that_is_given_up_with_its_timer_was_sent_and_what_is_behind_it_goes(
    office: Office,
) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    await lost(office, state)

    state, effects = await office.give_up(fired("rate:b1", state), state)

    assert told(effects) == SENT
    _, effects = await goes_on(office, state, "b2")
    assert told(effects) == [("b2", BubbleState.ACCEPTED, "")]


async def test_it_was_sent_though_the_marker_of_a_takeover_is_given_up(office: Office) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    await lost(office, state)

    _, effects = await office.give_up(marker("m1", 1), state)

    assert told(effects) == [
        *SENT,
        ("b2", BubbleState.DROPPED, "stale_epoch"),
        ("m1", BubbleState.APPLIED, "takeover"),
    ]


@pytest.mark.parametrize("receipt", [Unknown(reason="timeout"), None])
async def test_what_came_of_one_that_is_dropped_by_giving_up_may_be_unknown(
    office: Office, receipt: Receipt | None
) -> None:
    state = await waiting(office, bubble("b1"))
    if receipt is None:
        office.claims.results["bubble", "b1", 1] = None
    else:
        office.courier.receipt = receipt
        await lost(office, state)

    state, effects = await office.give_up(marker("m1", 1), state)

    assert told(effects)[0] == ("b1", BubbleState.UNKNOWN, "given_up:bug")
    assert (state.bubbles[0].attempt, state.timers) == (1, {})


async def test_one_that_was_refused_is_given_up_as_if_it_had_waited(office: Office) -> None:
    office.courier.receipt = Refused(code=0, status=503)
    state = await waiting(office, bubble("b1"))
    await lost(office, state)

    _, effects = await office.give_up(marker("m1", 1), state)

    assert told(effects)[0] == ("b1", BubbleState.DROPPED, "stale_epoch")


async def test_where_asking_is_what_fails_nothing_is_said_to_be_unsent(office: Office) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    office.claims.broken = TypeError()

    state, effects = await office.give_up(marker("m1", 1), state)
    assert told(effects) == [
        ("b1", BubbleState.UNKNOWN, "given_up:bug"),
        ("b2", BubbleState.UNKNOWN, "given_up:bug"),
        ("m1", BubbleState.APPLIED, "takeover"),
    ]

    _, effects = await office.give_up(bubble("b3", epoch=0), state)
    assert told(effects) == [("b3", BubbleState.UNKNOWN, "given_up:bug")]


@pytest.mark.parametrize("permit", ["", "number_rate"])
async def test_what_waits_behind_one_that_comes_again_borrows_nothing(
    office: Office, permit: str
) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    await lost(office, state)
    office.permits.reason = permit

    state, effects = await office.handle(fired("rate:b1", state), state)
    assert told(effects) == SENT

    office.permits.reason = ""
    _, effects = await goes_on(office, state, "b2")
    assert told(effects) == [("b2", BubbleState.ACCEPTED, "")]


async def test_nor_does_what_waits_behind_one_that_is_given_up_and_may_be_out(
    office: Office,
) -> None:
    state = await waiting(office, bubble("b1"), bubble("b2"))
    office.claims.results["bubble", "b1", 1] = None

    state, effects = await office.give_up(fired("rate:b1", state), state)
    assert [(name, end) for name, end, _ in told(effects)] == [("b1", BubbleState.UNKNOWN)]

    _, effects = await goes_on(office, state, "b2")
    assert told(effects) == [("b2", BubbleState.ACCEPTED, "")]
